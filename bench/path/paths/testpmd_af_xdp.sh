# shellcheck shell=bash disable=SC2034,SC2154
# DPDK testpmd between two net_af_xdp devices, polling on one core: testpmd_zerocopy, testpmd_copy.

readonly memory_mib=256 # 16384 mbufs, and what DPDK needs besides

huge_mib() {
  awk '$1 == "HugePages_Free:" { n = $2 } $1 == "Hugepagesize:" { print int(n * $2 / 1024) }' /proc/meminfo
}

testpmd_af_xdp_missing() { # path
  local program
  program=$(testpmd_missing)
  if [[ -n $program ]]; then
    echo "$program"
  elif [[ $1 != *_zerocopy ]]; then
    return
  elif [[ -z $nics ]]; then
    zero_copy_missing "$1"
  elif (($(huge_mib) < memory_mib)); then
    echo "$memory_mib MiB of free huge pages; sysctl vm.nr_hugepages"
  fi
}

# virtio_net has to be told to receive whenever it has received. testpmd does that by a poll(2) of a
# second, of which it must not do two in one thread; the other way it has, preferred busy polling, never
# sends on this driver.
sleeps_in_poll() { [[ -n $nics && $(readlink "/sys/class/net/${near[a]}/device/driver") == */virtio_net ]]; }

testpmd_af_xdp_start() { # path
  local in=() cores=0@0,1@1 directions_apart=() memory=(--no-huge) mbuf=() more=
  stand_near "$1"
  finish_at_sender "$1"
  polls[$1]=yes
  [[ -n $nics ]] || in=(ip netns exec "$(netns "$1" near)")
  # An mbuf is a chunk of the UMEM, and igb wants a whole frame in each.
  [[ -z $nics ]] || mbuf=(--mbuf-size=3648)
  ! sleeps_in_poll || cores+=,2@1 directions_apart=(--nb-cores=2)
  case $(mode_of "$1") in
    # The kernel never gives back a chunk that lies on two pages, unless they follow each other.
    zerocopy) memory=(--in-memory) ;;
    copy) more=,force_copy=1 ;; # else it takes the best it gets
  esac
  # busy_budget=0: without it the device's interrupts are put off, and the others' are not.
  start "$1" env RUNTIME_DIRECTORY="$work" "${in[@]}" stdbuf -oL dpdk-testpmd \
    --lcores=$cores "${memory[@]}" -m $memory_mib --no-pci --no-shconf --no-telemetry \
    --vdev="net_af_xdp0,iface=$(near_ifname a),busy_budget=0$more" \
    --vdev="net_af_xdp1,iface=$(near_ifname b),busy_budget=0$more" \
    -- --forward-mode=io --auto-start --no-lsc-interrupt --total-num-mbufs=16384 "${mbuf[@]}" \
    "${directions_apart[@]}"
  await "$1" "packet forwarding" grep -q 'packet forwarding - ' "$work/$1.out" && assert_mode "$1"
}
