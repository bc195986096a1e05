#!/bin/bash
# Builds on Debian 13 and runs the unit tests and the simulation there, in a chroot: by hand, as root.
#
#   tests/vm/debian13.sh [DIR]     DIR: build-debian13 in the source tree; kept for the next time
#
# Needs debootstrap. Exit 0: all passed.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
root=$(realpath -m "${1:-$source_dir/build-debian13}")
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016  # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
  "Release: $suite" | sed -n 1p)

[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase trixie "$root" "$mirror"
mkdir -p "$root/src"
tar -C "$source_dir" --exclude='./build*' --exclude=./.git -c . | tar -C "$root/src" -x
cp /etc/resolv.conf "$root/etc/"
# A mount namespace of its own: the mounts end with it.
# shellcheck disable=SC2016  # the inner shell expands it
unshare --mount bash -euc '
  mount -t proc proc "$0/proc"
  mount --rbind /dev "$0/dev"
  exec chroot "$0" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -euc "
    cd /src
    tests/packages.sh test
    [ -e build/build.ninja ] || meson setup build --buildtype=debugoptimized
    ninja -C build
    meson test -C build --print-errorlogs --suite unit --suite sim"
' "$root"
