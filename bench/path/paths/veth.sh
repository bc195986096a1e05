# shellcheck shell=bash disable=SC2034,SC2154
# Kernel veth: what everything is compared with.

veth_missing() { :; }

veth_start() { # path
  ip link add "${ifname[a]}" netns "$(netns "$1" a)" type veth \
    peer name "${ifname[b]}" netns "$(netns "$1" b)"
}
