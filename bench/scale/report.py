#!/usr/bin/env python3
"""Turns the raw files of run.sh into tables and one JSON file.

A ratio is taken inside one repetition, where the lone pair and the one in the crowd were measured
within seconds of each other; the median of those ratios is shown with their lowest and highest.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from provenance import provenance  # noqa: E402
from tables import aligned, spread  # noqa: E402

LAYOUTS = {"shared": "all between the same two namespaces", "own": "a namespace for each end"}

# (key, label, unit, decimals, what to take of one start)
COSTS = [
    ("ready_s", "ready", "s", 2, lambda r: r["ready_s"]),
    ("stop_s", "stopped", "s", 2, lambda r: r["stop_s"]),
    ("resident_mib", "resident", "MiB", 1, lambda r: r["idle"]["resident_kib"] / 1024),
    ("peak_mib", "peak", "MiB", 1, lambda r: r["idle"]["peak_kib"] / 1024),
    ("idle_cpu_percent", "CPU when idle", "%", 2, lambda r: r["idle"]["cpu_percent"]),
]

# (key, label, unit, decimals, what to take of one trial)
FIGURES = [
    ("tcp", "TCP, one stream", "Gbit/s", 1,
     lambda r: r["end"]["sum_received"]["bits_per_second"] / 1e9),
    ("rate", "64 B, loss <= 0.1 %", "kfps", 0, lambda r: r["fps"] / 1e3),
    ("flood", "64 B delivered at overload", "kfps", 0, lambda r: r["received_fps"] / 1e3),
    ("rtt", "RTT 50 %", "us", 1, lambda r: r["p50_us"]),
]
LOWER_IS_BETTER = {"rtt"}

TARGET_PAIRS = 1000
TARGET_SECONDS = 2.0
TARGET_MIB = 128.0
TARGET_RATIO = 0.05  # how far a busy pair in the crowd may be from a lone one

QUIET_CPUS = 0.05  # more than this in other programs' hands spoils a figure


def load(file):
    return json.loads(file.read_text())


def read_costs(directory, counts, repeat):
    """costs[layout][key][count] is a list, by repetition."""
    costs = {layout: {key: {} for key, *_ in COSTS} for layout in LAYOUTS}
    for layout, by_key in costs.items():
        for count in counts:
            raw = [load(directory / f"cost-{layout}-{count}-{n}.json")
                   for n in range(1, repeat + 1)]
            for key, _, _, _, take in COSTS:
                by_key[key][count] = [take(result) for result in raw]
    return costs


def read_busy(directory, repeat):
    """busy[figure][who] is a list, by repetition; with it what disturbed the trials."""
    busy, others = {}, []
    for key, _, _, _, take in FIGURES:
        busy[key] = {}
        for who in ("lone", "crowd"):
            raw = [load(directory / f"busy-{key}-{who}-{n}.json") for n in range(1, repeat + 1)]
            busy[key][who] = [take(result) for result in raw]
            others += [result["others_cpus"] for result in raw if "others_cpus" in result]
        busy[key]["ratio"] = [a / b for a, b in zip(busy[key]["crowd"], busy[key]["lone"])]
    return busy, max(others)


def cost_table(costs, layout, counts):
    rows = [["pairs", *(f"{label} ({unit})" for _, label, unit, _, _ in COSTS)]]
    for count in counts:
        rows.append([str(count), *(spread(costs[layout][key][count], decimals)
                                   for key, _, _, decimals, _ in COSTS)])
    return aligned(rows)


def busy_table(busy):
    rows = [["", "unit", "lone", "in the crowd", "crowd / lone"]]
    for key, label, unit, decimals, _ in FIGURES:
        figure = busy[key]
        rows.append([label, unit, spread(figure["lone"], decimals),
                     spread(figure["crowd"], decimals), spread(figure["ratio"], 2)])
    return aligned(rows)


def targets(costs, busy, counts):
    """What vethd promises; only of as many pairs as it promises it for."""
    if max(counts) < TARGET_PAIRS:
        return
    promises = []
    for layout, meaning in LAYOUTS.items():
        for key, label, unit, _, _ in COSTS[:3]:
            limit = TARGET_MIB if unit == "MiB" else TARGET_SECONDS
            middle = statistics.median(costs[layout][key][TARGET_PAIRS])
            promises.append((f"{TARGET_PAIRS} pairs, {meaning}: {label} <= {limit:g} {unit}",
                             middle, middle <= limit))
    for key, label, _, _, _ in FIGURES:
        middle = statistics.median(busy[key]["ratio"])
        worse = middle - 1 if key in LOWER_IS_BETTER else 1 - middle
        promises.append((f"{label} in the crowd within {TARGET_RATIO:.0%} of a lone pair",
                         middle, worse <= TARGET_RATIO))
    for text, middle, holds in promises:
        yield f"{'met   ' if holds else 'MISSED'}  {text}: {middle:.2f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--pairs", nargs="+", type=int, required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()

    counts = sorted(args.pairs)
    costs = read_costs(args.raw, counts, args.repeat)
    busy, others_cpus = read_busy(args.raw, args.repeat)
    disturbed = others_cpus > QUIET_CPUS
    met = [] if args.quick or disturbed else list(targets(costs, busy, counts))
    origin = provenance(args.source)
    about = origin["machine"]

    print(f"{about['cpu']}, {about['cpus_online']} CPUs, Linux {about['kernel']}; "
          f"{args.repeat} repetitions, median (lowest-highest)")
    for layout, meaning in LAYOUTS.items():
        print(f"\nPairs, {meaning}:\n\n{cost_table(costs, layout, counts)}")
    print(f"\nA busy pair, alone and among {max(counts)}:\n\n{busy_table(busy)}")
    if met:
        print("\nTargets:\n" + "\n".join("  " + line for line in met))
    if disturbed:
        print(f"\nDISTURBED, other programs used up to {others_cpus:.2f} CPUs during a trial; "
              "repeat on a quiet machine")
    if args.quick:
        print("\nQuick run: trials are too short for these figures to be quoted.")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({
        **origin,
        "quick": args.quick,
        "repetitions": args.repeat,
        "others_cpus": others_cpus,
        "costs": costs,
        "busy": {"pairs": max(counts), "figures": busy},
        "targets": met,
    }, indent=1) + "\n")
    print(f"\nwritten: {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
