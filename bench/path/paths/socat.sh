# shellcheck shell=bash disable=SC2034,SC2154
# socat: one process that copies between two TAPs, frame by frame.
# Its TAPs have no virtio header: no checksum offload, no super-frames.

socat_missing() {
  command -v socat >/dev/null || echo "socat; apt-get install socat"
}

socat_start() { # path
  local ns
  ns=$(netns "$1" a)
  # Both are made in the namespace of the process; the second then moves.
  start "$1" ip netns exec "$ns" socat "TUN,tun-type=tap,iff-no-pi,tun-name=${ifname[a]}" \
    "TUN,tun-type=tap,iff-no-pi,tun-name=${ifname[b]}"
  await_link "$1" "$ns" "${ifname[b]}"
  ip -n "$ns" link set "${ifname[b]}" netns "$(netns "$1" b)"
}
