#!/usr/bin/env bash
# The guest's part of vm.sh: run.sh between its NICs, and the result as a line of its console.
#
#   eth0 ──wire── eth1 [ forwarder ] eth2 ──wire── eth3
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
status=0
sysctl -qw vm.nr_hugepages=160 # testpmd's memory, 256 MiB, and some
"$here/run.sh" --only-nics --nics eth1,eth2 --far eth0,eth3 --results /tmp/results "$@" || status=$?
python3 -c 'import json, sys; print("result:", json.dumps(json.load(sys.stdin)))' \
  </tmp/results/zero_copy-nics.json
exit "$status"
