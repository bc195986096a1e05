#!/usr/bin/env python3
"""Tests of the arithmetic of report.py and of what plot.py draws, with made-up measurements."""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

sys.dont_write_bytecode = True
import plot  # finds cases.py and gnuplot.py, too
import cases
import gnuplot
import report

PATHS = {"veth": {"kind": "veth"}, "floor": {"kind": "floor"}, "old": {"kind": "vethd"},
         "new": {"kind": "vethd"}}


def flood(kfps, reordered=0, others=0.0):
    return {"received_fps": kfps * 1e3, "sent_fps": 2 * kfps * 1e3, "reordered": reordered,
            "others_cpus": others, "lost_share": 0.5}


def idle(percent):
    return {"cpu_percent": percent, "resident_kib": 10 * 1024, "peak_kib": 20 * 1024}


def tcp(gbit, retransmits, back=None):
    end = {"sum_sent": {"retransmits": retransmits},
           "sum_received": {"bits_per_second": gbit * 1e9}, "streams": ["long"]}
    if back:
        end |= {"sum_sent_bidir_reverse": {"retransmits": back[1]},
                "sum_received_bidir_reverse": {"bits_per_second": back[0] * 1e9}}
    return {"start": "long", "end": end}


def values_of(kfps):
    """values of a run in which every path was flooded, by repetition."""
    raw = {path: {"flood-64-1": [None if k is None else flood(k) for k in numbers]}
           for path, numbers in kfps.items()}
    return report.collect(raw, PATHS)


class Names(unittest.TestCase):
    def test_a_figure_is_described_by_its_parameters(self):
        self.assertEqual(report.described_figure("tcp-1"), "one stream")
        self.assertEqual(report.described_figure("tcp-8-both"), "8 streams, both ways")
        self.assertEqual(report.described_figure("rate-64-1"), "64 B")
        self.assertEqual(report.described_figure("flood-128-8-both"), "128 B, 8 flows, both ways")
        self.assertEqual(report.described_figure("idle"), "")


class Values(unittest.TestCase):
    def test_both_directions_of_tcp_are_summed(self):
        raw = {"veth": {"tcp-1-both": [tcp(10, 3, back=(5, 4))], "tcp-1": [tcp(20, 1)]}}
        values = report.collect(raw, PATHS)["veth"]
        self.assertEqual(values["tcp-1-both/gbit"], [15])
        self.assertEqual(values["tcp-1-both/retransmits"], [7])
        self.assertEqual(values["tcp-1/gbit"], [20])

    def test_a_figure_that_failed_is_a_gap_in_its_repetition(self):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "1.tcp-1.new.json").write_text(json.dumps(tcp(9, 0)))
            raw = report.read_raw(Path(directory), {"new": PATHS["new"]}, ["tcp-1"], 2)
        self.assertEqual(report.collect(raw, PATHS)["new"]["tcp-1/gbit"], [9, None])
        self.assertNotIn("streams", raw["new"]["tcp-1"][0]["end"])
        self.assertIn("new: tcp-1 could not be measured in 1 of 2", list(report.remarks(raw)))

    def test_a_spread_is_the_median_between_lowest_and_highest(self):
        self.assertEqual(report.spread([3, 1, None, 8], 1), "3.0 (1.0-8.0)")
        self.assertEqual(report.spread([None, None], 1), "failed")


class Ratios(unittest.TestCase):
    def test_a_ratio_is_taken_inside_a_repetition(self):
        # The machine is three times slower in the second repetition, for all paths alike.
        values = values_of({"veth": [300, 100, 200], "old": [600, 200, 100]})
        paths = {path: PATHS[path] for path in ("veth", "old")}
        ratios = report.ratios_of(values, paths)
        self.assertEqual(ratios, {"old/veth": {"flood-64-1/kfps": [2, 2, 0.5]}})

    def test_a_repetition_without_one_of_the_two_has_no_ratio(self):
        values = values_of({"veth": [None, 100, 100], "old": [50, None, 50]})
        ratios = report.ratios_of(values, {path: PATHS[path] for path in ("veth", "old")})
        self.assertEqual(ratios["old/veth"]["flood-64-1/kfps"], [0.5])

    def test_builds_of_vethd_stand_beside_the_floor_and_the_first_of_them(self):
        self.assertEqual(report.wanted_ratios(PATHS),
                         [("floor", "veth"), ("old", "veth"), ("new", "veth"), ("old", "floor"),
                          ("new", "floor"), ("new", "old")])

    def test_af_xdp_stands_beside_others_of_its_mode(self):
        paths = {"af_xdp_copy": {"kind": "af_xdp"}, "af_xdp_generic": {"kind": "af_xdp"},
                 "bare_copy": {"kind": "bare"}, "testpmd_copy": {"kind": "testpmd_af_xdp"}}
        self.assertEqual(report.wanted_ratios(paths),
                         [("af_xdp_copy", "bare_copy"), ("af_xdp_copy", "testpmd_copy")])


class Targets(unittest.TestCase):
    def lines(self, ratios, idle_percent):
        values = report.collect({"new": {"idle": [idle(p) for p in idle_percent]}}, PATHS)
        return list(report.judged_targets("new", "vethd", values, ratios))

    def test_the_median_decides_and_the_bound_itself_is_met(self):
        lines = self.lines({"new/veth": {"tcp-1/gbit": [0.1, 0.65, 0.9],
                                         "rtt-64/p50_us": [3.01, 3.01, 1]}}, [0.0, 0.04, 9])
        self.assertIn("met           new: TCP, one stream >= 0.65 of veth: 0.65", lines)
        self.assertIn("MISSED        new: RTT 50 % <= 3 times veth: 3.01", lines)
        self.assertIn("met           new: CPU when idle 0.0 %: 0.04", lines)

    def test_what_was_not_measured_is_not_judged(self):
        self.assertFalse([line for line in self.lines({}, [0.0]) if "TCP" in line])

    def test_the_floor_is_information_and_no_promise(self):
        lines = self.lines({"new/floor": {"tcp-1/gbit": [0.5]}}, [0.0])
        self.assertIn("info, not so  new: TCP, one stream >= 0.95 of the floor: 0.50", lines)

    def test_af_xdp_has_targets_of_its_own(self):
        ratios = {"af_xdp_copy/testpmd_copy": {"tcp-1/gbit": [1.2, 1.3, 1.4]},
                  "af_xdp_copy/veth": {"tcp-1/gbit": [0.1]}}
        lines = list(report.judged_targets("af_xdp_copy", "af_xdp", {"af_xdp_copy": {}}, ratios))
        self.assertEqual(lines,
                         ["met           af_xdp_copy: TCP, one stream >= 1.3 times testpmd: 1.30"])


class File(unittest.TestCase):
    def test_a_figure_is_a_line_and_reads_back(self):
        result = {"date": "now", "raw": {"veth": {"flood-64-1": [flood(1), None]}}, "ratios": {}}
        text = report.pretty(result)
        self.assertEqual(json.loads(text), result)
        self.assertIn('\n   "flood-64-1": [{"received_fps": 1000.0,', text)


class Remarks(unittest.TestCase):
    def test_other_programs_and_reordering_are_told(self):
        raw = {"veth": {"flood-64-1": [flood(1, reordered=2), flood(1, others=0.3)]}}
        text = "\n".join(report.remarks(raw))
        self.assertIn("veth: 2 frames were reordered", text)
        self.assertIn("DISTURBED, other programs used up to 0.30 CPUs", text)

    def test_a_quiet_run_in_order_has_none(self):
        self.assertEqual(list(report.remarks({"veth": {"flood-64-1": [flood(1)]}})), [])


class Plots(unittest.TestCase):
    def result(self):
        raw = {path: {f"flood-{size}-1": [flood(100), flood(200)] for size in (64, 1518)}
               for path in ("veth", "new")}
        raw["new"]["flood-64-8"] = [flood(50), None]
        paths = {path: PATHS[path] for path in raw}
        values = report.collect(raw, paths)
        return {"machine": {"cpu": "a CPU", "cpus_online": 2, "kernel": "6.18"}, "repetitions": 2,
                "quick": True, "remarks": [], "values": values,
                "ratios": report.ratios_of(values, paths)}

    def test_only_what_was_measured_is_drawn(self):
        panels = plot.panels_of(self.result())
        self.assertEqual(set(panels), {"size", "flows", "ratio"})
        self.assertEqual(len(panels["size"]), 1)
        self.assertIn('64 "64" 150 100 200', panels["size"][0])
        self.assertIn('8 "8" NaN NaN NaN', panels["flows"][0])  # veth
        self.assertIn('8 "8" 50 50 50', panels["flows"][0])

    def test_gnuplot_draws_every_path_into_an_svg_file(self):
        if not shutil.which("gnuplot"):
            self.skipTest(gnuplot.MISSING)
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory, "made-up.json")
            source.write_text(json.dumps(self.result()))
            subprocess.run([sys.executable, plot.__file__, source], check=True,
                           stdout=subprocess.DEVNULL)
            for name in ("size", "flows", "ratio"):
                drawn = Path(directory, f"made-up-{name}.svg").read_text()
                self.assertTrue(xml.fromstring(drawn).tag.endswith("svg"))
                self.assertIn("new", drawn)
                self.assertIn("NOT TO BE QUOTED", drawn)


if __name__ == "__main__":
    cases.main()
