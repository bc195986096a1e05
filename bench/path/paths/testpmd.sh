# shellcheck shell=bash disable=SC2034,SC2154
# DPDK testpmd: two net_tap devices, frames passed on unchanged by one polling core.
# Its TAPs have no virtio header: no checksum offload, no super-frames.

testpmd_missing() {
  command -v dpdk-testpmd >/dev/null || echo "dpdk-testpmd; apt-get install dpdk-dev"
}

testpmd_start() { # path
  local ns
  ns=$(netns "$1" a)
  polls[$1]=yes
  # Both are made in the namespace of the process; the second then moves. One main core that waits,
  # one that forwards; both are bound anew for each figure. DPDK puts its files in RUNTIME_DIRECTORY.
  start "$1" env RUNTIME_DIRECTORY="$work" ip netns exec "$ns" \
    stdbuf -oL dpdk-testpmd --lcores=0@0,1@1 --no-huge -m 512 --no-pci --no-shconf --no-telemetry \
    --vdev="net_tap0,iface=${ifname[a]}" --vdev="net_tap1,iface=${ifname[b]}" \
    -- --forward-mode=io --auto-start --no-lsc-interrupt --total-num-mbufs=16384
  await "$1" "packet forwarding" grep -q 'packet forwarding - ' "$work/$1.out"
  ip -n "$ns" link set "${ifname[b]}" netns "$(netns "$1" b)"
}
