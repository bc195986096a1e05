#!/bin/bash
# The transfers of tests/system/integrity.cpp, with gibibytes each way instead of a few mebibytes.
#
#   sudo tests/soak.sh [MIB]    MIB: mebibytes each way of each transfer (default 4096)
#
# Builds in build-test. Prints what each sender had to send again; exit 0: every byte was right.
set -euo pipefail
cd "$(dirname "$0")/.."

export VETHD_SOAK_MIB=${1:-4096}
[[ $VETHD_SOAK_MIB =~ ^[1-9][0-9]*$ ]] || {
  echo "usage: soak.sh [MIB]" >&2
  exit 2
}
((EUID == 0)) || {
  echo "soak.sh: network namespaces need root" >&2
  exit 1
}
[ -e build-test/build.ninja ] || meson setup build-test --buildtype=debugoptimized
ninja -C build-test daemon/vethd daemon/vethctl tests/system/system-integrity
build-test/tests/system/system-integrity
