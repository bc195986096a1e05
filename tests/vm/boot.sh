#!/bin/bash
# Boots the machine that fetch.sh left in DIR, runs COMMAND in it as root, and returns its exit status.
#
#   tests/vm/boot.sh DIR COMMAND [ARGUMENT...]
#
# The guest sees the host's files where they are; what it writes goes to its own memory and is gone
# afterwards. /run is its own. Software emulation: some ten times slower than the host.
# $VETHD_VM_SECONDS (default 600) bounds a run; exit 124: it was longer. Exit 125: it did not boot.
set -euo pipefail

dir=$(realpath "$1")
shift
job=$(mktemp "$dir/job.XXXXXX")
console=$(mktemp "$dir/console.XXXXXX")
trap 'rm -f "$job" "$console"' EXIT
printf 'cd %q && exec' "$PWD" >"$job"
printf ' %q' "$@" >>"$job"

late=0
timeout --kill-after=5 "${VETHD_VM_SECONDS:-600}" "$dir/qemu" \
  -accel tcg,thread=multi -cpu max -machine q35 -smp "$(nproc)" -m 1024 \
  -nodefaults -no-reboot -display none -serial stdio \
  -kernel "$dir/vmlinuz" -initrd "$dir/initrd.gz" \
  -append "console=ttyS0 quiet panic=-1 mitigations=off vethd.job=$job" \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
  </dev/null 2>&1 | tr -d '\r' | tee "$console" || late=$?
[ $late -ne 124 ] || { echo "vm: stopped after ${VETHD_VM_SECONDS:-600} s"; exit 124; }
status=$(sed -n 's/^vm: exit //p' "$console" | tail -n 1)
exit "${status:-125}"
