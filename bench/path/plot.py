#!/usr/bin/env python3
"""Draws what report.py wrote: plot.py RESULT.json writes RESULT-*.svg beside it, with gnuplot.

A plot of which the run has no figures is not drawn.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gnuplot import bar_plot, caption_of, colours, draw, line_plot  # noqa: E402
from report import described_figure  # noqa: E402

# Bars of the ratio plot: higher is better in the first list, lower in the second.
HIGHER = [("tcp-1/gbit", "TCP"), ("tcp-8/gbit", "TCP, 8 streams"),
          ("rate-64-1/kfps", "64 B, loss <= 0.1 %"), ("flood-64-1/kfps", "64 B at overload"),
          ("flood-1518-1/kfps", "1518 B at overload")]
LOWER = [("rtt-64/p50_us", "RTT 50 %"), ("rtt-64/p99_us", "RTT 99 %"),
         ("cpu-64/machine_us", "CPU per frame")]


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


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plot.py RESULT.json")
    source = Path(sys.argv[1])
    result = json.loads(source.read_text())
    disturbed = any("DISTURBED" in remark for remark in result["remarks"])
    draw(panels_of(result), caption_of(result, disturbed), source)


if __name__ == "__main__":
    main()
