#!/usr/bin/env python3
"""Draws what report.py wrote: plot.py RESULT.json writes RESULT-*.svg beside it, with gnuplot."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gnuplot import bar_plot, caption_of, colours, draw  # noqa: E402

# (name of the plot, metric, title, unit, whether the axis is logarithmic)
PLOTS = [("p99", "p99_us", "p99 of the quiet pair", "us", True),
         ("lost", "lost_percent", "Lost by the quiet pair", "%", False)]


def panels_of(result):
    """The panels of each plot, by the name of the plot: one for each rate of the quiet pair."""
    values = result["values"]
    keys = list(next(iter(values.values())))
    rates = sorted({int(key.split("@")[1]) for key in keys})

    def panel(metric, title, unit, log, rate):
        floods = [key.split("@")[0] for key in keys if key.endswith(f"@{rate}")]
        rows = [(n, flood, f"{flood}@{rate}") for n, flood in enumerate(floods)]
        return bar_plot(f"{title}, {rate / 1e3:g} kfps", unit, colours(values), rows,
                        lambda path, key: values[path][key][metric], log=log)

    return {name: [panel(metric, title, unit, log, rate) for rate in rates]
            for name, metric, title, unit, log in PLOTS}


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plot.py RESULT.json")
    source = Path(sys.argv[1])
    result = json.loads(source.read_text())
    disturbed = any("DISTURBED" in remark for remark in result["remarks"])
    draw(panels_of(result), caption_of(result, disturbed), source)


if __name__ == "__main__":
    main()
