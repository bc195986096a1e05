#!/usr/bin/env python3
"""Turns the raw files of run.sh into a table of what a quiet pair feels, and one JSON file.

A ratio is taken inside one repetition, where both paths were measured within seconds of each other;
the median of those ratios is shown with their lowest and highest.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from provenance import described_path, provenance  # noqa: E402
from tables import aligned, pretty, spread  # noqa: E402

KERNEL = "veth"  # the path that all others are compared with

# (key, label, decimals, what to take of one stream; None where nothing arrived)
METRICS = [
    ("lost_percent", "lost %", 2, lambda r: 100 * r["lost_share"]),
    ("p50_us", "p50 us", 0, lambda r: r.get("p50_us")),
    ("p99_us", "p99 us", 0, lambda r: r.get("p99_us")),
    ("p999_us", "p99.9 us", 0, lambda r: r.get("p999_us")),
    ("flood_gbit", "flood Gbit/s", 2, lambda r: r["flood_bits_per_second"] / 1e9),
    ("flood_kfps", "flood kfps", 0, lambda r: r["flood_fps"] / 1e3),
]
RATIOS = ["p50_us", "p99_us", "p999_us", "flood_gbit", "flood_kfps"]

MOST_P99 = 3  # times the kernel's
MOST_OTHERS_CPUS = 0.05  # more CPU than this in other programs' hands spoils a stream
LEAST_SENT = 0.9  # of the rate; below it the sender was not let run


def flood_metric(flood):
    """What tells how much of a flood arrived: bytes of TCP, frames of UDP, nothing of none."""
    if flood in ("none", "nic-down"):
        return None
    return "flood_gbit" if flood.startswith("tcp-") else "flood_kfps"


def key_of(flood, rate):
    return f"{flood}@{rate}"


def read_raw(directory, paths, floods, rates, repeat):
    """raw[path][flood@rate] is the list of what the tool printed, by repetition; None where it failed."""
    raw = {}
    for path in paths:
        raw[path] = {}
        for flood in floods:
            for rate in rates:
                files = [directory / f"{n}.{flood}.{rate}.{path}.json" for n in range(1, repeat + 1)]
                raw[path][key_of(flood, rate)] = [
                    json.loads(file.read_text()) if file.exists() else None for file in files]
    return raw


def collect(raw):
    """values[path][flood@rate][metric] is a list, by repetition; None where there is no such value."""
    return {
        path: {
            key: {metric: [None if result is None else take(result) for result in results]
                  for metric, _, _, take in METRICS}
            for key, results in by_key.items()
        }
        for path, by_key in raw.items()
    }


def ratios_of(values):
    """ratios["over/under"][flood@rate][metric], by repetition; against the kernel, and of builds of vethd
    against the first of them. A stream of which nothing arrived has no ratio."""
    vethds = [path for path in values if path != KERNEL]
    pairs = [(path, KERNEL) for path in vethds if KERNEL in values]
    pairs += [(path, vethds[0]) for path in vethds[1:]]
    return {
        f"{over}/{under}": {
            key: {metric: [a / b for a, b in zip(values[over][key][metric],
                                                 values[under][key][metric])
                           if a is not None and b]
                  for metric in RATIOS}
            for key in values[over]
        }
        for over, under in pairs
    }


def cell(numbers, decimals):
    """A stream of which nothing arrived has no latency, which is not a measurement that failed."""
    return spread(numbers, decimals) if any(n is not None for n in numbers) else "-"


def table(values, ratios, floods, rates):
    """A line for each path and stream; floods that name what they are made of head their lines."""
    heads = [label for _, label, _, _ in METRICS[:4]]
    rows = [["beside", "kfps", "path", *heads, "p50/veth", "p99/veth", "flood", "flood/veth"]]
    for flood in floods:
        arrived = flood_metric(flood)
        for rate in rates:
            key = key_of(flood, rate)
            for path, by_key in values.items():
                against = ratios.get(f"{path}/{KERNEL}", {}).get(key, {})
                row = [flood, f"{rate / 1e3:g}", path]
                row += [cell(by_key[key][metric], decimals) for metric, _, decimals, _ in METRICS[:4]]
                row += [cell(against.get(metric, []), 1) for metric in ("p50_us", "p99_us")]
                if arrived:
                    unit = "Gbit/s" if arrived == "flood_gbit" else "kfps"
                    decimals = 1 if arrived == "flood_gbit" else 0
                    row += [f"{cell(by_key[key][arrived], decimals)} {unit}",
                            cell(against.get(arrived, []), 2)]
                else:
                    row += ["-", "-"]
                rows.append(row)
    for later, earlier in zip(reversed(rows), reversed(rows[:-1])):
        if later[:2] == earlier[:2]:
            later[:2] = ["", ""]
        elif later[0] == earlier[0]:
            later[0] = ""
    return aligned(rows)


def others_cpus(results):
    """CPUs used by programs outside the measurement, in the worst stream of a path."""
    return max((result["others_cpus"] for repetitions in results.values()
                for result in filter(None, repetitions)), default=0)


def remarks(raw):
    """What a reader must know before believing the table."""
    for path, results in raw.items():
        for key, repetitions in results.items():
            failed = repetitions.count(None)
            if failed:
                yield f"{path}: {key} could not be measured in {failed} of {len(repetitions)}"
            silent = sum(result["received"] == 0 for result in filter(None, repetitions))
            if silent:
                yield f"{path}: {key}: nothing arrived in {silent} of {len(repetitions)}"
            rate = int(key.split("@")[1])
            slowest = min((result["sent_fps"] for result in filter(None, repetitions)), default=rate)
            if slowest < LEAST_SENT * rate:
                yield f"{path}: {key}: the sender got to only {slowest:.0f} frames/s: too little CPU"
        reordered = sum(result["reordered"] for repetitions in results.values()
                        for result in filter(None, repetitions))
        if reordered:
            yield f"{path}: {reordered} frames were reordered"
        if others_cpus(results) > MOST_OTHERS_CPUS:
            yield (f"{path}: DISTURBED, other programs used up to {others_cpus(results):.2f} CPUs "
                   "during a stream; repeat on a quiet machine")


def judged_targets(path, values, ratios):
    """What a quiet pair is promised, flood by flood: no loss, and a p99 near the kernel's.

    Of loss the worst repetition counts: a pair that is dead in one of three is not what was promised."""
    for key, by_metric in values[path].items():
        lost = [n for n in by_metric["lost_percent"] if n is not None]
        if lost:
            yield verdict(max(lost) == 0, f"{path}: {key}: nothing lost: {max(lost):.2f} %")
        late = ratios.get(f"{path}/{KERNEL}", {}).get(key, {}).get("p99_us", [])
        if late:
            middle = statistics.median(late)
            yield verdict(middle <= MOST_P99,
                          f"{path}: {key}: p99 <= {MOST_P99} times veth: {middle:.2f}")


def verdict(holds, text):
    return f"{'met' if holds else 'MISSED':<12}  {text}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--paths", nargs="+", required=True)
    parser.add_argument("--floods", nargs="+", required=True, help="NAME:MEANING")
    parser.add_argument("--rates", nargs="+", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()

    paths = dict(map(described_path, args.paths))
    floods = dict(text.split(":", 1) for text in args.floods)
    raw = read_raw(args.raw, paths, floods, args.rates, args.repeat)
    values = collect(raw)
    ratios = ratios_of(values)
    notes = list(remarks(raw))
    disturbed = any(others_cpus(results) > MOST_OTHERS_CPUS for results in raw.values())
    targets = [line for path in paths if path != KERNEL and not (args.quick or disturbed)
               for line in judged_targets(path, values, ratios)]
    origin = provenance(args.source)
    about = origin["machine"]

    print(f"{about['cpu']}, {about['cpus_online']} CPUs, Linux {about['kernel']}; one worker, nobody "
          f"pinned; streams of {args.seconds:g} s, {args.repeat} repetitions, median "
          "(lowest-highest)\n")
    print(table(values, ratios, floods, args.rates))
    lines = [f"{flood}: {meaning}" for flood, meaning in floods.items()]
    for heading, lines in (("Beside", lines), ("Targets", targets), ("Remarks", notes)):
        if lines:
            print(f"\n{heading}:")
            print("\n".join("  " + line for line in lines))
    if args.quick:
        print("\nQuick run: streams are too short for these figures to be quoted.")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(pretty({
        **origin,
        "paths": paths,
        "floods": floods,
        "quick": args.quick,
        "seconds": args.seconds,
        "repetitions": args.repeat,
        "values": values,
        "ratios": ratios,
        "targets": targets,
        "remarks": notes,
        "raw": raw,
    }) + "\n")
    print(f"\nwritten: {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
