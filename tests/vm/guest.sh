#!/bin/bash
# The guest's part of linux-6.1.sh. Prints `PASS name` or `FAIL name reason` for each thing it tries.
#
#   tests/vm/guest.sh BUILD_DIR
set -euo pipefail

build=$1
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
here=$source_dir/tests/vm
readonly red=vethd-red blue=vethd-blue blue_v4=192.168.1.2 blue_v6=fd00::2
readonly ready_seconds=30 transfer_bytes=$((16 << 20)) port=5001
# Software emulation is slow: meson's and the pings' patience is stretched by this.
readonly slower=10

# shellcheck disable=SC2034  # check.sh prints it
stage=linux-6.1
# shellcheck source=tests/vm/check.sh
. "$here/check.sh"

[[ $(uname -r) == 6.1.* ]] || { echo "FAIL linux-6.1/kernel this is $(uname -r)"; exit 1; }

mkdir -p /tmp/gtest
# Through a pipe: on a terminal, meson draws.
GTEST_OUTPUT=xml:/tmp/gtest/ meson test -C "$build" --no-rebuild --suite platform \
  --timeout-multiplier $slower --logbase guest --print-errorlogs | cat || true
"$source_dir/tests/results.py" linux-6.1 "$build/meson-logs/guest.json" /tmp/gtest

# An XDP program calls another here, on an older kernel than most hosts have.
check xdp "$build/tests/system/system-xdp"

log=/tmp/vethd.log
exec {from_daemon}< <(exec "$build/daemon/vethd" --config "$source_dir/config/examples/pair.toml" 2>$log)
daemon=$!
if ! read -r -t $ready_seconds -u "$from_daemon" ready; then
  cat $log
  echo "FAIL linux-6.1/ready no ready line within $ready_seconds s"
  exit 1
fi
echo "$ready"
check single_shot_reads_are_reported grep -i single-shot $log
check ping_v4 ip netns exec $red ping -q -c 5 -i 0.2 -W $slower $blue_v4
check ping_v6 ip netns exec $red ping -q -c 5 -i 0.2 -W $slower $blue_v6

for address in $blue_v4 $blue_v6; do
  transfer=("$address" "$port" "$transfer_bytes")
  exec {from_receiver}< <(exec ip netns exec $blue "$here/transfer.py" receive "${transfer[@]}")
  receiver=$!
  read -r -t $ready_seconds -u "$from_receiver" _ || true
  ip netns exec $red "$here/transfer.py" send "${transfer[@]}" || true
  check "tcp_content_to_$address" wait $receiver
done

kill -TERM $daemon
check stops_cleanly wait $daemon
