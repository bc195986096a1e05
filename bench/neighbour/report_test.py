#!/usr/bin/env python3
"""What report.py makes of made-up measurements."""

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


def stream(p99=100.0, lost=0.0, gbit=10.0, **more):
    """What the tool printed of one stream."""
    result = {"sent": 2000, "received": round(2000 * (1 - lost)), "lost_share": lost, "reordered": 0,
              "sent_fps": 2000.0, "others_cpus": 0.01, "flood_fps": gbit * 1e5,
              "flood_bits_per_second": gbit * 1e9}
    if lost < 1:
        result |= {"p50_us": p99 / 10, "p99_us": p99, "p999_us": p99 * 2}
    return result | more


def raw_of(veth, new, key="tcp-8@2000"):
    return {"veth": {key: veth}, "new": {key: new}}


class Values(unittest.TestCase):
    def test_files_are_found_by_repetition_flood_rate_and_path(self):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "2.tcp-8.2000.new.json").write_text(json.dumps(stream(p99=7)))
            raw = report.read_raw(Path(directory), ["new"], ["tcp-8"], [2000], 2)
        values = report.collect(raw)["new"]["tcp-8@2000"]
        self.assertEqual(values["p99_us"], [None, 7])
        self.assertIn("new: tcp-8@2000 could not be measured in 1 of 2", list(report.remarks(raw)))

    def test_a_stream_of_which_nothing_arrived_is_all_lost_and_has_no_latency(self):
        raw = raw_of([stream()], [stream(lost=1.0)])
        values = report.collect(raw)
        self.assertEqual(values["new"]["tcp-8@2000"]["lost_percent"], [100])
        self.assertEqual(values["new"]["tcp-8@2000"]["p99_us"], [None])
        self.assertIn("new: tcp-8@2000: nothing arrived in 1 of 1", list(report.remarks(raw)))


class Ratios(unittest.TestCase):
    def test_a_ratio_is_taken_inside_a_repetition(self):
        # The machine is ten times slower in the second repetition, for both alike.
        values = report.collect(raw_of([stream(10), stream(100)], [stream(20), stream(200)]))
        self.assertEqual(report.ratios_of(values)["new/veth"]["tcp-8@2000"]["p99_us"], [2, 2])

    def test_a_repetition_without_one_of_the_two_has_no_ratio(self):
        values = report.collect(raw_of([None, stream(10), stream(10)],
                                       [stream(20), stream(lost=1.0), stream(30)]))
        self.assertEqual(report.ratios_of(values)["new/veth"]["tcp-8@2000"]["p99_us"], [3])

    def test_builds_stand_beside_the_kernel_and_the_first_of_them(self):
        values = {path: {} for path in ("veth", "old", "new")}
        self.assertEqual(list(report.ratios_of(values)), ["old/veth", "new/veth", "new/old"])


class Targets(unittest.TestCase):
    def lines(self, veth, new):
        values = report.collect(raw_of(veth, new))
        return list(report.judged_targets("new", values, report.ratios_of(values)))

    def test_the_median_of_p99_decides_and_the_bound_itself_is_met(self):
        self.assertEqual(self.lines([stream(10)] * 3, [stream(30), stream(30), stream(90)]),
                         ["met           new: tcp-8@2000: nothing lost: 0.00 %",
                          "met           new: tcp-8@2000: p99 <= 3 times veth: 3.00"])

    def test_one_frame_lost_in_one_repetition_is_one_too_many(self):
        lines = self.lines([stream(10)] * 3, [stream(31), stream(31, lost=0.0005), stream(31)])
        self.assertIn("MISSED        new: tcp-8@2000: nothing lost: 0.05 %", lines)
        self.assertIn("MISSED        new: tcp-8@2000: p99 <= 3 times veth: 3.10", lines)

    def test_a_stream_that_is_lost_whole_misses(self):
        self.assertEqual(self.lines([stream()], [stream(lost=1.0)]),
                         ["MISSED        new: tcp-8@2000: nothing lost: 100.00 %"])


class Table(unittest.TestCase):
    def table(self, raw, floods):
        values = report.collect(raw)
        return report.table(values, report.ratios_of(values), floods, [2000]).splitlines()

    def test_each_path_has_a_line_and_the_flood_is_named_once(self):
        lines = self.table(raw_of([stream(10)] * 2, [stream(20), stream(40)]), ["tcp-8"])
        self.assertRegex(lines[1], r"^tcp-8 +2 +veth +0\.00 \(0\.00-0\.00\) .* 10\.0 .*Gbit/s +-$")
        self.assertRegex(lines[2], r"^ +new .* 30 \(20-40\) .* 3\.0 \(2\.0-4\.0\) .*1\.00")

    def test_of_udp_the_frames_count_and_of_nothing_nothing(self):
        lines = self.table(raw_of([stream()], [stream()], "small@2000"), ["small"])
        self.assertIn("1000 (1000-1000) kfps", lines[1])
        lines = self.table(raw_of([stream()], [stream()], "none@2000"), ["none"])
        self.assertNotIn("Gbit/s", lines[1])


class Remarks(unittest.TestCase):
    def test_what_spoils_a_stream_is_told(self):
        raw = raw_of([stream(others_cpus=0.3)], [stream(reordered=2, sent_fps=1000.0)])
        text = "\n".join(report.remarks(raw))
        self.assertIn("veth: DISTURBED, other programs used up to 0.30 CPUs", text)
        self.assertIn("new: 2 frames were reordered", text)
        self.assertIn("new: tcp-8@2000: the sender got to only 1000 frames/s", text)

    def test_a_quiet_run_has_none(self):
        self.assertEqual(list(report.remarks(raw_of([stream()], [stream()]))), [])


class Plots(unittest.TestCase):
    def result(self):
        values = report.collect(raw_of([stream(10)] * 2, [stream(20), stream(lost=1.0)]))
        return {"machine": {"cpu": "a CPU", "cpus_online": 2, "kernel": "6.18"}, "repetitions": 2,
                "quick": True, "remarks": [], "values": values}

    def test_a_rate_has_a_panel_and_what_did_not_arrive_has_no_latency(self):
        panels = plot.panels_of(self.result())
        self.assertEqual(len(panels["p99"]), 1)
        self.assertIn('0 "tcp-8" 10 10 10', panels["p99"][0])
        self.assertIn('0 "tcp-8" 20 20 20', panels["p99"][0])
        self.assertIn('0 "tcp-8" 50 0 100', panels["lost"][0])

    def test_gnuplot_draws_svg_files_and_says_when_not_to_quote_them(self):
        if not shutil.which("gnuplot"):
            self.skipTest(gnuplot.MISSING)
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory, "made-up.json")
            source.write_text(json.dumps(self.result()))
            subprocess.run([sys.executable, plot.__file__, source], check=True,
                           stdout=subprocess.DEVNULL)
            for name in ("p99", "lost"):
                drawn = source.with_name(f"made-up-{name}.svg").read_text()
                self.assertTrue(xml.fromstring(drawn).tag.endswith("svg"))
                self.assertIn("NOT TO BE QUOTED", drawn)


if __name__ == "__main__":
    cases.main()
