#!/usr/bin/env python3
"""Turns the raw files of run.sh into a table of ratios and one JSON file.

A ratio is taken inside one repetition, where both paths were measured within seconds of each other;
the median of those ratios is shown with their lowest and highest.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
from datetime import datetime, timezone
from pathlib import Path

# (key, label, unit, decimals, what to take from which raw file)
FIGURES = [
    ("tcp_gbit", "TCP, one stream", "Gbit/s", 1,
     "tcp", lambda r: r["end"]["sum_received"]["bits_per_second"] / 1e9),
    ("rate_kfps", "64 B, loss <= 0.1 %", "kfps", 0, "rate", lambda r: r["fps"] / 1e3),
    ("flood_kfps", "64 B delivered at overload", "kfps", 0,
     "flood", lambda r: r["received_fps"] / 1e3),
    ("offered_kfps", "  offered meanwhile", "kfps", 0, "flood", lambda r: r["sent_fps"] / 1e3),
    ("rtt_p50_us", "RTT 50 %", "us", 1, "rtt", lambda r: r["p50_us"]),
    ("rtt_p99_us", "RTT 99 %", "us", 1, "rtt", lambda r: r["p99_us"]),
    ("rtt_p999_us", "RTT 99.9 %", "us", 1, "rtt", lambda r: r["p999_us"]),
    ("machine_cpu_us", "CPU per frame, machine", "us", 2,
     "cpu", lambda r: r["machine_cpu_us_per_frame"]),
    ("forwarder_cpu_us", "CPU per frame, forwarder", "us", 2,
     "cpu", lambda r: r["forwarder_cpu_us_per_frame"]),
    ("idle_cpu_percent", "CPU when idle", "%", 2, "idle", lambda r: r["cpu_percent"]),
    ("resident_mib", "Memory, resident", "MiB", 1, "idle", lambda r: r["resident_kib"] / 1024),
]
NO_RATIO = {"offered_kfps", "idle_cpu_percent"}  # not the path's doing; a quotient of zeros
ONLY_FORWARDERS = {"forwarder_cpu_us", "idle_cpu_percent", "resident_mib"}

# More CPU than this in other programs' hands spoils a figure.
QUIET_CPUS = 0.05


def read_raw(directory, paths, repeat):
    """raw[path][file] is the list of what the tools printed, by repetition."""
    raw = {path: {} for path in paths}
    for path in paths:
        for name in ["tcp", "rate", "flood", "rtt", "cpu", "idle"]:
            files = [directory / f"{n}.{name}.{path}.json" for n in range(1, repeat + 1)]
            if name == "idle" and path == "veth":
                continue
            raw[path][name] = [json.loads(file.read_text()) for file in files]
    for path in paths:  # iperf3 says a lot; keep what is used and what explains it
        for n, tcp in enumerate(raw[path]["tcp"]):
            keep = ("sum_sent", "sum_received", "cpu_utilization_percent")
            raw[path]["tcp"][n] = {"end": {key: tcp["end"][key] for key in keep}}
    return raw


def collect(raw):
    """values[path][key] is the list of a figure's values, by repetition."""
    return {
        path: {
            key: [take(result) for result in files[name]]
            for key, _, _, _, name, take in FIGURES
            if name in files and not (path == "veth" and key in ONLY_FORWARDERS)
        }
        for path, files in raw.items()
    }


def wanted_ratios(paths):
    """All against veth; every vethd against the floor, and against the first vethd."""
    vethds = [path for path, about in paths.items() if about["kind"] == "vethd"]
    pairs = [(path, "veth") for path in paths if path != "veth"]
    pairs += [(path, "floor") for path in vethds]
    pairs += [(path, vethds[0]) for path in vethds[1:]]
    return [(over, under) for over, under in pairs if under in paths]


def ratios_of(values, paths):
    out = {}
    for over, under in wanted_ratios(paths):
        out[f"{over}/{under}"] = {
            key: [a / b for a, b in zip(values[over][key], values[under][key])]
            for key in values[over]
            if key in values[under] and key not in NO_RATIO
        }
    return out


def spread(numbers, decimals):
    low, middle, high = (f"{f(numbers):.{decimals}f}" for f in (min, statistics.median, max))
    return f"{middle} ({low}-{high})"


def table(columns, decimals_of):
    rows = [["", "unit", *columns]]
    for key, label, unit, decimals, _, _ in FIGURES:
        cells = [spread(c[key], decimals_of(decimals)) if key in c else "-"
                 for c in columns.values()]
        if any(cell != "-" for cell in cells):
            rows.append([label, unit, *cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def others_cpus(files):
    """CPUs used by programs outside the measurement, in the worst trial of a path."""
    return max(result["others_cpus"] for result in files["rate"] + files["flood"] + files["cpu"])


def remarks(raw):
    """What a reader must know before believing the table."""
    for path, files in raw.items():
        blasts = files["rate"] + files["flood"] + files["cpu"]
        reordered = sum(result["reordered"] for result in blasts)
        if reordered:
            yield f"{path}: {reordered} frames were reordered"
        limited = sum(result["sender_limited"] for result in files["rate"])
        if limited:
            yield (f"{path}: in {limited} of {len(files['rate'])} searches the sender was the "
                   "limit, not the path")
        short = [r for r in files["cpu"] if r["lost_share"] > 0.001]
        if short:
            yield f"{path}: frames were lost under the load of CPU per frame"
        if others_cpus(files) > QUIET_CPUS:
            yield (f"{path}: DISTURBED, other programs used up to {others_cpus(files):.2f} CPUs "
                   "during a trial; repeat on a quiet machine")


def targets(path, values, ratios):
    """What vethd promises on the reference machine, and whether this one keeps it."""
    against_veth, against_floor = ratios.get(f"{path}/veth", {}), ratios.get(f"{path}/floor", {})
    vethd = values[path]
    promises = [
        ("TCP >= 0.55 of veth", against_veth.get("tcp_gbit"), lambda x: x >= 0.55),
        ("TCP >= 0.95 of the floor", against_floor.get("tcp_gbit"), lambda x: x >= 0.95),
        ("64 B rate >= the floor's", against_floor.get("rate_kfps"), lambda x: x >= 1),
        ("idle CPU 0.0 %", vethd.get("idle_cpu_percent"), lambda x: x < 0.05),
        ("resident <= 96 MiB", vethd.get("resident_mib"), lambda x: x <= 96),
    ]
    for text, numbers, holds in promises:
        if numbers:
            middle = statistics.median(numbers)
            yield f"{'met   ' if holds(middle) else 'MISSED'}  {path}: {text}: {middle:.2f}"


def described(text):
    """NAME:KIND:BUILD:KEYS of run.sh; a build is known by the commit of the tree around it."""
    name, kind, build, keys = text.split(":", 3)
    about = {"kind": kind}
    if kind == "vethd":
        about |= {"commit": commit(build), "keys": keys.splitlines()}
    return name, about


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    return {
        "cpu": cpu,
        "cpus_online": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
    }


def commit(source):
    """The commit measured, marked when the tree differs from it; None outside a repository."""
    git = subprocess.run(["git", "-C", source, "describe", "--always", "--dirty", "--abbrev=12"],
                         capture_output=True, text=True, check=False)
    return git.stdout.strip() or None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--paths", nargs="+", required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--pinning", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()

    paths = dict(map(described, args.paths))
    raw = read_raw(args.raw, paths, args.repeat)
    values = collect(raw)
    ratios = ratios_of(values, paths)
    notes = list(remarks(raw))
    # Short trials and a busy machine can make a target look met or missed by chance.
    judged = not args.quick and all(others_cpus(files) <= QUIET_CPUS for files in raw.values())
    met = [line for path, about in paths.items() if judged and about["kind"] == "vethd"
           for line in targets(path, values, ratios)]
    about = machine()

    print(f"{about['cpu']}, {about['cpus_online']} CPUs, Linux {about['kernel']}; "
          f"CPUs: {args.pinning}; {args.repeat} repetitions, median (lowest-highest)\n")
    print(table(values, lambda decimals: decimals))
    if ratios:
        print("\n" + table(ratios, lambda _: 2))
    for heading, lines in (("Targets", met), ("Remarks", notes)):
        if lines:
            print(f"\n{heading}:")
            print("\n".join("  " + line for line in lines))
    if args.quick:
        print("\nQuick run: trials are too short for these figures to be quoted.")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(args.source),
        "machine": about,
        "paths": paths,
        "pinning": args.pinning,
        "quick": args.quick,
        "repetitions": args.repeat,
        "values": values,
        "ratios": ratios,
        "targets": met,
        "remarks": notes,
        "raw": raw,
    }, indent=1) + "\n")
    print(f"\nwritten: {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
