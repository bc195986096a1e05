#!/bin/bash
# Runs AF_XDP on NICs that the kernel can drive without a copy, and on those it cannot.
#
#   tests/vm/zero_copy.sh BUILD_DIR
#
# Prints `PASS name`, `FAIL name reason` and `SKIP name reason` among the machines' own output.
# Skipped is only what cannot be fetched: a machine that gives less than zero-copy fails.
set -euo pipefail

# shellcheck source=tests/vm/stage.sh
. "$(dirname "$0")/stage.sh"
build=$(realpath "$1")
# The longest takes some four minutes on an idle host, and several times that on a busy one.
export VETHD_VM_SECONDS=${VETHD_VM_SECONDS:-1200}
status=0

# machine STAGE KERNEL NIC...: what zero_copy_guest.sh has for STAGE.
machine() {
  local stage=$1 kernel=$2 nic options=()
  shift 2
  for nic in "$@"; do options+=(--nic "$nic"); done
  # An igb has as many queues as there are CPUs.
  run_in_machine "$stage" "$kernel" --cpus 2 "${options[@]}" \
    "$here/zero_copy_guest.sh" "$stage" "$build" || status=1
}

fetch_machine zero-copy current
machine zero-copy-igb current igb:0 igb:0 igb:1 igb:1
machine zero-copy-virtio current virtio:0 virtio:0 virtio:1 virtio:1
machine zero-copy-refused current virtio-noiommu:0 virtio-noreset:0
fetch_machine zero-copy-linux-6.12 6.12
machine zero-copy-linux-6.12 6.12 virtio:0 igb:0
exit $status
