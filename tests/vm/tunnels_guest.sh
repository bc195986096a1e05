#!/bin/bash
# Encapsulations, and SCTP, that the host's kernel may not have, over an AF_XDP end on a veth: what
# its sender leaves unfinished must arrive usable. Prints `PASS name` or `FAIL name reason` for each.
#
#   tests/vm/tunnels_guest.sh STAGE BUILD_DIR
#
#   red: veth0 (TAP) ══vethd══ nic0 (AF_XDP) ──veth── veth1 :blue
set -euo pipefail

# shellcheck disable=SC2034  # check.sh prints it
stage=$1
vethd=$2/daemon/vethd
here=$(cd "$(dirname "$0")" && pwd)
readonly red=tunnel-red blue=tunnel-blue red_v4=192.168.7.1 blue_v4=192.168.7.2
readonly ready_seconds=30 port=5002 transfer_bytes=$((64 << 10))
# shellcheck source=tests/vm/check.sh
. "$here/check.sh"

# arrives FROM TO ADDRESS [PROTOCOL]
arrives() {
  local receiver from_receiver transfer=("$3" "$port" "$transfer_bytes" "${4:-tcp}") status=0
  exec {from_receiver}< <(exec ip netns exec "$2" "$here/transfer.py" receive "${transfer[@]}")
  receiver=$!
  read -r -t $ready_seconds -u "$from_receiver" _ || return
  ip netns exec "$1" timeout $ready_seconds "$here/transfer.py" send "${transfer[@]}" || status=$?
  [ $status -eq 0 ] || kill $receiver 2>/dev/null || true
  wait $receiver && return $status
}

both_ways() { arrives $blue $red "$1" "${3:-}" && arrives $red $blue "$2" "${3:-}"; }

# tunnel NAME OPTION...: ip link's, with LOCAL and REMOTE in them.
tunnel() {
  local name=$1 netns local_v4 remote_v4 number
  shift
  for netns in $red $blue; do
    if [ "$netns" = "$red" ]; then
      local_v4=$red_v4 remote_v4=$blue_v4 number=1
    else
      local_v4=$blue_v4 remote_v4=$red_v4 number=2
    fi
    # shellcheck disable=SC2046  # each is a word
    ip -n $netns link add tunnel type $(sed "s/LOCAL/$local_v4/; s/REMOTE/$remote_v4/" <<<"$*")
    ip -n $netns link set tunnel up
    ip -n $netns address add 10.99.0.$number/24 dev tunnel 2>/dev/null || true
    ip -n $netns address add fd99::$number/64 dev tunnel nodad 2>/dev/null || true
  done
  case $name in
    *v6) check "$mode.$name" both_ways fd99::1 fd99::2 ;;
    *) check "$mode.$name" both_ways 10.99.0.1 10.99.0.2 ;;
  esac
  for netns in $red $blue; do ip -n $netns link delete tunnel; done
}

all_tunnels() {
  local netns
  for netns in $red $blue; do ip -n $netns fou add port 5555 ipproto 4; done
  tunnel ipip ipip local LOCAL remote REMOTE
  tunnel sit_v6 sit local LOCAL remote REMOTE
  tunnel gre gre local LOCAL remote REMOTE csum key 7
  tunnel gretap gretap local LOCAL remote REMOTE
  tunnel geneve geneve id 7 remote REMOTE
  tunnel fou ipip local LOCAL remote REMOTE encap fou encap-sport auto encap-dport 5555 encap-csum
}

# with_nic MODE COMMAND...
with_nic() {
  local mode=$1 daemon from_daemon ready=
  shift
  ip netns add $red
  ip netns add $blue
  ip link add nic0 type veth peer name veth1 netns $blue
  ip link set nic0 up
  ip -n $blue address add $blue_v4/24 dev veth1
  ip -n $blue link set veth1 up
  cat >/tmp/tunnels.toml <<END
[[pair]]
name = "tunnels"
[pair.a]
netns = "$red"
ifname = "veth0"
addresses = ["$red_v4/24"]
[pair.b]
driver = "af_xdp"
ifname = "nic0"
mode = "$mode"
END
  exec {from_daemon}< <(exec "$vethd" --config /tmp/tunnels.toml 2>/tmp/vethd.log)
  daemon=$!
  read -r -t $ready_seconds -u "$from_daemon" ready || true
  [[ $ready == *ready* ]] || cat /tmp/vethd.log
  check "$mode.tcp" both_ways $red_v4 $blue_v4
  check "$mode.sctp" both_ways $red_v4 $blue_v4 sctp
  "$@"
  kill -TERM $daemon
  check "$mode.stops" wait $daemon
  ip link delete nic0
  ip netns delete $red
  ip netns delete $blue
}

with_nic copy all_tunnels
