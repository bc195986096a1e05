#!/usr/bin/env bash
# Measures kernel veth, the plain forwarder (the floor) and vethd side by side, and prints their
# ratios. What each figure means: ../README.md.
#
# All paths stand during the whole run, dressed alike; only one carries traffic at a time. They take
# turns at every figure, so that a machine that is slow for a minute is slow for all of them.
set -euo pipefail

usage() {
  cat <<'END_OF_USAGE'
usage: run.sh [--matrix | --figures FIGURE,...] [--only PATH,...] [--repeat N] [--quick]
              [--vethd NAME=[BUILD][,KEY=VALUE...]]... [--build DIR] [--results DIR]
              [--name NAME] [--nics IFNAME,IFNAME --far IFNAME,IFNAME]
  --matrix      all frame sizes, flows, directions, numbers of streams
  --figures     tcp-STREAMS[-both], rate-BYTES-FLOWS[-both], flood-BYTES-FLOWS[-both], rtt-BYTES,
                cpu-BYTES, idle (default: those that targets are set for)
  --only        some of the paths veth,floor,vethd,testpmd,vde,socat and those of --vethd
                (default: all whose programs are installed), or AF_XDP on devices:
                af_xdp_MODE, bare_MODE, testpmd_MODE with zerocopy, copy or generic (not testpmd)
  --vethd       a build of vethd with keys of its configuration, as a path NAME beside the others;
                without --only it takes the place of vethd. KEY is one of [[pair]], or daemon.KEY,
                softnet.KEY, a.KEY, b.KEY. BUILD is a build directory (default: --build)
  --repeat N    repetitions of everything (default 3; quick 2)
  --quick       short trials: does it work, not how fast is it
  --build DIR   the meson build directory (default build)
  --results DIR where to write (default bench/results)
  --name NAME   write NAME.json and its plots NAME-*.svg (default: UTC date and time)
  --nics, --far AF_XDP on these NICs instead of kernel veths, and what is at the other end of the
                first one's and of the second one's wire; nothing else may use any of them

  run.sh --only veth,old,new --vethd old=../before/build --vethd new=
  run.sh --only veth,default,always --vethd default= --vethd always=,coalesce=always --figures tcp-1,rate-64-8
END_OF_USAGE
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root
# shellcheck source=stand.sh
. "$here/stand.sh"
# shellcheck source=wire.sh
. "$here/wire.sh"
# shellcheck source=figures.sh
. "$here/figures.sh"
for file in "$here"/paths/*.sh; do
  # shellcheck source=/dev/null
  . "$file"
done
trap cleanup EXIT
trap 'exit 130' INT TERM

figures=$target_figures only='' builds=() repeat=3 build=$root/build name=$(date -u +%Y%m%dT%H%M%SZ) quick='' near_nics='' far_nics=''
results=$root/bench/results
tcp_seconds=5 trial_seconds=1 rtt_seconds=3 idle_seconds=5
while (($#)); do
  case $1 in
    --quick)
      quick=yes repeat=2
      tcp_seconds=1 trial_seconds=0.2 rtt_seconds=0.5 idle_seconds=1
      shift
      ;;
    --matrix) figures=$matrix_figures && shift ;;
    --figures) figures=${2:?} && shift 2 ;;
    --only) only=${2:?} && shift 2 ;;
    --vethd) builds+=("${2:?}") && shift 2 ;;
    --repeat) repeat=${2:?} && shift 2 ;;
    --build) build=$(realpath -m "${2:?}") && shift 2 ;;
    --results) results=${2:?} && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    --nics) near_nics=${2:?} && shift 2 ;;
    --far) far_nics=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
readonly blast=$build/bench/path/blast

((EUID == 0)) || die "network namespaces need root"
for tool in ip tc ethtool ss iperf3 taskset python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install iproute2 ethtool iperf3"
done
[[ -z $near_nics$far_nics ]] || take_nics "$near_nics" "$far_nics"
[[ -x $blast ]] || die "$blast is missing; build it: ninja -C $build"

IFS=, read -r -a figures <<<"$figures"
for figure in "${figures[@]}"; do
  valid_figure "$figure" || die "no figure $figure; --help has their names"
done

# --- which paths -------------------------------------------------------------------------------

for path in veth floor testpmd vde socat; do kind[$path]=$path; done
vethd_add vethd=
for spec in "${builds[@]}"; do vethd_add "$spec"; done

missing() { "${kind[$1]}_missing" "$1"; } # path

notes=()
if [[ -n $only ]]; then
  IFS=, read -r -a paths <<<"$only"
  for path in "${paths[@]}"; do
    [[ -n ${kind[$path]:-} ]] || die "no path $path; there are ${!kind[*]}"
    [[ -z $(missing "$path") ]] || die "$path needs $(missing "$path")"
  done
else
  if ((${#builds[@]})); then vethds=("${builds[@]%%=*}"); else vethds=(vethd); fi
  paths=(veth floor "${vethds[@]}")
  for path in "${paths[@]}"; do
    [[ -z $(missing "$path") ]] || die "$path needs $(missing "$path")"
  done
  for path in testpmd vde socat; do # programs of others: measured where they are installed
    if [[ -z $(missing "$path") ]]; then
      paths+=("$path")
    else
      notes+=("$path: not measured; it needs $(missing "$path")")
    fi
  done
fi

if ! command -v gnuplot >/dev/null; then
  notes+=("no plots: gnuplot is missing; apt-get install gnuplot-nox, then plot.py RESULT.json")
fi
for note in "${notes[@]}"; do echo "run.sh: $note" >&2; done

# --- one figure after the other, the paths taking turns ----------------------------------------

progress() { # one line that rewrites itself; nothing where nobody watches
  [[ ! -t 2 ]] || printf '\r\033[K%s' "$1" >&2
}

# One figure of one path. A path that cannot be measured is a result too, and no reason to lose what
# has been measured in an hour before.
take() { # file, figure, path
  if measure "$2" "$3" >"$1" 2>"$1.error"; then return; fi
  echo "run.sh: could not measure $2 of $3: $(tail -n 3 "$1.error")" >&2
  rm "$1"
  failures=$((failures + 1))
}

mkdir "$work/raw"
failures=0
for path in "${paths[@]}"; do set_up "$path"; done
for ((repetition = 1; repetition <= repeat; ++repetition)); do
  for figure in "${figures[@]}"; do
    for ((turn = 0; turn < ${#paths[@]}; ++turn)); do
      # Another path goes first each time.
      path=${paths[$(((turn + repetition - 1) % ${#paths[@]}))]}
      [[ $figure != idle || -n ${forwarder[$path]:-} ]] || continue # no process that could be idle
      progress "repetition $repetition of $repeat: $figure of $path"
      if thaw "$path"; then
        take "$work/raw/$repetition.$figure.$path.json" "$figure" "$path"
      else
        failures=$((failures + 1))
      fi
      freeze "$path"
    done
  done
done
progress ""

described=() # NAME:KIND:BUILD:KEYS
for path in "${paths[@]}"; do
  path_build=${vethd_build[$path]:-}
  [[ ${kind[$path]} != af_xdp ]] || path_build=$build
  described+=("$path:${kind[$path]}:$path_build:${vethd_keys[$path]:-}")
done
python3 "$here/report.py" --raw "$work/raw" --paths "${described[@]}" --figures "${figures[@]}" \
  --repeat "$repeat" --notes "${notes[@]}" \
  --pinning "sender $sender_cpu, receiver $receiver_cpu, forwarder $forwarder_cpu\
 (TCP, both directions: all $all_cpus)" \
  --source "$root" --out "$results/$name.json" ${quick:+--quick}
! command -v gnuplot >/dev/null || python3 "$here/plot.py" "$results/$name.json"
((failures == 0))
