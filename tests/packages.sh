#!/bin/bash
# Installs the Debian packages that a task needs; does nothing when they are all there.
#
#   tests/packages.sh build|demo|test
#
# Debian 12 and 13, from the mirror apt already uses. Exit 1: some are missing and cannot be
# installed from here; the output says which.
set -euo pipefail

build=(g++ meson ninja-build pkg-config liburing-dev libtomlplusplus-dev libcli11-dev
  libspdlog-dev libnl-3-dev libnl-route-3-dev libxdp-dev libbpf-dev clang bpftool
  libgtest-dev libgmock-dev libbenchmark-dev)  # small, and meson looks for them at set-up
traffic=(iproute2 iputils-ping iperf3)
checks=(ethtool nftables python3 clang-format-19 gnuplot-nox)

# Asio and JSON of Boost 1.81 or newer. Debian 12 has 1.81 beside its default 1.74, and only one
# of them can be installed: apt replaces the other.
# shellcheck source=/dev/null
release=$(. /etc/os-release 2>/dev/null && echo "${ID:-}${VERSION_ID:-}")
case $release in
  debian12) build+=(libboost1.81-dev libboost-json1.81-dev) ;;
  *) build+=(libboost-dev libboost-json-dev) ;;
esac

case ${1:-} in
  build) wanted=("${build[@]}") ;;
  demo) wanted=("${build[@]}" "${traffic[@]}") ;;
  test) wanted=("${build[@]}" "${traffic[@]}" "${checks[@]}") ;;
  *) sed -n '2,7s/^# \?//p' "$0"; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "Not Debian: install by hand what Debian calls" "${wanted[@]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  # shellcheck disable=SC2016  # dpkg-query expands it
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed* ]] ||
    missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "Missing packages; as root: apt-get install" "${missing[@]}" >&2
  exit 1
fi
echo "Installing ${#missing[@]} packages and what they depend on: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o Acquire::Retries=3 update
apt-get -q -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "${missing[@]}"
