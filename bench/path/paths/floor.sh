# shellcheck shell=bash disable=SC2034,SC2154
# The floor: poll + read + write between two TAPs, no emulation (../floor.cpp).

floor_missing() {
  [[ -x $build/bench/path/floor ]] || echo "$build/bench/path/floor; ninja -C $build"
}

floor_start() { # path
  start "$1" "$build/bench/path/floor" \
    "$(netns "$1" a)" "${ifname[a]}" "$(netns "$1" b)" "${ifname[b]}"
  await_ready "$1"
}
