#!/bin/bash
# Plays the scripts once, on whatever `ip link add ... type veth` makes; run.sh calls it in
# namespaces of its own.
#
#   play.sh NET_SELFTESTS NEWEST_SELFTESTS LOGS TEST...
#
# Leaves LOGS/TEST.log, what a test printed, and for each gro/* case what its programs printed.
set -euo pipefail

net=$1 new=$2 logs=$3
shift 3

readonly test_limit=300 # seconds for one script

mount -t sysfs sysfs /sys # of this network namespace: a script writes to /sys/class/net
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip link set lo up
export SELFTESTS_HOME=$$

play() { # LOG COMMAND...
  local log=$logs/$1 status=0
  shift
  timeout --kill-after=5 "$test_limit" "$@" >"$log" 2>&1 </dev/null || status=$?
  echo "exit status $status" >>"$log"
}

# between SCRIPT [COMMAND...]: plays one that wants a device and a namespace on its other side. All of it
# is on one CPU; COMMAND is what the test itself is run by.
between() {
  local script=$1
  shift
  ip netns add remote
  taskset -c 0 ip link add veth0 type veth peer name veth1 netns remote
  ip address add 192.0.2.1/24 dev veth0
  ip address add 2001:db8::1/64 dev veth0 nodad
  ip link set veth0 up
  ip -netns remote address add 192.0.2.2/24 dev veth1
  ip -netns remote address add 2001:db8::2/64 dev veth1 nodad
  ip -netns remote link set veth1 up
  # Or a veth's GRO leaves alone what comes: gro.py itself does it on netdevsim only.
  ip netns exec remote ethtool -K veth1 tso off
  cd "$new/$(dirname "$script")"
  NETIF=veth0 LOCAL_V4=192.0.2.1 LOCAL_V6=2001:db8::1 REMOTE_V4=192.0.2.2 REMOTE_V6=2001:db8::2 \
    REMOTE_TYPE=netns REMOTE_ARGS=remote play "$(basename "$script").log" taskset -c 0 "$@" "./$(basename "$script")"
  ip link del veth0
  ip netns del remote
}

for test in "$@"; do
  echo "   $test" >&2
  case $test in
    # Before everything else on its CPU: what it sends at once meets in one poll of vethd, and veth's
    # timer of 200 us does not end between two frames.
    gro.py) between drivers/net/gro.py chrt --fifo 1 ;;
    napi_id.py) between drivers/net/napi_id.py ;;
    csum.py) between drivers/net/hw/csum.py ;;
    test_xsk.sh) cd "$new/bpf" && play test_xsk.sh.log ./test_xsk.sh ;;
    gro.sh)
      cd "$net"
      for family in ipv4 ipv6; do
        # The cases are those which the script itself lists.
        for case in $(sed -n 's/^readonly TESTS=(\(.*\))/\1/p' gro.sh | tr -d '"'); do
          rm -f log.txt
          play "gro.$family.$case.log" ./gro.sh -t "$case" -p "$family"
          mv log.txt "$logs/gro.$family.$case.names"
        done
      done
      ;;
    *) cd "$net" && play "$test.log" "./$test" ;;
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
