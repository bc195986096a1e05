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
readonly red=vethd-red blue=vethd-blue red_v4=192.168.1.1 blue_v4=192.168.1.2
readonly ready_seconds=30 datagrams=500 port=5001
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

# stops PID: at a signal, in order, and nothing stays on the devices.
stops() {
  kill -TERM "$1"
  wait "$1"
  ! ip -details link show | grep 'prog/xdp'
}

# forwards NAME MODE COMMAND...: COMMAND says ready when it forwards between eth1 and eth2.
forwards() {
  local name=$1 mode=$2 from_forwarder forwarder ready=
  shift 2
  exec {from_forwarder}< <(exec "$@" 2>/tmp/forwarder.log)
  forwarder=$!
  read -r -t $ready_seconds -u "$from_forwarder" ready || true
  if [[ $ready != *ready* ]]; then
    cat /tmp/forwarder.log
    echo "FAIL $stage/$name.starts said ${ready:-nothing}; $(tail -n 1 /tmp/forwarder.log)"
    kill -KILL "$forwarder" 2>/dev/null || true
    return
  fi
  check "$name.sockets_are_$mode" "$here/xdp_options.py" "$forwarder" "$mode" "$mode"
  check "$name.datagrams_arrive" datagrams_arrive
  check "$name.stops" stops "$forwarder"
}

# nic_to_nic MODE: writes a configuration, says where.
nic_to_nic() {
  cat >"/tmp/nic-$1.toml" <<END
[[pair]]
name = "wire"
[pair.a]
driver = "af_xdp"
ifname = "eth1"
mode = "$1"
[pair.b]
driver = "af_xdp"
ifname = "eth2"
mode = "$1"
END
  echo "/tmp/nic-$1.toml"
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
    ;;
  zero-copy-refused)
    check noiommu_is_EINVAL is_refused eth0 "Invalid argument"
    check noreset_is_ENOENT is_refused eth1 "No such file or directory"
    ;;
  zero-copy-linux-6.12)
    check virtio_is_EOPNOTSUPP is_refused eth0 "Operation not supported"
    check igb_is_EOPNOTSUPP is_refused eth1 "Operation not supported"
    ;;
  *)
    echo "FAIL $stage there is no such stage"
    exit 2
    ;;
esac
