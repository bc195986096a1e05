"""Where figures come from: stands at the head of every result file."""

import os
import platform
import subprocess
from datetime import datetime, timezone


def output_of(*command):
    """First line of what a command prints; None if it prints nothing."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().split("\n")[0] or None


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
    return output_of("git", "-C", source, "describe", "--always", "--dirty", "--abbrev=12")


def described_path(text):
    """NAME:KIND:BUILD:KEYS of a run.sh; a build is known by the commit of the tree around it."""
    name, kind, build, keys = text.split(":", 3)
    about = {"kind": kind}
    if kind in ("vethd", "af_xdp"):
        about |= {"commit": commit(build), "keys": keys.splitlines()}
    return name, about


def provenance(source):
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(source),
        "machine": machine(),
    }
