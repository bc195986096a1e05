# shellcheck shell=bash disable=SC2034,SC2154
# What AF_XDP forwarders stand between: devices with a wire to each end. Part of run.sh.
#
#   a: veth0 ═══ nic0 :near: nic1 ═══ veth1 :b      kernel veths, of each path its own
#   a: veth0 ─wire─ NIC [this namespace] NIC ─wire─ veth1 :b   --nics: the same for all, so only one
#                                                   forwarder is there at a time
#
# With --nics the far devices are renamed while they are in the ends' namespaces.

for mode in zerocopy copy generic; do
  kind[af_xdp_$mode]=af_xdp
  kind[bare_$mode]=bare
done
for mode in zerocopy copy; do kind[testpmd_$mode]=testpmd_af_xdp; done

declare -A near=([a]=nic0 [b]=nic1) # the devices the forwarder has
declare -A far=()                   # with --nics: those in the ends' namespaces
nics='' wire_stands=''

uses_wire() { [[ ${kind[$1]:-} =~ ^(af_xdp|bare|testpmd_af_xdp)$ ]]; } # path
takes_turns() { [[ -n $nics ]] && uses_wire "$1"; }                  # path
mode_of() { echo "${1##*_}"; }                                       # path
near_ifname() { echo "${near[$1]}"; }                                # end

# What the kernel says of the sockets, whatever the forwarder does: no figure of zero-copy is one of copies.
assert_mode() { # path
  local mode
  mode=$(mode_of "$1")
  [[ $mode != generic ]] || mode=copy # of generic XDP there is nothing else
  "$root/tests/vm/xdp_options.py" "${forwarder[$1]}" "$mode" "$mode" >>"$work/$1.log" ||
    give_up "$1" "not two sockets in $mode mode"
}

zero_copy_missing() { # path
  [[ $1 != *_zerocopy || -n $nics ]] || echo "NICs; --nics"
}

take_nics() { # IF1,IF2 of --nics, IF1,IF2 of --far
  local taken
  nics=$1
  IFS=, read -r "near[a]" "near[b]" <<<"$1"
  IFS=, read -r "far[a]" "far[b]" <<<"$2"
  for taken in "${near[@]}" "${far[@]}"; do
    [[ -n $taken ]] || die "--nics and --far name two devices each"
    ip link show dev "$taken" >/dev/null || die "no device $taken in this namespace"
    [[ -z $(ip route show default dev "$taken") ]] || die "a default route uses $taken"
  done
}

# The forwarder's side of the wires.
stand_near() { # path
  local end ns
  [[ -z $nics ]] || return 0
  ns=$(netns "$1" near)
  ip netns add "$ns"
  ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
    net.ipv6.conf.default.disable_ipv6=1
  for end in a b; do
    ip link add "${near[$end]}" netns "$ns" type veth peer name "${ifname[$end]}" \
      netns "$(netns "$1" $end)"
    ip -n "$ns" link set "${near[$end]}" up
    ip -n "$(netns "$1" $end)" link set "${ifname[$end]}" up # carrier, which all of them wait for
  done
}

# Frames leave the ends as they would arrive from a wire: a veth hands on what its sender has left to
# the hardware, and a forwarder of bytes does not know.
finish_at_sender() { # path
  local end
  [[ -z $nics ]] || return 0
  for end in a b; do
    ip netns exec "$(netns "$1" $end)" ethtool -K "${ifname[$end]}" tso off gso off tx off >/dev/null
  done
}

# With --nics: the far ends move in, once.
stand_wires() {
  local end ns
  for end in a b; do
    ns=$(netns wire $end)
    ip link set "${far[$end]}" down
    ip link set "${far[$end]}" netns "$ns" name "${ifname[$end]}"
    # One queue, as a veth has, and frames to anybody.
    ethtool --set-channels "${near[$end]}" combined 1 2>/dev/null || true # a virtio has no more
    ip link set "${near[$end]}" promisc on up
  done
  wire_stands=yes
}

take_down_wires() {
  local end
  [[ -n $wire_stands ]] || return 0
  for end in a b; do
    ip -n "$(netns wire $end)" link set "${ifname[$end]}" down
    ip -n "$(netns wire $end)" link set "${ifname[$end]}" netns $$ name "${far[$end]}"
    ip link set "${near[$end]}" promisc off
  done
}

has_carrier() { # end
  ip link show dev "${near[$1]}" up | grep -q LOWER_UP &&
    ip -n "$(netns wire "$1")" link show dev "${ifname[$1]}" up | grep -q LOWER_UP
}

forwards() { ip netns exec "$(netns "$1" a)" ping -qc 1 -W 1 "${address[b]}"; } # path

# A forwarder comes for its turn; some NICs reset their link when a program comes or goes, or have
# nowhere to put frames for a moment.
begin_turn() { # path
  "${kind[$1]}_start" "$1" && await "$1" "carrier" has_carrier a && await "$1" "carrier" has_carrier b &&
    await "$1" "answer to a ping" forwards "$1"
}
