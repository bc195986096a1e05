#!/usr/bin/env python3
"""Tests instructions.py: what is no count, and how callgrind's files are read."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import instructions  # finds cases.py, too
import cases

# Two calls of b by a, one of a by itself; b is named where it is called first.
CALLGRIND = """events: Ir
fn=(1) vethd::a(int)
10 5
cfn=(2) vethd::b()
calls=2 20
+1 300
* 2
cfn=(1)
calls=1 10
* 7
fn=(2)
20 300
"""


class Counts(unittest.TestCase):
    def count(self, idle, flood, received):
        with tempfile.TemporaryDirectory() as directory:
            raw = Path(directory)
            for run, (collected, delivered) in (("idle", idle), ("flood", flood)):
                (raw / f"p.{run}.collected").write_text(f"{collected}\n")
                (raw / f"p.{run}.delivered").write_text(f"{delivered}\n")
            (raw / "p.flood.json").write_text(json.dumps({"received": received}))
            return instructions.read_count(raw, "p")

    def test_start_and_end_are_not_counted(self):
        self.assertEqual(self.count((1000, 2), (2000, 12), 10).per_frame(), 100)

    def test_a_run_that_counted_no_instructions_is_none(self):
        with self.assertRaises(SystemExit):
            self.count((0, 0), (0, 10), 10)

    def test_a_run_that_counted_no_frames_is_none(self):
        with self.assertRaises(SystemExit):
            self.count((0, 0), (1000, 0), 0)

    def test_more_cannot_arrive_than_were_delivered(self):
        with self.assertRaises(SystemExit):
            self.count((0, 0), (1000, 9), 10)


class Functions(unittest.TestCase):
    def test_what_a_function_calls_is_in_its_sum_but_not_its_own(self):
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "callgrind"
            file.write_text(CALLGRIND)
            own, inclusive = instructions.read_functions(file)
        self.assertEqual(own, {"vethd::a(int)": 7, "vethd::b()": 300})
        self.assertEqual(inclusive, {"vethd::a(int)": 307, "vethd::b()": 300})

    def test_what_only_veths_need_must_be_there_to_be_taken_off(self):
        counted = {"vethd::mark_unfinished_checksum(vethd::Frame&, vethd::Arena const&)": 5, "b": 7}
        self.assertEqual(instructions.software_only(counted), 5)
        with self.assertRaises(SystemExit):
            instructions.software_only({"b": 7})

    def test_names_lose_what_makes_them_long(self):
        self.assertEqual(instructions.trimmed("vethd::Ring<int, A<B>>::next(vethd::Id<C>) const"),
                         "Ring::next const")
        self.assertEqual(instructions.trimmed("(below main)"), "(below main)")


if __name__ == "__main__":
    cases.main()
