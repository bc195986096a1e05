#!/bin/bash
# Runs the platform tests and a pair under traffic on Linux 6.1, where io_uring lacks much of what
# vethd prefers: multishot reads above all.
#
#   tests/vm/linux-6.1.sh BUILD_DIR
#
# Prints `PASS name`, `FAIL name reason` and `SKIP name reason` among the machine's own output.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1")
dir=$(realpath -m "${VETHD_VM_CACHE:-$here/../../build-vm}")

status=0
fetched=$("$here/fetch.sh" "$dir" | tee /dev/stderr) || status=$?
case $status in
  0) ;;
  77) echo "SKIP linux-6.1 ${fetched##*$'\n'}"; exit ;;
  *) echo "FAIL linux-6.1 fetch.sh ended with status $status"; exit 1 ;;
esac

"$here/boot.sh" "$dir" "$here/guest.sh" "$build" || status=$?
case $status in
  0) echo "PASS linux-6.1/boot" ;;
  124) echo "FAIL linux-6.1/boot took too long" ;;
  125) echo "FAIL linux-6.1/boot the machine did not come up" ;;
  *) echo "FAIL linux-6.1/boot the guest ended with status $status" ;;
esac
exit $status
