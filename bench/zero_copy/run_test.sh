#!/usr/bin/env bash
# One short run of run.sh on kernel veths. Writes a line per case, as tests/results.py reads them.
#
#   run_test.sh BUILD
set -euo pipefail

build=$1
here=$(dirname "$(readlink -f "$0")")
if ((EUID != 0)); then
  echo "SKIP zero_copy_run network namespaces need root"
  exit 77
fi

results=$(mktemp -d)
readonly results veths=zerocopyrun$$
trap 'ip netns del $veths 2>/dev/null; rm -rf "$results"' EXIT
export PYTHONDONTWRITEBYTECODE=1
# Its status says, too, whether the instructions are within their bound: not asked here.
"$here/run.sh" --quick --repeat 1 --build "$build" --results "$results" --name run |
  tee "$results/said" || true

# A veth is no such device, and the kernel says so.
ip netns add $veths
for end in 0 1; do ip -n $veths link add nic$end type veth peer name far$end; done
ip netns exec $veths "$here/run.sh" --quick --only-nics --nics nic0,nic1 --far far0,far1 \
  --build "$build" --results "$results" --name refused | tee "$results/refused"

status=0
python3 - "$results" <<'PYTHON' || status=1
import json
import shutil
import sys
from pathlib import Path

results = Path(sys.argv[1])
values = json.loads((results / "run.json").read_text())["values"]
failed = False


def case(name, holds, reason):
    global failed
    failed |= not holds
    print(f"PASS zero_copy_{name}" if holds else f"FAIL zero_copy_{name} {reason}")


paths = {"af_xdp_copy", "af_xdp_generic", "bare_copy", "bare_generic"}
if shutil.which("dpdk-testpmd"):
    paths.add("testpmd_copy")
for path in sorted(paths):
    measured = {key: numbers for key, numbers in values.get(path, {}).items() if None not in numbers}
    missing = {"tcp-1/gbit", "flood-64-1/kfps"} - set(measured)
    case(f"run_{path}", not missing and all(numbers[0] > 0 for key, numbers in measured.items()
                                            if key != "tcp-1/retransmits"), f"{missing or measured}")
if shutil.which("valgrind"):
    counts = json.loads((results / "run-instructions.json").read_text())["instructions_per_frame"]
    case("instructions", counts["af_xdp_copy"] > counts["bare_copy"], counts)
case("without_a_device_is_not_run",
     "not run: no zero-copy device: no NICs were named" in (results / "said").read_text(),
     "it says nothing of it")
case("on_veths_is_not_run",
     "not run: no zero-copy device: bare: bind nic0: Operation not supported"
     in (results / "refused").read_text(), (results / "refused").read_text())
case("without_a_device_has_no_figure", not list(results.glob("*-nics.json")), "it has one")
sys.exit(failed)
PYTHON
exit "$status"
