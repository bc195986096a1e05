#!/usr/bin/env bash
# Measures AF_XDP without a copy in machines with such NICs: igb and virtio, both emulated, so only
# ratios mean something. Prints what run.sh prints there.
#
# Exit 1: a machine did not come up, its NICs gave less than zero-copy, or a figure could not be taken.
set -euo pipefail

usage() {
  cat <<'END_OF_USAGE'
usage: vm.sh [--build DIR] [--results DIR] [--name NAME] [--nic igb|virtio] [--repeat N] [--quick]
  --build DIR   the meson build directory (default build)
  --results DIR where to write (default bench/results)
  --name NAME   write NAME-igb.json and NAME-virtio.json (default zero_copy)
  --nic KIND    only these
  --repeat N    repetitions of everything
  --quick       short trials: does it work, not how fast is it
$VETHD_VM_CACHE has the machine's files (default build-vm).
END_OF_USAGE
}

bench=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$bench/../..")
readonly bench root
readonly machine_seconds=3600 # a forwarder comes and goes for each figure, at a tenth of the speed

build=$root/build results=$root/bench/results name=zero_copy nics=(igb virtio) options=()
while (($#)); do
  case $1 in
    --build) build=${2:?} && shift 2 ;;
    --results) results=${2:?} && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    --nic) nics=("${2:?}") && shift 2 ;;
    --repeat) options+=(--repeat "${2:?}") && shift 2 ;;
    --quick) options+=(--quick) && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
build=$(realpath "$build")
export VETHD_VM_CACHE=${VETHD_VM_CACHE:-$root/build-vm} VETHD_VM_SECONDS=${VETHD_VM_SECONDS:-$machine_seconds}
# shellcheck source=../../tests/vm/stage.sh
. "$root/tests/vm/stage.sh"
here=$root/tests/vm # stage.sh takes it for the caller's

fetch_machine zero-copy-bench current
said=$(mktemp)
trap 'rm -f "$said"' EXIT
mkdir -p "$results"
status=0
for nic in "${nics[@]}"; do
  # The guest's files go with it: the result comes by its console.
  "$here/boot.sh" "$machine_dir" current --cpus 2 \
    --nic "$nic:0" --nic "$nic:0" --nic "$nic:1" --nic "$nic:1" \
    "$bench/vm_guest.sh" --build "$build" "${options[@]}" | tee "$said" | grep -v '^result: ' || status=1
  if grep -q '^result: ' "$said"; then
    sed -n 's/^result: //p' "$said" >"$results/$name-$nic.json"
    echo "written: $results/$name-$nic.json"
  else
    echo "vm.sh: no result with $nic" >&2
    status=1
  fi
done
exit $status
