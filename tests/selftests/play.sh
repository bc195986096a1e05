#!/bin/bash
# Plays the scripts once, on whatever `ip link add ... type veth` makes; run.sh calls it in
# namespaces of its own.
#
#   play.sh NET_SELFTESTS LOGS TEST...
#
# Leaves LOGS/TEST.log, what a test printed, and for each gro/* case what its programs printed.
set -euo pipefail

net=$1 logs=$2
shift 2

readonly test_limit=300 # seconds for one script

mount -t sysfs sysfs /sys # of this network namespace: a script writes to /sys/class/net
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip link set lo up
export SELFTESTS_HOME=$$
cd "$net"

play() { # LOG COMMAND...
  local log=$logs/$1 status=0
  shift
  timeout --kill-after=5 "$test_limit" "$@" >"$log" 2>&1 </dev/null || status=$?
  echo "exit status $status" >>"$log"
}

for test in "$@"; do
  echo "   $test" >&2
  case $test in
    gro.sh)
      for family in ipv4 ipv6; do
        # The cases are those which the script itself lists.
        for case in $(sed -n 's/^readonly TESTS=(\(.*\))/\1/p' gro.sh | tr -d '"'); do
          rm -f log.txt
          play "gro.$family.$case.log" ./gro.sh -t "$case" -p "$family"
          mv log.txt "$logs/gro.$family.$case.names"
        done
      done
      ;;
    *) play "$test.log" "./$test" ;;
  esac
done

# A daemon must be there to the end, and end when it is told to.
for state in "${SELFTESTS_STATE:-/nowhere}"/*.running; do
  [[ -d $state ]] || continue
  pid=$(<"$state/pid")
  if ! kill -TERM "$pid" || ! timeout 10 tail --pid="$pid" -s 0.02 -f /dev/null; then
    echo "FAIL vethd $pid died, or does not end on SIGTERM:" >&2
    cat "$state/log" >&2
    exit 1
  fi
done
