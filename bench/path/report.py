#!/usr/bin/env python3
"""Turns the raw files of run.sh into tables of values and ratios, and one JSON file.

A ratio is taken inside one repetition, where both paths were measured within seconds of each other;
the median of those ratios is shown with their lowest and highest.
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from provenance import described_path, provenance  # noqa: E402
from tables import aligned, pretty, spread  # noqa: E402


@dataclass(frozen=True)
class Metric:
    """One number of a figure: rate-64-1 is a figure, rate-64-1/kfps a metric of it."""
    name: str
    label: str  # {} stands for the figure's parameters
    unit: str
    decimals: int
    take: Callable[[dict], float]  # from what the tool printed
    has_ratio: bool = True  # not where it is not the path's doing, or a quotient of zeros


def tcp_sum(result, side, value):
    """Over both directions, where there are two."""
    end = result["end"]
    return sum(end[key][value] for key in (side, f"{side}_bidir_reverse") if key in end)


METRICS = {
    "tcp": [
        Metric("gbit", "TCP, {}", "Gbit/s", 1,
               lambda r: tcp_sum(r, "sum_received", "bits_per_second") / 1e9),
        Metric("retransmits", "  retransmitted", "segments", 0,
               lambda r: tcp_sum(r, "sum_sent", "retransmits"), has_ratio=False),
    ],
    "rate": [Metric("kfps", "{}, loss <= 0.1 %", "kfps", 0, lambda r: r["fps"] / 1e3)],
    "flood": [
        Metric("kfps", "{} at overload", "kfps", 0, lambda r: r["received_fps"] / 1e3),
        Metric("offered_kfps", "  offered meanwhile", "kfps", 0,
               lambda r: r["sent_fps"] / 1e3, has_ratio=False),
    ],
    "rtt": [
        Metric("p50_us", "RTT 50 %, {}", "us", 1, lambda r: r["p50_us"]),
        Metric("p99_us", "RTT 99 %, {}", "us", 1, lambda r: r["p99_us"]),
        Metric("p999_us", "RTT 99.9 %, {}", "us", 1, lambda r: r["p999_us"]),
    ],
    "cpu": [
        Metric("machine_us", "CPU per frame, {}, machine", "us", 2,
               lambda r: r["machine_cpu_us_per_frame"]),
        Metric("forwarder_us", "CPU per frame, {}, forwarder", "us", 2,
               lambda r: r["forwarder_cpu_us_per_frame"]),
    ],
    "idle": [
        Metric("cpu_percent", "CPU when idle", "%", 2, lambda r: r["cpu_percent"],
               has_ratio=False),
        Metric("resident_mib", "Memory, resident", "MiB", 1, lambda r: r["resident_kib"] / 1024),
        Metric("peak_mib", "Memory, peak", "MiB", 1, lambda r: r["peak_kib"] / 1024),
    ],
}
ONLY_FORWARDERS = {"forwarder_us", "cpu_percent", "resident_mib", "peak_mib"}
MOST_OTHERS_CPUS = 0.05  # more CPU than this in other programs' hands spoils a figure
MOST_LOST_AT_CPU = 0.001  # of the frames by which CPU time is divided


def kind_of(figure):
    return figure.split("-")[0]


def described_figure(figure):
    """The parameters in a figure's name, for people: "64 B, 8 flows, both ways"."""
    kind, *parts = figure.split("-")
    both = parts[-1:] == ["both"]
    numbers = [int(part) for part in parts[: len(parts) - both]]
    words = []
    if kind == "tcp":
        words = ["one stream" if numbers[0] == 1 else f"{numbers[0]} streams"]
    elif numbers:
        words = [f"{numbers[0]} B"]
        if len(numbers) > 1 and numbers[1] > 1:
            words.append(f"{numbers[1]} flows")
    return ", ".join(words + ["both ways"] * both)


def metrics_of(figures):
    """(key, metric, label) of all, in the order of the tables."""
    for figure in figures:
        for metric in METRICS[kind_of(figure)]:
            yield f"{figure}/{metric.name}", metric, metric.label.format(described_figure(figure))


def read_raw(directory, paths, figures, repeat):
    """raw[path][figure] is the list of what the tools printed, by repetition; None where it failed."""
    raw = {path: {} for path in paths}
    for path, about in paths.items():
        for figure in figures:
            if figure == "idle" and about["kind"] == "veth":
                continue
            files = [directory / f"{n}.{figure}.{path}.json" for n in range(1, repeat + 1)]
            raw[path][figure] = [json.loads(file.read_text()) if file.exists() else None
                                 for file in files]
            if kind_of(figure) == "tcp":
                raw[path][figure] = [result and shortened(result) for result in raw[path][figure]]
    return raw


def shortened(iperf):
    """iperf3 says a lot; keep what is used and what explains it."""
    return {"end": {key: value for key, value in iperf["end"].items()
                    if key.startswith(("sum_", "cpu_utilization"))}}


def collect(raw, paths):
    """values[path][key] is the list of a metric's values, by repetition; None where it failed."""
    return {
        path: {
            key: [None if result is None else metric.take(result)
                  for result in results[key.split("/")[0]]]
            for key, metric, _ in metrics_of(results)
            if metric.name not in ONLY_FORWARDERS or paths[path]["kind"] != "veth"
        }
        for path, results in raw.items()
    }


def wanted_ratios(paths):
    """All against veth; every vethd against the floor, testpmd and the first vethd, with AF_XDP
    against the bare forwarder and testpmd in the same mode."""
    vethds = [path for path, about in paths.items() if about["kind"] == "vethd"]
    pairs = [(path, "veth") for path in paths if path != "veth"]
    pairs += [(vethd, path) for vethd in vethds for path in ("floor", "testpmd")]
    pairs += [(vethd, vethds[0]) for vethd in vethds[1:]]
    for path in (path for path, about in paths.items() if about["kind"] == "af_xdp"):
        pairs += [(path, f"{other}_{path.rsplit('_', 1)[1]}") for other in ("bare", "testpmd")]
    return [(over, under) for over, under in pairs if under in paths]


def ratios_of(values, paths):
    """ratios["over/under"][key], by repetition; only of those in which both were measured."""
    out = {}
    for over, under in wanted_ratios(paths):
        ratios = {
            key: [a / b for a, b in zip(values[over][key], values[under][key])
                  if a is not None and b]
            for key, metric, _ in metrics_of({key.split("/")[0]: None for key in values[over]})
            if key in values[over] and key in values[under] and metric.has_ratio
        }
        out[f"{over}/{under}"] = {key: numbers for key, numbers in ratios.items() if numbers}
    return out


def table(columns, figures, decimals_of):
    rows = [["", "unit", *columns]]
    for key, metric, label in metrics_of(figures):
        cells = [spread(c[key], decimals_of(metric)) if key in c else "-"
                 for c in columns.values()]
        if any(cell != "-" for cell in cells):
            rows.append([label, metric.unit, *cells])
    return aligned(rows)


def blasts(results):
    """All that blast has reported of one-way load, with the name of the figure."""
    return [(figure, result) for figure, repetitions in results.items() for result in repetitions
            if result is not None and kind_of(figure) in ("rate", "flood", "cpu")]


def others_cpus(results):
    """CPUs used by programs outside the measurement, in the worst trial of a path."""
    return max((result["others_cpus"] for _, result in blasts(results)), default=0)


def remarks(raw):
    """What a reader must know before believing the tables."""
    for path, results in raw.items():
        for figure, repetitions in results.items():
            failed = repetitions.count(None)
            if failed:
                yield f"{path}: {figure} could not be measured in {failed} of {len(repetitions)}"
            limited = sum(result.get("sender_limited", False) for result in filter(None, repetitions))
            if limited:
                yield (f"{path}: {figure}: in {limited} of {len(repetitions)} searches the sender "
                       "was the limit, not the path")
        reordered = sum(result["reordered"] for _, result in blasts(results))
        if reordered:
            yield f"{path}: {reordered} frames were reordered"
        if any(kind_of(figure) == "cpu" and result["lost_share"] > MOST_LOST_AT_CPU
               for figure, result in blasts(results)):
            yield f"{path}: frames were lost under the load of CPU per frame"
        if others_cpus(results) > MOST_OTHERS_CPUS:
            yield (f"{path}: DISTURBED, other programs used up to {others_cpus(results):.2f} CPUs "
                   "during a trial; repeat on a quiet machine")


@dataclass(frozen=True)
class Target:
    text: str
    key: str
    against: str | None  # the path of the ratio; None: the value itself
    at_least: float | None = None
    at_most: float | None = None
    promised: bool = True  # else it is worth knowing, and no promise
    of: str = "vethd"  # the kind of path, or the path, that it is a target of

    def judge(self, middle):
        holds = ((self.at_least is None or middle >= self.at_least)
                 and (self.at_most is None or middle <= self.at_most))
        if not self.promised:
            return "info, " + ("so" if holds else "not so")
        return "met" if holds else "MISSED"


# What vethd promises on two CPUs, against the other paths of the same run.
TARGETS = [
    Target("TCP, one stream >= 0.65 of veth", "tcp-1/gbit", "veth", at_least=0.65),
    Target("64 B, loss <= 0.1 % >= 1.0 of veth", "rate-64-1/kfps", "veth", at_least=1.0),
    Target("64 B at overload >= 1.3 of veth", "flood-64-1/kfps", "veth", at_least=1.3),
    Target("RTT 50 % <= 3 times veth", "rtt-64/p50_us", "veth", at_most=3),
    Target("RTT 99 % <= 5 times veth", "rtt-64/p99_us", "veth", at_most=5),
    Target("TCP, one stream >= 10 times testpmd", "tcp-1/gbit", "testpmd", at_least=10),
    Target("64 B, loss <= 0.1 % >= 4 times testpmd", "rate-64-1/kfps", "testpmd", at_least=4),
    Target("CPU when idle 0.0 %", "idle/cpu_percent", None, at_most=0.05),  # as it is rounded
    Target("resident <= 96 MiB", "idle/resident_mib", None, at_most=96),
    Target("TCP, one stream >= 0.95 of the floor", "tcp-1/gbit", "floor", at_least=0.95,
           promised=False),
    Target("64 B, loss <= 0.1 % >= the floor's", "rate-64-1/kfps", "floor", at_least=1,
           promised=False),
    Target("64 B, loss <= 0.1 % >= 1.3 times testpmd", "rate-64-1/kfps", "testpmd_copy",
           at_least=1.3, of="af_xdp_copy"),
    Target("TCP, one stream >= 1.3 times testpmd", "tcp-1/gbit", "testpmd_copy",
           at_least=1.3, of="af_xdp_copy"),
    Target("64 B at overload >= 0.9 of the bare forwarder", "flood-64-1/kfps", "bare_zerocopy",
           at_least=0.9, of="af_xdp_zerocopy"),
]


def judged_targets(path, kind, values, ratios):
    """What of TARGETS this path keeps; those whose figures or partners the run has not are left out."""
    for target in TARGETS:
        if target.of not in (path, kind):
            continue
        found = ratios.get(f"{path}/{target.against}", {}) if target.against else values[path]
        numbers = [number for number in found.get(target.key, []) if number is not None]
        if numbers:
            middle = statistics.median(numbers)
            yield f"{target.judge(middle):<12}  {path}: {target.text}: {middle:.2f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--paths", nargs="+", required=True)
    parser.add_argument("--figures", nargs="+", required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--notes", nargs="*", default=[])
    parser.add_argument("--pinning", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()

    paths = dict(map(described_path, args.paths))
    raw = read_raw(args.raw, paths, args.figures, args.repeat)
    values = collect(raw, paths)
    ratios = ratios_of(values, paths)
    notes = args.notes + list(remarks(raw))
    # Short trials and a busy machine can make a target look met or missed by chance.
    judged = not args.quick and all(others_cpus(results) <= MOST_OTHERS_CPUS
                                    for results in raw.values())
    targets = [line for path, about in paths.items() if judged
               for line in judged_targets(path, about["kind"], values, ratios)]
    origin = provenance(args.source)
    about = origin["machine"]

    print(f"{about['cpu']}, {about['cpus_online']} CPUs, Linux {about['kernel']}; "
          f"CPUs: {args.pinning}; {args.repeat} repetitions, median (lowest-highest)\n")
    print(table(values, args.figures, lambda metric: metric.decimals))
    if ratios:
        print("\n" + table(ratios, args.figures, lambda _: 2))
    for heading, lines in (("Targets", targets), ("Remarks", notes)):
        if lines:
            print(f"\n{heading}:")
            print("\n".join("  " + line for line in lines))
    if args.quick:
        print("\nQuick run: trials are too short for these figures to be quoted.")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(pretty({
        **origin,
        "paths": paths,
        "pinning": args.pinning,
        "quick": args.quick,
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
