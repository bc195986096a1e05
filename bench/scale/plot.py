#!/usr/bin/env python3
"""Draws what report.py wrote: plot.py RESULT.json writes RESULT-*.svg beside it, with gnuplot."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gnuplot import bar_plot, caption_of, draw, line_plot  # noqa: E402
from report import FIGURES, QUIET_CPUS  # noqa: E402

# Layouts by the name they have beside the curves.
LAYOUTS = {"two namespaces": "shared", "one for each end": "own"}
SERIES = {"two namespaces": "#1f77b4", "one for each end": "#ff7f0e"}
# (key, title, unit, whether the axis is logarithmic)
CURVES = [("ready_s", "Until all pairs forward", "s", True),
          ("stop_s", "Until the daemon has gone", "s", True),
          ("resident_mib", "Resident memory", "MiB", False),
          ("idle_cpu_percent", "CPU of an idle daemon", "% of a CPU", False)]


def panels_of(result):
    """The panels of each plot, by the name of the plot."""
    costs, busy = result["costs"], result["busy"]

    def curve(key, title, unit, log):
        counts = sorted(next(iter(costs.values()))[key], key=int)  # JSON has no numbers for keys
        return line_plot(title, "pairs", unit, SERIES,
                         [(int(count), count, count) for count in counts],
                         lambda name, count: costs[LAYOUTS[name]][key][count], log=log)

    rows = [(n, label, key) for n, (key, label, *_) in enumerate(FIGURES)]
    return {
        "cost": [curve(*described) for described in CURVES],
        "busy": [bar_plot(f"A busy pair among {busy['pairs']}, against a lone one", "ratio",
                          {"crowd / lone": "#1f77b4"}, rows,
                          lambda _, key: busy["figures"][key]["ratio"], one=True)],
    }


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plot.py RESULT.json")
    source = Path(sys.argv[1])
    result = json.loads(source.read_text())
    draw(panels_of(result), caption_of(result, result["others_cpus"] > QUIET_CPUS), source)


if __name__ == "__main__":
    main()
