#!/usr/bin/env bash
# Measures kernel veth, the plain forwarder (the floor) and vethd side by side, and prints their
# ratios. What each figure means: ../README.md.
#
# All paths stand during the whole run, dressed alike; only one carries traffic at a time. They take
# turns at every figure, so that a machine that is slow for a minute is slow for all of them.
set -euo pipefail

usage() {
  cat <<'END'
usage: run.sh [--quick] [--only PATH,...] [--repeat N] [--build DIR] [--name NAME]
  --quick       short trials: does it work, not how fast is it
  --only        some of veth,floor,vethd (default: all)
  --repeat N    repetitions of everything (default 5; quick 2)
  --build DIR   the meson build directory (default build)
  --name NAME   write bench/results/NAME.json (default: UTC date and time)
END
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root

# Two CPUs are what the smallest machine has. Sender and receiver get one each, which is what kernel
# veth makes best use of; for small frames the forwarder works beside the receiver, as the receiving
# softirq would: next to a sender that never sleeps it would wait for whole time slices while the TAP
# ring overflows. TCP is three parties who all copy, so nobody is pinned, on any path: with two of
# them nailed to a CPU each the pinning is what is measured (forwarders at 0.43 of veth instead of
# 0.53, veth the same).
readonly sender_cpu=0 receiver_cpu=1
declare -rA forwarder_cpus=([tcp]=0-1 [rate]=1 [flood]=1 [rtt]=1 [cpu]=1 [idle]=0-1)

readonly cpu_load_fps=100000  # for CPU time per frame: below what any of the paths carries
readonly start_limit=10       # seconds until a forwarder must be ready
readonly stop_limit=5         # seconds until whatever was started must have ended

paths=veth,floor,vethd repeat=5 build=$root/build name=$(date -u +%Y%m%dT%H%M%SZ)
tcp_seconds=5 trial_seconds=1 rtt_seconds=3 idle_seconds=10 quick=
while (($#)); do
  case $1 in
    --quick)
      quick=yes repeat=2
      tcp_seconds=1 trial_seconds=0.2 rtt_seconds=0.5 idle_seconds=1
      shift
      ;;
    --only) paths=${2:?} && shift 2 ;;
    --repeat) repeat=${2:?} && shift 2 ;;
    --build) build=$(readlink -f "${2:?}") && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
IFS=, read -r -a paths <<<"$paths"

die() {
  echo "run.sh: $*" >&2
  exit 1
}

((EUID == 0)) || die "network namespaces need root"
for tool in ip tc ethtool ss iperf3 taskset python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install iproute2 ethtool iperf3"
done
readonly floor=$build/bench/path/floor blast=$build/bench/path/blast vethd=$build/daemon/vethd
for path in "${paths[@]}"; do
  case $path in
    veth) ;;
    floor | vethd) [[ -x ${!path} ]] || die "${!path} is missing; build it: ninja -C $build" ;;
    *) usage >&2 && exit 2 ;;
  esac
done
[[ -x $blast ]] || die "$blast is missing; build it: ninja -C $build"

# --- what is made here is removed here ---------------------------------------------------------

work=$(mktemp -d)
readonly work prefix=bench$$
declare -A forwarder=() # process of each path that has one
children=()

cleanup() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then tail -n 5 "$work"/*.log >&2 || true; fi
  for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${children[@]}"; do
    timeout "$stop_limit" tail --pid="$pid" -f /dev/null && continue
    echo "run.sh: process $pid did not stop in $stop_limit s" >&2
    kill -KILL "$pid" || true
    status=1
  done
  for path in "${paths[@]}"; do
    ip netns del "$(netns "$path" a)" 2>/dev/null || true
    ip netns del "$(netns "$path" b)" 2>/dev/null || true
  done
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- the paths ---------------------------------------------------------------------------------

netns() { echo "$prefix-$1-$2"; }  # path, end
declare -rA ifname=([a]=veth0 [b]=veth1) peer=([a]=b [b]=a)
declare -rA mac=([a]=02:00:00:00:00:01 [b]=02:00:00:00:00:02)
declare -rA address=([a]=192.168.77.1 [b]=192.168.77.2)

# Starts a forwarder and waits for its line "ready".
start() {
  local path=$1 line
  shift
  mkfifo "$work/$path.out"
  exec {out}<>"$work/$path.out"
  "$@" >"$work/$path.out" 2>"$work/$path.log" &
  forwarder[$path]=$!
  children+=($!)
  read -r -t "$start_limit" -u "$out" line || die "$path was not ready in $start_limit s"
  [[ $line == ready* ]] || die "$path said '$line' instead of ready"
}

start_veth() {
  ip link add "${ifname[a]}" netns "$(netns veth a)" type veth \
    peer name "${ifname[b]}" netns "$(netns veth b)"
}

start_floor() {
  start floor "$floor" "$(netns floor a)" "${ifname[a]}" "$(netns floor b)" "${ifname[b]}"
}

start_vethd() { # with its defaults: they are what a user gets
  {
    printf '[daemon]\ncontrol_socket = "%s/vethd.sock"\ncreate_netns = false\n' "$work"
    printf '[[pair]]\nname = "bench"\n'
    for end in a b; do
      printf '[pair.%s]\nnetns = "%s"\nifname = "%s"\nmac = "%s"\naddresses = ["%s/24"]\n' \
        $end "$(netns vethd $end)" "${ifname[$end]}" "${mac[$end]}" "${address[$end]}"
    done
  } >"$work/pair.toml"
  start vethd "$vethd" --config "$work/pair.toml"
}

# What vethd does to its own ends: the same queueing, the same GRO, an address.
dress() {
  local ns=$1 end=$2 dev=${ifname[$2]}
  ip -n "$ns" link set "$dev" address "${mac[$end]}"
  ip -n "$ns" address add "${address[$end]}/24" dev "$dev"
  ip netns exec "$ns" ethtool -K "$dev" gro off
  tc -n "$ns" qdisc replace dev "$dev" root noqueue
  ip -n "$ns" link set "$dev" up
}

set_up() {
  local path=$1 end ns
  for end in a b; do
    ns=$(netns "$path" $end)
    ip netns add "$ns"
    # No IPv6 housekeeping of its own: idle means idle.
    ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
      net.ipv6.conf.default.disable_ipv6=1
  done
  "start_$path"
  for end in a b; do
    ns=$(netns "$path" $end)
    [[ $path == vethd ]] || dress "$ns" $end
    # At overload an ARP exchange could be among what is lost, and end the test.
    ip -n "$ns" neighbour replace "${address[${peer[$end]}]}" lladdr "${mac[${peer[$end]}]}" \
      dev "${ifname[$end]}" nud permanent
  done
  ns=$(netns "$path" b)
  ip netns exec "$ns" iperf3 -s >"$work/iperf3-$path.log" 2>&1 &
  children+=($!)
  local deadline=$((SECONDS + start_limit))
  until ip netns exec "$ns" ss -Hltn 'sport = :5201' | grep -q .; do
    ((SECONDS < deadline)) || die "iperf3 does not listen behind $path"
  done
}

# --- the figures -------------------------------------------------------------------------------

tcp() { # path
  ip netns exec "$(netns "$1" a)" \
    iperf3 -c "${address[b]}" -t "$tcp_seconds" -O 1 -J
}

traffic() { # path, subcommand and its options
  local path=$1
  shift
  "$blast" "$@" --from "$(netns "$path" a)" --to "$(netns "$path" b)" --address "${address[b]}" \
    --sender-cpu $sender_cpu --receiver-cpu $receiver_cpu --forwarder "${forwarder[$path]:-0}"
}

rate() { traffic "$1" search --seconds "$trial_seconds"; }
flood() { traffic "$1" flood --seconds "$trial_seconds"; }
rtt() { traffic "$1" rtt --seconds "$rtt_seconds"; }
cpu() { traffic "$1" rate --fps $cpu_load_fps --sleep --seconds "$rtt_seconds"; }

bind_forwarder() { # path, figure
  [[ -z ${forwarder[$1]:-} ]] ||
    taskset -a -c -p "${forwarder_cpus[$2]}" "${forwarder[$1]}" >/dev/null
}

idle() { # kernel veth has no process that could be idle
  [[ -z ${forwarder[$1]:-} ]] || "$blast" idle --forwarder "${forwarder[$1]}" --seconds "$idle_seconds"
}

progress() { # one line that rewrites itself; nothing where nobody watches
  [[ ! -t 2 ]] || printf '\r\033[K%s' "$1" >&2
}

mkdir "$work/raw"
for path in "${paths[@]}"; do set_up "$path"; done
for ((repetition = 1; repetition <= repeat; ++repetition)); do
  for figure in tcp rate flood rtt cpu idle; do
    for ((turn = 0; turn < ${#paths[@]}; ++turn)); do
      # Another path goes first each time.
      path=${paths[$(((turn + repetition - 1) % ${#paths[@]}))]}
      progress "repetition $repetition of $repeat: $figure of $path"
      bind_forwarder "$path" $figure
      $figure "$path" >"$work/raw/$repetition-$figure-$path.json" ||
        die "could not measure $figure of $path"
    done
  done
done
progress ""

python3 "$here/report.py" --raw "$work/raw" --paths "${paths[@]}" --repeat "$repeat" \
  --pinning "sender $sender_cpu, receiver $receiver_cpu, forwarder ${forwarder_cpus[rate]}\
 (TCP: all ${forwarder_cpus[tcp]})" \
  --source "$root" --out "$root/bench/results/$name.json" ${quick:+--quick}
