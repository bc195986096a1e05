#!/usr/bin/env bash
# One short run of run.sh: kinds of figures, two settings of vethd, every program that is installed.
# Writes a line per case, as tests/results.py reads them.
#
#   run_test.sh BUILD
set -euo pipefail

build=$1
here=$(dirname "$(readlink -f "$0")")
if ((EUID != 0)); then
  echo "SKIP path_run network namespaces need root"
  exit 77
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export PYTHONDONTWRITEBYTECODE=1
# No search: on a machine that is busy with other tests there may be no rate without loss.
"$here/run.sh" --quick --repeat 1 --build "$build" --results "$results" --name run \
  --figures tcp-1,tcp-2-both,flood-64-1,flood-1518-3-both,rtt-64,cpu-64,idle \
  --vethd one= --vethd two=,a.txqueuelen=2000 &
run=$!
status=0
wait "$run" || status=$?

python3 - "$results/run.json" <<'PYTHON' || status=1
import json
import sys

every = {"tcp-1/gbit", "tcp-1/retransmits", "tcp-2-both/gbit", "flood-64-1/kfps",
         "flood-1518-3-both/kfps", "rtt-64/p999_us", "cpu-64/machine_us"}
forwarders = {"cpu-64/forwarder_us", "idle/cpu_percent", "idle/peak_mib"}
values = json.load(open(sys.argv[1]))["values"]
failed = False
for path in sorted({"veth", "floor", "one", "two"} | set(values)):
    measured = {key for key, numbers in values.get(path, {}).items() if None not in numbers}
    missing = (every if path == "veth" else every | forwarders) - measured
    failed |= bool(missing)
    print(f"FAIL path_run_{path} no {sorted(missing)}" if missing else f"PASS path_run_{path}")
sys.exit(failed)
PYTHON

left=$(ip netns list | awk -v prefix="bench$run-" 'index($1, prefix) == 1 { print $1 }')
if [[ -z $left ]]; then
  echo "PASS path_run_removes_its_namespaces"
else
  echo "FAIL path_run_removes_its_namespaces ${left//$'\n'/ }"
  status=1
fi
exit "$status"
