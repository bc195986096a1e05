#!/usr/bin/env python3
"""What report.py makes of made-up measurements, and that plot.py draws it."""

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


def start(seconds):
    return {"ready_s": seconds, "stop_s": seconds / 2,
            "idle": {"resident_kib": 2048, "peak_kib": 4096, "cpu_percent": 0.0}}


def trial(figure, scale):
    if figure == "tcp":
        return {"end": {"sum_received": {"bits_per_second": 1e10 * scale}}}
    return {"fps": 1e5 * scale, "received_fps": 2e5 * scale, "p50_us": 30 * scale,
            "others_cpus": 0.01}


def measured(directory, counts, repeat):
    """The raw files of run.sh: the crowd is half as fast as a lone pair, whatever the machine does."""
    for n in range(1, repeat + 1):
        for layout in report.LAYOUTS:
            for count in counts:
                Path(directory, f"cost-{layout}-{count}-{n}.json").write_text(
                    json.dumps(start(count * n / 1000)))
        for figure, *_ in report.FIGURES:
            for who, scale in (("lone", 1.0), ("crowd", 0.5)):
                Path(directory, f"busy-{figure}-{who}-{n}.json").write_text(
                    json.dumps(trial(figure, scale * n)))


class Report(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.counts = [1, 1000]
        measured(self.directory.name, self.counts, 3)
        self.costs = report.read_costs(Path(self.directory.name), self.counts, 3)
        self.busy, self.others_cpus = report.read_busy(Path(self.directory.name), 3)

    def test_a_ratio_is_taken_inside_a_repetition(self):
        self.assertEqual(self.busy["rate"]["lone"], [1e2, 2e2, 3e2])
        self.assertEqual(self.busy["rate"]["ratio"], [0.5, 0.5, 0.5])

    def test_the_median_is_judged_and_a_shorter_round_trip_is_no_miss(self):
        lines = list(report.targets(self.costs, self.busy, self.counts))
        self.assertIn("met     1000 pairs, a namespace for each end: ready <= 2 s: 2.00", lines)
        self.assertIn("MISSED  TCP, one stream in the crowd within 5% of a lone pair: 0.50", lines)
        self.assertIn("met     RTT 50 % in the crowd within 5% of a lone pair: 0.50", lines)

    def test_fewer_pairs_than_promised_are_not_judged(self):
        self.assertEqual(list(report.targets(self.costs, self.busy, [1])), [])

    def result(self):
        return json.loads(json.dumps({
            "machine": {"cpu": "a CPU", "cpus_online": 2, "kernel": "6.18"}, "repetitions": 3,
            "quick": False, "others_cpus": 0.5, "costs": self.costs,
            "busy": {"pairs": 1000, "figures": self.busy}}))

    def test_curves_have_a_point_for_each_count(self):
        panels = plot.panels_of(self.result())
        self.assertEqual(len(panels["cost"]), len(plot.CURVES))
        self.assertIn('1 "1" 0.002 0.001 0.003', panels["cost"][0])
        self.assertIn('1000 "1000" 2 1 3', panels["cost"][0])
        self.assertIn('0 "TCP, one stream" 0.5 0.5 0.5', panels["busy"][0])

    def test_gnuplot_draws_svg_files_and_says_when_not_to_quote_them(self):
        if not shutil.which("gnuplot"):
            self.skipTest(gnuplot.MISSING)
        source = Path(self.directory.name, "made-up.json")
        source.write_text(json.dumps(self.result()))
        subprocess.run([sys.executable, plot.__file__, source], check=True,
                       stdout=subprocess.DEVNULL)
        for name in ("cost", "busy"):
            drawn = source.with_name(f"made-up-{name}.svg").read_text()
            self.assertTrue(xml.fromstring(drawn).tag.endswith("svg"))
            self.assertIn("NOT TO BE QUOTED", drawn)


if __name__ == "__main__":
    cases.main()
