#!/bin/bash
# Boots a machine that fetch.sh left in DIR, runs COMMAND in it as root, and returns its exit status.
#
#   tests/vm/boot.sh DIR KERNEL [--cpus N] [--nic KIND:WIRE]... COMMAND [ARGUMENT...]
#
#   --cpus   as many as the host has if left out
#   --nic    eth0, eth1, ... in this order. WIRE is a number: NICs with the same hear each other.
#            KIND is igb or virtio, both fit for zero-copy AF_XDP, or
#            virtio-noiommu, virtio-noreset: virtio without one of the features that it takes
#
# The guest sees the host's files where they are; what it writes goes to its own memory and is gone
# afterwards. /run is its own. Software emulation: some ten times slower than the host. On
# /dev/ttyS1 it has the monitor of its machine, whose NICs are net1, net2, ...: `set_link net1 off`.
# $VETHD_VM_SECONDS (default 600) bounds a run; exit 124: it was longer. Exit 125: it did not boot.
set -euo pipefail

dir=$(realpath "$1")
kernel=$2
shift 2

cpus=$(nproc)
nics=()
count=0
while [ $# -gt 0 ]; do
  case $1 in
    --cpus) cpus=$2 ;;
    --nic)
      virtio="virtio-net-pci,disable-legacy=on"
      case ${2%%:*} in
        igb) device=igb ;;
        virtio) device=$virtio,iommu_platform=on,queue_reset=on ;;
        virtio-noiommu) device=$virtio,iommu_platform=off,queue_reset=on ;;
        virtio-noreset) device=$virtio,iommu_platform=on,queue_reset=off ;;
        *) echo "boot.sh: no kind of NIC: $2" >&2; exit 2 ;;
      esac
      count=$((count + 1))
      # An igb wants a port of its own, and the others do not mind.
      nics+=(-netdev "hubport,id=net$count,hubid=${2##*:}"
        -device "pcie-root-port,id=port$count,chassis=$count"
        -device "$device,bus=port$count,netdev=net$count,mac=$(printf 52:54:00:00:00:%02x $count),romfile=")
      ;;
    *) break ;;
  esac
  shift 2
done

job=$(mktemp "$dir/job.XXXXXX")
console=$(mktemp "$dir/console.XXXXXX")
monitor=$job.monitor
trap 'rm -f "$job" "$console" "$monitor"' EXIT
printf 'cd %q && exec' "$PWD" >"$job"
printf ' %q' "$@" >>"$job"

# An emulator with several threads sometimes breaks an assertion of its own on the way up
# (iotlb_to_section); hardly ever twice.
for _ in 1 2; do
  late=0
  timeout --kill-after=5 "${VETHD_VM_SECONDS:-600}" "$dir/qemu" \
    -accel tcg,thread=multi -cpu max -machine q35 -smp "$cpus" -m 1024 \
    -nodefaults -no-reboot -sandbox on,spawn=deny -display none -serial stdio \
    -chardev "socket,id=monitor,path=$monitor,server=on,wait=off" -mon chardev=monitor \
    -serial "unix:$monitor" \
    -kernel "$dir/$kernel/vmlinuz" -initrd "$dir/$kernel/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off vethd.job=$job" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    "${nics[@]}" </dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$console" || late=$?
  if grep -q '^vm: .* up after ' "$console" || [ $late -eq 124 ]; then break; fi
  echo "vm: the emulator ended before the machine was up"
done
[ $late -ne 124 ] || { echo "vm: stopped after ${VETHD_VM_SECONDS:-600} s"; exit 124; }
status=$(sed -n 's/^vm: exit //p' "$console" | tail -n 1)
exit "${status:-125}"
