# shellcheck shell=bash disable=SC2034,SC2154
# The floor of AF_XDP (../../zero_copy/bare.cpp): bare_zerocopy, bare_copy, bare_generic.

bare_missing() { # path
  local binary=$build/bench/zero_copy/bare
  if [[ ! -x $binary ]]; then echo "$binary; ninja -C $build"; else zero_copy_missing "$1"; fi
}

bare_start() { # path
  local in=
  stand_near "$1"
  finish_at_sender "$1"
  [[ -n $nics ]] || in=$(netns "$1" near)/
  start "$1" "${under[@]}" "$build/bench/zero_copy/bare" --mode "$(mode_of "$1")" \
    --from "$in$(near_ifname a)" --to "$in$(near_ifname b)"
  await_ready "$1" && assert_mode "$1"
}
