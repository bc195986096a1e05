# shellcheck shell=bash disable=SC2034,SC2154
# vethd with AF_XDP sockets at both ends: af_xdp_zerocopy, af_xdp_copy, af_xdp_generic.

af_xdp_missing() { # path
  local binary=$build/daemon/vethd
  if [[ ! -x $binary ]]; then echo "$binary; ninja -C $build"; else zero_copy_missing "$1"; fi
}

af_xdp_config() { # path
  local end
  printf '[daemon]\ncontrol_socket = "%s/%s.sock"\n[[pair]]\nname = "bench"\n' "$work" "$1"
  for end in a b; do
    printf '[pair.%s]\ndriver = "af_xdp"\nifname = "%s"\nmode = "%s"\n' \
      $end "$(near_ifname $end)" "$(mode_of "$1")"
    [[ -n $nics ]] || printf 'netns = "%s"\n' "$(netns "$1" near)"
  done
}

af_xdp_start() { # path
  # Native XDP on a veth finds checksums that were never computed; finishing them is vethd's work.
  # In generic mode super-frames arrive, too, and nobody could tell.
  stand_near "$1"
  [[ $1 != *_generic ]] || finish_at_sender "$1"
  af_xdp_config "$1" >"$work/$1.toml"
  start "$1" "${under[@]}" "$build/daemon/vethd" --config "$work/$1.toml"
  await_ready "$1" && assert_mode "$1"
}
