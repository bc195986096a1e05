"""Panels of lines or bars, drawn into SVG files by gnuplot.

    panel = line_plot(title, x_label, y_label, series, rows, get)
    draw({"size": [panel]}, caption, Path("RESULT.json"))  # RESULT-size.svg

series is {name: colour}; rows are (x, label, key); get(name, key) is the list of what was measured,
of which the median is drawn with the lowest and highest.
"""

import shutil
import statistics
import subprocess
import sys

MISSING = "gnuplot is missing; apt-get install gnuplot-nox"
WIDTH, PANEL_HEIGHT, CAPTION_HEIGHT = 900, 340, 40
# Paths are the same colour in every plot; builds of vethd take those after the last.
COLOURS = {"veth": "#555555", "floor": "#aaaaaa", "vethd": "#1f77b4", "testpmd": "#ff7f0e",
           "vde": "#2ca02c", "socat": "#d62728"}
MORE_COLOURS = ["#1f77b4", "#9467bd", "#17becf", "#8c564b", "#e377c2", "#bcbd22"]


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


def y_axis(series, rows, get, log):
    if log:
        return "set logscale y; set yrange [*:*]"
    # gnuplot finds no range for nothing but zeros, which are a result, too.
    some = any(number for name in series for *_, key in rows for number in get(name, key) or [])
    return "set yrange [0:*]" if some else "set yrange [0:1]"


def line_plot(title, x_label, y_label, series, rows, get, log=False):
    """One panel: the x axis is logarithmic with a tic at each row; log: the y axis, too."""
    tics = ", ".join(f"{quoted(label)} {x}" for x, label, _ in rows)
    low, high = rows[0][0] * 0.85, rows[-1][0] * 1.18
    lines = blocks(series, rows, get)
    lines += [f"set title {quoted(title)}", f"set xlabel {quoted(x_label)}",
              f"set ylabel {quoted(y_label)}", "unset logscale", "set logscale x 2",
              f"set xtics ({tics})", f"set xrange [{low}:{high}]", y_axis(series, rows, get, log)]
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
              "set xtics autofreq", "set xrange [*:*]", y_axis(series, rows, get, log)]
    plots = [f"$d{n} using 3:4:5:xtic(2) linecolor rgb '{colour}' title {quoted(name)}"
             for n, (name, colour) in enumerate(series.items())]
    plots += ["1 with lines linecolor rgb '#000000' dashtype 2 notitle"] * one
    return lines + ["plot " + ", ".join(plots)]


def caption_of(result, disturbed):
    """What stands above the panels of a result file: the machine, and whether to believe it."""
    about = result["machine"]
    text = (f"{about['cpu']}, {about['cpus_online']} CPUs, Linux {about['kernel']}; "
            f"{result['repetitions']} repetitions: median, lowest, highest")
    return text + "; NOT TO BE QUOTED" * (result["quick"] or disturbed)


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


def draw(plots, caption, source):
    """Each of {name: panels} into a file beside the result they are of."""
    if not shutil.which("gnuplot"):
        sys.exit(MISSING)
    for name, panels in plots.items():
        out = source.with_name(f"{source.stem}-{name}.svg")
        subprocess.run(["gnuplot"], input=script(panels, caption, out), text=True, check=True)
        print(f"written: {out}")
