# shellcheck shell=bash disable=SC2034,SC2154
# VDE: vde_switch and a plug to a TAP at each end.
# Its TAPs have no virtio header: no checksum offload, no super-frames.

vde_missing() {
  command -v vde_switch >/dev/null && command -v vde_plug2tap >/dev/null ||
    echo "vde_switch; apt-get install vde2"
}

vde_start() { # path
  local end ns
  start "$1" vde_switch --sock "$work/$1.vde"
  await "$1" "switch" test -S "$work/$1.vde/ctl"
  for end in a b; do
    ns=$(netns "$1" $end)
    start "$1" ip netns exec "$ns" vde_plug2tap --sock "$work/$1.vde" "${ifname[$end]}"
    await_link "$1" "$ns" "${ifname[$end]}"
  done
}
