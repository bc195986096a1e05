#!/usr/bin/env python3
"""Turns what run.sh measured into a table of time and instructions per frame, and a JSON file.

What goes through its batch in a loop is shown less the empty loop.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from provenance import output_of, provenance  # noqa: E402

BATCH = 64  # kBatch of subject.hpp
LOOP = "loop"
DEFAULT_PATH = "path"
MOST_INSTRUCTIONS = 150  # that a frame may take on the default path

# What a row stands for, where its name does not say.
NOTES = {
    "loop": "going through a batch; taken off where it is part of the figure",
    "skb_scrub_packet": "with the rest of ____dev_forward_skb()",
    "get_rps_cpu/off": "no rps_cpus, no flow table",
    "get_rps_cpu/map": "4 CPUs; the flow hash is computed",
    "get_rps_cpu/rfs": "with sock_rps_record_flow()",
    "enqueue_to_backlog": "of this CPU: what netif_rx() takes without RPS",
    "enqueue_to_backlog/skb_flow_limit": "the same, and its flow looked at; with the hash",
    "veth_xmit": "the stages above, no RPS",
    "net_rx_action": "a whole run, with a poll that finds nothing",
    "process_backlog": "a run over 64 frames",
    "veth_xdp_rx": "into the ring of a receiver that polls",
    "veth_poll": "a run over 64 frames, no GRO",
    "gro/tcp": "one flow, 1460 bytes of payload",
    "gro/udp": "one flow, 1472 bytes of payload",
    "segment/tcp": "64 segments of 1000 bytes, copied and summed; per segment",
    "path": "arrival = burst: veth_xmit, a softirq after 64",
    "path/inline": "arrival = inline: veth_xmit, a softirq after each",
    "path/lists": "as path, with the worker's lists before and after it",
}


def read_times(file):
    """ns per frame by stage, and which stages loop. The lowest repetition: a disturbance only adds."""
    times, looped = {}, set()
    for run in json.loads(file.read_text())["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        assert run["time_unit"] == "ns"
        name = run["run_name"].removesuffix("/manual_time")
        times.setdefault(name, []).append(run["real_time"] / BATCH)
        if run.get("label") == "looped" and name != LOOP:
            looped.add(name)
    return {name: min(runs) for name, runs in times.items()}, looped


def read_instructions(file, batches):
    lines = (line.rsplit(maxsplit=1) for line in file.read_text().splitlines())  # "one flow"
    return {name: int(collected) / (batches * BATCH) for name, collected in lines}


def less_loop(values, looped):
    return {name: max(value - (values[LOOP] if name in looped else 0), 0)
            for name, value in values.items()}


def table(times, instructions):
    rows = [("", "ns/frame", "instructions/frame", "")]
    rows += [(name, f"{times[name]:.1f}", f"{instructions[name]:.0f}", NOTES.get(name, ""))
             for name in times]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        f"{name:<{widths[0]}}  {ns:>{widths[1]}}  {count:>{widths[2]}}  {note}".rstrip()
        for name, ns, count, note in rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=Path, required=True)
    parser.add_argument("--instructions", type=Path, required=True)
    parser.add_argument("--batches", type=int, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    times, looped = read_times(args.times)
    times = less_loop(times, looped)
    instructions = less_loop(read_instructions(args.instructions, args.batches), looped)
    origin = provenance(args.source)
    about = origin["machine"]
    compiler = output_of("c++", "--version")
    taken = instructions[DEFAULT_PATH]
    met = taken <= MOST_INSTRUCTIONS

    print(f"{about['cpu']}, Linux {about['kernel']}, {compiler}\n")
    print(table(times, instructions))

    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({
        **origin,
        "compiler": compiler,
        "batch_frames": BATCH,
        "ns_per_frame": {name: round(value, 2) for name, value in times.items()},
        "instructions_per_frame": {name: round(value, 1) for name, value in instructions.items()},
        "default_path": {"most_instructions": MOST_INSTRUCTIONS, "met": met},
    }, indent=1) + "\n")
    print(f"\nall figures: {args.out}")

    if met:
        print(f"met     default path <= {MOST_INSTRUCTIONS} instructions a frame: {taken:.0f}")
        return 0
    print(f"\n*** MISSED: the default path takes {taken:.0f} instructions a frame, "
          f"{MOST_INSTRUCTIONS} are allowed ***", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
