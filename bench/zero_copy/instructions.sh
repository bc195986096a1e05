#!/usr/bin/env bash
# Counts what a frame from NIC to NIC costs vethd in instructions of its own, above what the bare
# forwarder takes. The kernel's are not in it. What the figures mean: ../README.md.
#
# Exit 1: more than it may be.
set -euo pipefail

usage() {
  cat <<'END_OF_USAGE'
usage: instructions.sh [--functions [N]] [--keep DIR] [--results DIR] [--name NAME] [--quick] [BUILD]
  BUILD         the meson build directory (default build), of any build type; what is judged is
                its: meson setup --buildtype=release
  --functions   and where they go: the N functions that take most (default 25)
  --keep DIR    leave callgrind's files there, for callgrind_annotate
  --results DIR where to write (default bench/results)
  --name NAME   write NAME.json (default zero_copy-instructions)
  --quick       few frames: does it work
END_OF_USAGE
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root
# shellcheck source=../path/stand.sh
. "$root/bench/path/stand.sh"
# shellcheck source=../path/wire.sh
. "$root/bench/path/wire.sh"
# shellcheck source=../path/figures.sh
. "$root/bench/path/figures.sh"
# shellcheck source=../path/paths/bare.sh
. "$root/bench/path/paths/bare.sh"
# shellcheck source=../path/paths/af_xdp.sh
. "$root/bench/path/paths/af_xdp.sh"
trap cleanup EXIT
trap 'exit 130' INT TERM

build=$root/build results=$root/bench/results name=zero_copy-instructions keep='' functions=0
seconds=4 # of flood
while (($#)); do
  case $1 in
    --quick) seconds=1 && shift ;;
    --functions)
      functions=25 && shift
      [[ ! ${1:-} =~ ^[1-9][0-9]*$ ]] || { functions=$1 && shift; }
      ;;
    --keep) keep=${2:?} && shift 2 ;;
    --results) results=${2:?} && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) usage >&2 && exit 2 ;;
    *) build=$(realpath -m "$1") && shift ;;
  esac
done
readonly blast=$build/bench/path/blast vethctl=$build/daemon/vethctl
readonly wait_by_poll=$build/bench/zero_copy/libwait_by_poll.so

((EUID == 0)) || die "network namespaces need root"
for tool in valgrind ip ethtool taskset iperf3 python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install valgrind iproute2 ethtool iperf3"
done
for file in "$blast" "$vethctl" "$wait_by_poll"; do
  [[ -e $file ]] || die "$file is missing; ninja -C $build"
done

# Frames that the forwarder has handed to the second device, by its own count. vethd is asked before it
# ends, the bare forwarder says it at its end.
vethd_delivered() { # path; fails while some are under way
  "$vethctl" -j --socket "$work/$1.sock" stats | python3 -c '
import json, sys
way = json.load(sys.stdin)["pairs"][0]["a_to_b"]
print(way["tx_frames"])
sys.exit(way["in_flight"] > 0)'
}
bare_delivered() { # path
  sed -n "s|.*/$(near_ifname a) to .*: \([0-9]*\) frames\$|\1|p" "$work/$1.out"
}

# What start and end cost is counted in a run of their own, without traffic. The traffic is 64-byte
# frames as fast as they can be sent: slowed down by callgrind the forwarder finds its rings full, so
# its batches are whole, as they are where its speed matters.
count() { # path, idle or flood
  local path=$1 run=$work/$1.$2 running
  under=(valgrind --tool=callgrind "--callgrind-out-file=$run.callgrind")
  case $path in
    # Of the bare forwarder only what moves frames counts, not its waiting.
    bare_*) under+=('--toggle-collect=*forward_batch*') ;;
    *) under=(env "LD_PRELOAD=$wait_by_poll" "${under[@]}") ;;
  esac
  set_up "$path"
  finish_at_sender "$path"
  bind_forwarder "$path" $forwarder_cpu
  [[ $2 == idle ]] || load flood "$path" "$seconds" 64 --flows 1 >"$run.json"
  if [[ $path != bare_* ]]; then
    await "$path" "end of what is under way" vethd_delivered "$path"
    vethd_delivered "$path" >"$run.delivered"
  fi
  read -r -a running <<<"${forwarder[$path]}"
  stop "${running[@]}" || die "$path: callgrind has no figures"
  [[ $path != bare_* ]] || bare_delivered "$path" >"$run.delivered"
  sed -n "s/^==${running[0]}== Collected : //p" "$work/$path.log" >"$run.collected"
  take_down "$path"
}

for path in bare_copy af_xdp_copy; do
  missing=$("${kind[$path]}_missing" "$path")
  [[ -z $missing ]] || die "$path needs $missing"
  count "$path" idle
  count "$path" flood
done
[[ -z $keep ]] || { mkdir -p "$keep" && cp "$work"/*.callgrind "$keep"; }

python3 "$here/instructions.py" --raw "$work" --source "$root" --build "$build" \
  --functions "$functions" --out "$results/$name.json"
