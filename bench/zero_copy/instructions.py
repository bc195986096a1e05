#!/usr/bin/env python3
"""Turns the counts of instructions.sh into instructions per frame, and a JSON file."""

import argparse
import json
import os
import re
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from provenance import output_of, provenance  # noqa: E402

BARE, VETHD = "bare_copy", "af_xdp_copy"
MOST_ABOVE_BARE = 150  # instructions a frame
# What frames of a NIC are spared: the devices counted on are veths, which leave checksums unfinished.
SOFTWARE_ONLY = "mark_unfinished_checksum"
NAME_COLUMNS = 96


@dataclass(frozen=True)
class Count:
    """Of a flood through a forwarder under callgrind, without what start and end cost."""
    instructions: int
    delivered: int  # frames, by the forwarder's own count
    received: int  # of them, by the receiver, whose backlog may drop some

    def per_frame(self):
        return self.instructions / self.delivered


def read_count(directory, path):
    def over_idle(what):
        idle, flood = (int((directory / f"{path}.{run}.{what}").read_text())
                       for run in ("idle", "flood"))
        return flood - idle

    count = Count(over_idle("collected"), over_idle("delivered"),
                  json.loads((directory / f"{path}.flood.json").read_text())["received"])
    if count.instructions <= 0 or not 0 < count.received <= count.delivered:
        sys.exit(f"instructions.py: {path} has counted nothing, or not right: {count}")
    return count


def read_functions(file):
    """Instructions by function: of its own, and with all that it calls."""
    own, inclusive, names = Counter(), Counter(), {}
    function = callee = called = None

    def named(text):  # "(ID) name" at first, "(ID)" from then on
        number, _, name = text.partition(" ")
        return names.setdefault(number, name)

    for line in file.read_text().splitlines():
        key, _, text = line.partition("=")
        if key == "fn":
            function = named(text)
        elif key == "cfn":
            callee = named(text)
        elif key == "calls":
            called = callee  # what they cost stands in the next line
        elif re.match(r"[0-9+*-]", line):
            cost = int(line.split()[1])
            if called is None:
                own[function] += cost
            if called != function:  # what a function spends in itself is counted there
                inclusive[function] += cost
            called = None
    return own, inclusive


def trimmed(name):
    """Without namespace, template arguments and parameters."""
    name = name.replace("vethd::", "").replace("(anonymous namespace)::", "")
    while (bare := re.sub(r"<[^<>]*>|\([^()]*\)", "", name)) not in (name, ""):
        name = bare
    return name.strip()[:NAME_COLUMNS]


def read_flood(directory):
    """vethd's functions, without what start and end cost."""
    own, inclusive = read_functions(directory / f"{VETHD}.flood.callgrind")
    idle_own, idle_inclusive = read_functions(directory / f"{VETHD}.idle.callgrind")
    own.subtract(idle_own)
    inclusive.subtract(idle_inclusive)
    return own, inclusive


def software_only(inclusive):
    count = sum(cost for function, cost in inclusive.items() if trimmed(function) == SOFTWARE_ONLY)
    if count <= 0:
        sys.exit(f"instructions.py: no {SOFTWARE_ONLY}() in what callgrind has seen: is it inlined?")
    return count


def print_functions(own, inclusive, frames, most):
    """Where vethd's go: the functions that take most themselves."""
    print("\n   own  inclusive  function")
    for function, count in own.most_common(most):
        print(f"{count / frames:6.1f}  {inclusive[function] / frames:9.1f}  {trimmed(function)}")
    print()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--functions", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    counts = {path: read_count(args.raw, path) for path in (BARE, VETHD)}
    own, inclusive = read_flood(args.raw)
    spared = software_only(inclusive) / counts[VETHD].delivered
    above = counts[VETHD].per_frame() - spared - counts[BARE].per_frame()
    met = above <= MOST_ABOVE_BARE
    options = json.loads((Path(args.build) / "meson-info/intro-buildoptions.json").read_text())
    buildtype = next(option["value"] for option in options if option["name"] == "buildtype")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({
        **provenance(args.source),
        "compiler": output_of("c++", "--version"),
        "buildtype": buildtype,
        "instructions_per_frame": {path: round(count.per_frame(), 1)
                                   for path, count in counts.items()},
        "of_those_for_unfinished_checksums": round(spared, 1),
        "above_bare": {"instructions": round(above, 1), "at_most": MOST_ABOVE_BARE, "met": met},
        "counts": {path: asdict(count) for path, count in counts.items()},
    }, indent=1) + "\n")
    if args.functions:
        print_functions(own, inclusive, counts[VETHD].delivered, args.functions)
    for path, count in counts.items():
        print(f"{path:<12} {count.per_frame():6.1f} instructions a frame "
              f"({count.delivered} frames, {buildtype})")
    print(f"{'met' if met else 'MISSED'}: {above:.1f} above the bare forwarder, "
          f"at most {MOST_ABOVE_BARE}, without {spared:.1f} for checksums that only veths leave "
          "unfinished")
    print(f"written: {os.path.relpath(args.out)}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
