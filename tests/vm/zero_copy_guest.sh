#!/bin/bash
# The guest's part of zero_copy.sh. Prints `PASS name` or `FAIL name reason` for each case.
#
#   tests/vm/zero_copy_guest.sh STAGE BUILD_DIR
#
#   red: eth0 ──wire── eth1 [ forwarder ] eth2 ──wire── eth3 :blue
set -euo pipefail

stage=$1
build=$2
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
here=$source_dir/tests/vm
bare=$build/bench/zero_copy/bare
vethd=$build/daemon/vethd
readonly red=vethd-red blue=vethd-blue green=vethd-green red_v4=192.168.1.1 blue_v4=192.168.1.2
readonly monitor=/dev/ttyS1 # of the machine, as boot.sh says
# Software emulation is slow: meson's patience is stretched by this.
readonly slower=10
readonly ready_seconds=30 datagrams=500 port=5001 transfer_bytes=$((8 << 20))
# shellcheck source=tests/vm/check.sh
. "$here/check.sh"

# far_end NETNS IFNAME ADDRESS
far_end() {
  ip netns add "$1"
  ip link set "$2" netns "$1"
  ip -n "$1" address add "$3/24" dev "$2"
  ip -n "$1" link set "$2" up
}

# near_end IFNAME: takes frames that are for others, and all of them on one queue.
near_end() {
  ethtool --set-channels "$1" combined 1 2>/dev/null || true  # a virtio has no more
  ip link set "$1" promisc on up
}

# datagrams_arrive: every byte both ways between the far ends.
datagrams_arrive() {
  local answering from_answering status=0
  exec {from_answering}< <(exec ip netns exec $blue "$here/datagrams.py" answer $blue_v4 $port $datagrams)
  answering=$!
  read -r -t $ready_seconds -u "$from_answering" _ || return
  ip netns exec $red "$here/datagrams.py" ask $blue_v4 $port $datagrams || status=$?
  [ $status -eq 0 ] || kill $answering 2>/dev/null || true
  wait $answering && return $status
}

# tcp_arrives FROM TO ADDRESS: into the device, and out of it.
tcp_arrives() {
  local receiver from_receiver transfer=("$3" $port $transfer_bytes) status=0
  exec {from_receiver}< <(exec ip netns exec "$2" "$here/transfer.py" receive "${transfer[@]}")
  receiver=$!
  read -r -t $ready_seconds -u "$from_receiver" _ || return
  ip netns exec "$1" "$here/transfer.py" send "${transfer[@]}" || status=$?
  [ $status -eq 0 ] || kill $receiver 2>/dev/null || true
  wait $receiver && return $status
}

# stops PID: at a signal, in order, and nothing stays on the devices.
stops() {
  kill -TERM "$1"
  wait "$1"
  ! ip -details link show | grep 'prog/xdp'
}

# starts NAME COMMAND...: leaves its process in $forwarder once it says ready; false if it does not.
starts() {
  local name=$1 from_forwarder ready=
  shift
  exec {from_forwarder}< <(exec "$@" 2>/tmp/forwarder.log)
  forwarder=$!
  read -r -t $ready_seconds -u "$from_forwarder" ready || true
  [[ $ready != *ready* ]] || return 0
  cat /tmp/forwarder.log
  echo "FAIL $stage/$name.starts said ${ready:-nothing}; $(tail -n 1 /tmp/forwarder.log)"
  kill -KILL "$forwarder" 2>/dev/null || true
  return 1
}

# forwards NAME MODE COMMAND...: COMMAND says ready when it forwards between eth1 and eth2, through
# $sockets sockets.
sockets=2
forwards() {
  local name=$1 mode=$2 modes=()
  shift 2
  while ((${#modes[@]} < sockets)); do modes+=("$mode"); done
  starts "$name" "$@" || return 0
  check "$name.sockets_are_$mode" "$here/xdp_options.py" "$forwarder" "${modes[@]}"
  check "$name.datagrams_arrive" datagrams_arrive
  check "$name.stops" stops "$forwarder"
}

# is_killed: and leaves no program behind.
is_killed() {
  kill -KILL "$forwarder"
  wait "$forwarder" || true
  ! ip -details link show | grep 'prog/xdp'
}

# is_killed_and_comes_back: everything that was held is free again, at once.
is_killed_and_comes_back() {
  starts killed "$vethd" --config "$(nic_to_nic zerocopy)" || return 0
  check killed.leaves_nothing is_killed
  forwards killed_and_started_again zerocopy "$vethd" --config "$(nic_to_nic zerocopy)"
}

# tap_to_nic: a container's TAP straight to the wire, in namespace green.
tap_to_nic() {
  cat >/tmp/tap.toml <<END
[[pair]]
name = "uplink"
[pair.a]
netns = "$green"
ifname = "veth0"
addresses = ["192.168.1.3/24"]
[pair.b]
driver = "af_xdp"
ifname = "eth1"
mode = "zerocopy"
END
  starts tap "$vethd" --config /tmp/tap.toml || return 0
  check tap.sockets_are_zerocopy "$here/xdp_options.py" "$forwarder" zerocopy
  check tap.tcp_to_the_wire tcp_arrives $green $red $red_v4
  check tap.tcp_from_the_wire tcp_arrives $red $green 192.168.1.3
  check tap.stops stops "$forwarder"
}

# says CONFIG WORDS: vethd ends because it could not set up, says so, and leaves nothing.
says() {
  local status=0 said
  said=$(timeout $ready_seconds "$vethd" --config "$1" 2>&1) || status=$?
  echo "$said"
  [ $status -eq 1 ] && [[ $said == *"$2"* ]] && ! ip -details link show | grep 'prog/xdp'
}

# nic_to_nic MODE [FROM TO [QUEUES]]: writes a configuration, says where.
nic_to_nic() {
  local end
  {
    printf '[[pair]]\nname = "wire"\n'
    for end in "a ${2:-eth1}" "b ${3:-eth2}"; do
      printf '[pair.%s]\ndriver = "af_xdp"\nifname = "%s"\nmode = "%s"\nqueues = %d\n' \
        $end "$1" "${4:-1}"
    done
  } >"/tmp/nic-$1.toml"
  echo "/tmp/nic-$1.toml"
}

# auto_takes MODE: where nothing better is to be had, and says why.
auto_takes() {
  starts auto "$vethd" --config "$(nic_to_nic auto eth0 eth1)" || return 0
  check "auto.takes_$1" "$here/xdp_options.py" "$forwarder" "$1" "$1"
  check auto.says_why_no_zerocopy grep -q '(zerocopy): ' /tmp/forwarder.log
  check auto.stops stops "$forwarder"
}

# two_queues: of an igb; frames of both are forwarded.
two_queues() {
  ethtool --set-channels eth1 combined 2
  ethtool --set-channels eth2 combined 2
  sockets=4 forwards two_queues zerocopy "$vethd" --config "$(nic_to_nic zerocopy eth1 eth2 2)"
  check one_queue_too_few says "$(nic_to_nic zerocopy eth1 eth2 1)" "write queues = 2"
}

# cases TEST...: of the build directory, each case by its name. The NICs are where they were at first.
cases() {
  ip -all netns delete
  # The monitor's own words are not to be answered.
  stty -F "$monitor" raw -echo
  mkdir -p /tmp/gtest
  # Through a pipe: on a terminal, meson draws.
  VETHD_VM_MONITOR=$monitor GTEST_OUTPUT=xml:/tmp/gtest/ meson test -C "$build" --no-rebuild \
    --num-processes 1 --timeout-multiplier $slower --logbase guest --print-errorlogs "$@" | cat || true
  "$source_dir/tests/results.py" "$stage" "$build/meson-logs/guest.json" /tmp/gtest
}

# is_refused IFNAME ERROR: what the kernel says when zero-copy is asked for, in its own words.
is_refused() {
  local said status=0
  ip link set "$1" up
  said=$("$bare" --from "$1" --to "$1" --mode zerocopy 2>&1) || status=$?
  echo "$said"
  [ $status -eq 1 ] && [[ $said == *"bind $1: $2"* ]]
}

case $stage in
  zero-copy-igb | zero-copy-virtio)
    far_end $red eth0 $red_v4
    far_end $blue eth3 $blue_v4
    near_end eth1
    near_end eth2
    #        NAME      MODE     COMMAND
    forwards bare      zerocopy "$bare" --from eth1 --to eth2 --mode zerocopy
    forwards bare_busy zerocopy "$bare" --from eth1 --to eth2 --mode zerocopy --busy
    forwards bare_copy copy     "$bare" --from eth1 --to eth2 --mode copy
    forwards vethd     zerocopy "$vethd" --config "$(nic_to_nic zerocopy)"
    forwards auto      zerocopy "$vethd" --config "$(nic_to_nic auto)"
    forwards copy      copy     "$vethd" --config "$(nic_to_nic copy)"
    is_killed_and_comes_back
    tap_to_nic
    if [ $stage = zero-copy-igb ]; then
      two_queues
      cases zero_copy
    else
      # A virtio has one queue here.
      GTEST_FILTER=-ZeroCopyOfTwoQueues.* cases zero_copy
      cases 'platform xsk' 'platform same_chunk'
    fi
    ;;
  zero-copy-refused)
    check noiommu_is_EINVAL is_refused eth0 "Invalid argument"
    check noreset_is_ENOENT is_refused eth1 "No such file or directory"
    check vethd_names_iommu_platform says "$(nic_to_nic zerocopy eth0 eth1)" iommu_platform
    check vethd_names_queue_reset says "$(nic_to_nic zerocopy eth1 eth0)" queue_reset
    auto_takes copy
    # Not about zero-copy; but here is a machine with such a kernel, and time left in it.
    "$here/tunnels_guest.sh" "$stage" "$build"
    ;;
  zero-copy-linux-6.12)
    check virtio_is_EOPNOTSUPP is_refused eth0 "Operation not supported"
    check igb_is_EOPNOTSUPP is_refused eth1 "Operation not supported"
    ethtool --set-channels eth1 combined 1
    check vethd_says_so says "$(nic_to_nic zerocopy eth0 eth1)" "has no zero-copy in this kernel"
    cases 'platform xsk' 'platform same_chunk'
    ;;
  *)
    echo "FAIL $stage there is no such stage"
    exit 2
    ;;
esac
