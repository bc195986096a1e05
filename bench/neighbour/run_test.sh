#!/usr/bin/env bash
# One short run of run.sh: a flood of each kind, two settings of vethd. Writes a line per case, as
# tests/results.py reads them.
#
#   run_test.sh BUILD
set -euo pipefail

build=$1
here=$(dirname "$(readlink -f "$0")")
if ((EUID != 0)); then
  echo "SKIP neighbour_run network namespaces need root"
  exit 77
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export PYTHONDONTWRITEBYTECODE=1
"$here/run.sh" --quick --rates 2000 --build "$build" --results "$results" --name run \
  --only none,tcp-8,supers,nic-quiet,nic-down --vethd one= --vethd two=,daemon.workers=2,a.txqueuelen=2000 &
run=$!
status=0
wait "$run" || status=$?

python3 - "$results/run.json" <<'PYTHON' || status=1
import json
import sys

values = json.load(open(sys.argv[1]))["values"]
failed = False


def case(path, name, holds, reason):
    global failed
    failed |= not holds
    print(f"PASS neighbour_{path}_{name}" if holds else f"FAIL neighbour_{path}_{name} {reason}")


for path in ("veth", "one", "two"):
    for flood in ("none", "tcp-8", "supers", "nic-quiet", "nic-down"):
        of = values[path][f"{flood}@2000"]
        case(path, f"{flood}_is_measured", None not in of["lost_percent"], of)
    case(path, "alone_arrives", values[path]["none@2000"]["p50_us"] != [None], "nothing arrived")
    for flood, metric in (("tcp-8", "flood_gbit"), ("supers", "flood_kfps")):
        arrived = values[path][f"{flood}@2000"][metric][0]
        case(path, f"{flood}_floods", arrived is not None and arrived > 0, arrived)
sys.exit(failed)
PYTHON

left=$(ip netns list | awk -v prefix="neighbour$run-" 'index($1, prefix) == 1 { print $1 }')
if [[ -z $left ]]; then
  echo "PASS neighbour_removes_its_namespaces"
else
  echo "FAIL neighbour_removes_its_namespaces ${left//$'\n'/ }"
  status=1
fi
exit "$status"
