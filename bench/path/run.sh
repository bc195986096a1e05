#!/usr/bin/env bash
# Measures kernel veth, the plain forwarder (the floor) and vethd side by side, and prints their
# ratios. What each figure means: ../README.md.
#
# All paths stand during the whole run, dressed alike; only one carries traffic at a time. They take
# turns at every figure, so that a machine that is slow for a minute is slow for all of them.
set -euo pipefail

usage() {
  cat <<'END_OF_USAGE'
usage: run.sh [--quick] [--only PATH,...] [--vethd NAME=[BUILD][,KEY=VALUE...]]...
              [--repeat N] [--build DIR] [--name NAME]
  --quick       short trials: does it work, not how fast is it
  --only        some of the paths veth,floor,vethd and those of --vethd (default: all)
  --vethd       a build of vethd with keys of its configuration, as a path NAME beside the others;
                without --only it takes the place of vethd. KEY is one of [[pair]], or daemon.KEY,
                softnet.KEY, a.KEY, b.KEY. BUILD is a build directory (default: --build)
  --repeat N    repetitions of everything (default 5; quick 2)
  --build DIR   the meson build directory (default build)
  --name NAME   write bench/results/NAME.json (default: UTC date and time)

  run.sh --vethd old=../before/build --vethd new=
  run.sh --only veth,on,off --vethd on= --vethd off=,coalesce=off
END_OF_USAGE
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root
# shellcheck source=stand.sh
. "$here/stand.sh"
# shellcheck source=figures.sh
. "$here/figures.sh"
for file in "$here"/paths/*.sh; do
  # shellcheck source=/dev/null
  . "$file"
done
trap cleanup EXIT
trap 'exit 130' INT TERM

only='' builds=() repeat=5 build=$root/build name=$(date -u +%Y%m%dT%H%M%SZ) quick=
tcp_seconds=5 trial_seconds=1 rtt_seconds=3 idle_seconds=10
while (($#)); do
  case $1 in
    --quick)
      quick=yes repeat=2
      tcp_seconds=1 trial_seconds=0.2 rtt_seconds=0.5 idle_seconds=1
      shift
      ;;
    --only) only=${2:?} && shift 2 ;;
    --vethd) builds+=("${2:?}") && shift 2 ;;
    --repeat) repeat=${2:?} && shift 2 ;;
    --build) build=$(readlink -f "${2:?}") && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
readonly blast=$build/bench/path/blast

((EUID == 0)) || die "network namespaces need root"
for tool in ip tc ethtool ss iperf3 taskset python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install iproute2 ethtool iperf3"
done
[[ -x $blast ]] || die "$blast is missing; build it: ninja -C $build"

# --- which paths -------------------------------------------------------------------------------

for path in veth floor; do kind[$path]=$path; done
paths=(veth floor)
vethd_add vethd=
((${#builds[@]})) || paths+=(vethd)
for spec in "${builds[@]}"; do
  vethd_add "$spec"
  paths+=("${spec%%=*}")
done
[[ -z $only ]] || IFS=, read -r -a paths <<<"$only"
for path in "${paths[@]}"; do
  [[ -n ${kind[$path]:-} ]] || die "no path $path; there are ${!kind[*]}"
  missing=$("${kind[$path]}_missing" "$path")
  [[ -z $missing ]] || die "$path: missing is $missing"
done

# --- one figure after the other, the paths taking turns ----------------------------------------

progress() { # one line that rewrites itself; nothing where nobody watches
  [[ ! -t 2 ]] || printf '\r\033[K%s' "$1" >&2
}

mkdir "$work/raw"
for path in "${paths[@]}"; do set_up "$path"; done
for ((repetition = 1; repetition <= repeat; ++repetition)); do
  for figure in "${figures[@]}"; do
    for ((turn = 0; turn < ${#paths[@]}; ++turn)); do
      # Another path goes first each time.
      path=${paths[$(((turn + repetition - 1) % ${#paths[@]}))]}
      progress "repetition $repetition of $repeat: $figure of $path"
      thaw "$path"
      measure "$figure" "$path" >"$work/raw/$repetition.$figure.$path.json" ||
        die "could not measure $figure of $path"
      freeze "$path"
    done
  done
done
progress ""

described=() # NAME:KIND[:BUILD:KEYS]
for path in "${paths[@]}"; do
  described+=("$path:${kind[$path]}:${vethd_build[$path]:-}:${vethd_keys[$path]:-}")
done
python3 "$here/report.py" --raw "$work/raw" --paths "${described[@]}" --repeat "$repeat" \
  --pinning "sender $sender_cpu, receiver $receiver_cpu, forwarder ${forwarder_cpus[rate]}\
 (TCP: all ${forwarder_cpus[tcp]})" \
  --source "$root" --out "$root/bench/results/$name.json" ${quick:+--quick}
