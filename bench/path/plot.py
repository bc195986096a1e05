#!/usr/bin/env python3
"""Draws what report.py wrote: plot.py RESULT.json writes RESULT-*.svg beside it, with gnuplot.

A plot of which the run has no figures is not drawn.
"""

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from report import described_figure

MISSING = "gnuplot is missing; apt-get install gnuplot-nox"
WIDTH, PANEL_HEIGHT, CAPTION_HEIGHT = 900, 340, 40
# Paths are the same colour in every plot; builds of vethd take those after the last.
COLOURS = {"veth": "#555555", "floor": "#aaaaaa", "vethd": "#1f77b4", "testpmd": "#ff7f0e",
           "vde": "#2ca02c", "socat": "#d62728"}
MORE_COLOURS = ["#1f77b4", "#9467bd", "#17becf", "#8c564b", "#e377c2", "#bcbd22"]
# Bars of the ratio plot: higher is better in the first list, lower in the second.
HIGHER = [("tcp-1/gbit", "TCP"), ("tcp-8/gbit", "TCP, 8 streams"),
          ("rate-64-1/kfps", "64 B, loss <= 0.1 %"), ("flood-64-1/kfps", "64 B at overload"),
          ("flood-1518-1/kfps", "1518 B at overload")]
LOWER = [("rtt-64/p50_us", "RTT 50 %"), ("rtt-64/p99_us", "RTT 99 %"),
         ("cpu-64/machine_us", "CPU per frame")]


def colours(paths):
    more = iter(MORE_COLOURS)
    return {path: COLOURS.get(path) or next(more, "#000000") for path in paths}


def quoted(text):
    """A gnuplot string that means itself."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def summary(numbers):
    """Median, lowest and highest as gnuplot reads them; nothing measured is a gap."""
    numbers = [number for number in numbers or [] if number is not None]
    if not numbers:
        return "NaN NaN NaN"
    return f"{statistics.median(numbers):.6g} {min(numbers):.6g} {max(numbers):.6g}"


def blocks(series, rows, get):
    """A named data block for each of the series: row number or x, label, median, lowest, highest."""
    lines = []
    for number, name in enumerate(series):
        lines.append(f"$d{number} << EOD")
        lines += [f"{x} {quoted(label)} {summary(get(name, key))}" for x, label, key in rows]
        lines.append("EOD")
    return lines


def line_plot(title, x_label, y_label, series, rows, get):
    """One panel: rows are (x, label, key), the x axis is logarithmic with a tic at each row."""
    tics = ", ".join(f"{quoted(label)} {x}" for x, label, _ in rows)
    low, high = rows[0][0] * 0.85, rows[-1][0] * 1.18
    lines = blocks(series, rows, get)
    lines += [f"set title {quoted(title)}", f"set xlabel {quoted(x_label)}",
              f"set ylabel {quoted(y_label)}", "set logscale x 2", f"set xtics ({tics})",
              f"set xrange [{low}:{high}]", "set yrange [0:*]"]
    lines.append("plot " + ", ".join(
        f"$d{n} using 1:3:4:5 with yerrorlines linecolor rgb '{colour}' pointtype 7 "
        f"pointsize 0.5 title {quoted(name)}" for n, (name, colour) in enumerate(series.items())))
    return lines


def bar_plot(title, y_label, series, rows, get, one=False, log=False):
    """One panel of groups of bars, a group for each row; one: with a line at 1."""
    lines = blocks(series, rows, get)
    lines += [f"set title {quoted(title)}", "unset xlabel", f"set ylabel {quoted(y_label)}",
              "set style data histograms", "set style histogram errorbars gap 2 linewidth 1",
              "set style fill solid 0.8", "set boxwidth 0.9", "unset logscale",
              "set xtics autofreq", "set xrange [*:*]",
              "set logscale y; set yrange [*:*]" if log else "set yrange [0:*]"]
    plots = [f"$d{n} using 3:4:5:xtic(2) linecolor rgb '{colour}' title {quoted(name)}"
             for n, (name, colour) in enumerate(series.items())]
    plots += ["1 with lines linecolor rgb '#000000' dashtype 2 notitle"] * one
    return lines + ["plot " + ", ".join(plots)]


def panels_of(result):
    """The panels of each plot, by the name of the plot."""
    values, ratios = result["values"], result["ratios"]
    series = colours(values)
    measured = {key for of_path in values.values() for key in of_path}

    def value(path, key):
        return values[path].get(key)

    def present(rows):
        return [row for row in rows if row[-1] in measured]

    def numbered(pairs):
        return [(n, label, key) for n, (label, key) in enumerate(pairs) if key in measured]

    def parameter(position, fixed_at, fixed):
        """The values that one parameter of one-way figures has where the other is fixed."""
        names = [key.split("/")[0].split("-") for key in measured]
        return sorted({int(name[position]) for name in names
                       if name[0] in ("rate", "flood") and len(name) == 3
                       and name[fixed_at] == fixed})

    panels = {"size": [], "flows": [], "tcp": [], "latency": [], "ratio": []}
    for kind, title in (("rate", "loss <= 0.1 %"), ("flood", "delivered at overload")):
        rows = present([(size, str(size), f"{kind}-{size}-1/kfps") for size in parameter(1, 2, "1")])
        if len(rows) > 1:
            panels["size"].append(line_plot(f"One flow, {title}", "frame, bytes with FCS", "kfps",
                                            series, rows, value))
        rows = present([(flows, str(flows), f"{kind}-64-{flows}/kfps")
                        for flows in parameter(2, 1, "64")])
        if len(rows) > 1:
            panels["flows"].append(line_plot(f"64 B, {title}", "flows", "kfps", series, rows, value))
    rows = numbered([(described_figure(figure), f"{figure}/gbit")
                     for figure in ("tcp-1", "tcp-8", "tcp-1-both", "tcp-8-both")])
    if rows:
        panels["tcp"].append(bar_plot("TCP", "Gbit/s", series, rows, value))
    for size in (64, 1518):
        rows = numbered([(f"{share} %", f"rtt-{size}/{name}") for share, name in
                         (("50", "p50_us"), ("99", "p99_us"), ("99.9", "p999_us"))])
        if rows:
            panels["latency"].append(bar_plot(f"Round trip, {size} B", "us", series, rows, value,
                                              log=True))
    others = {path: colour for path, colour in series.items() if f"{path}/veth" in ratios}
    for title, keys in (("Against kernel veth: more is better", HIGHER),
                        ("Against kernel veth: less is better", LOWER)):
        rows = numbered([(label, key) for key, label in keys])
        if others and rows:
            panels["ratio"].append(bar_plot(
                title, "ratio", others, rows,
                lambda path, key: ratios[f"{path}/veth"].get(key), one=True))
    return {name: drawn for name, drawn in panels.items() if drawn}


def script(panels, caption, out):
    """What gnuplot reads: panels, one below the other."""
    height = CAPTION_HEIGHT + PANEL_HEIGHT * len(panels)
    lines = [f"set terminal svg size {WIDTH},{height} background rgb 'white' font 'sans-serif,11'",
             f"set output {quoted(str(out))}", "set encoding utf8",
             "set grid ytics linecolor rgb '#dddddd'", "set border 3",
             "set tics nomirror", "set key outside right top vertical",
             f"set multiplot layout {len(panels)},1 title {quoted(caption)} font ',10' noenhanced",
             "set key noenhanced", "set title noenhanced", "set xtics noenhanced"]
    for panel in panels:
        lines += panel
    return "\n".join([*lines, "unset multiplot", ""])


def caption_of(result):
    about = result["machine"]
    text = (f"{about['cpu']}, {about['cpus_online']} CPUs, Linux {about['kernel']}; "
            f"{result['repetitions']} repetitions: median, lowest, highest")
    if result["quick"] or any("DISTURBED" in remark for remark in result["remarks"]):
        text += "; NOT TO BE QUOTED"
    return text


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plot.py RESULT.json")
    if not shutil.which("gnuplot"):
        sys.exit(f"plot.py: {MISSING}")
    source = Path(sys.argv[1])
    result = json.loads(source.read_text())
    for name, panels in panels_of(result).items():
        out = source.with_name(f"{source.stem}-{name}.svg")
        subprocess.run(["gnuplot"], input=script(panels, caption_of(result), out), text=True,
                       check=True)
        print(f"written: {out}")


if __name__ == "__main__":
    main()
