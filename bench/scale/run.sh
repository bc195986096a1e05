#!/usr/bin/env bash
# Measures what many pairs in one daemon cost: to add, to keep and to remove them, and whether a busy
# pair feels those beside it. What each figure means: ../README.md.
set -euo pipefail

usage() {
  cat <<'END'
usage: run.sh [--quick] [--pairs N,...] [--repeat N] [--build DIR] [--name NAME]
  --quick       few pairs, short trials: does it work, not how fast is it
  --pairs N,... how many to measure (default 1,10,100,300,1000; quick 1,10,50)
  --repeat N    repetitions of everything (default 5; quick 2)
  --build DIR   the meson build directory (default build)
  --name NAME   write bench/results/NAME.json and NAME-*.svg (default scale)
END
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root

readonly sender_cpu=0 receiver_cpu=1  # and the forwarder beside the receiver: see path/run.sh
readonly start_limit=120              # seconds until a daemon must be ready
readonly stop_limit=120               # seconds until it must have ended
readonly settle=1                     # seconds from ready to idle: the kernel's own housekeeping

pairs=1,10,100,300,1000 repeat=5 build=$root/build name=scale
tcp_seconds=5 trial_seconds=1 idle_seconds=5 quick=
while (($#)); do
  case $1 in
    --quick)
      quick=yes repeat=2 pairs=1,10,50
      tcp_seconds=1 trial_seconds=0.2 idle_seconds=1
      shift
      ;;
    --pairs) pairs=${2:?} && shift 2 ;;
    --repeat) repeat=${2:?} && shift 2 ;;
    --build) build=$(readlink -f "${2:?}") && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
IFS=, read -r -a pairs <<<"$pairs"

die() {
  echo "run.sh: $*" >&2
  exit 1
}

((EUID == 0)) || die "network namespaces need root"
for tool in ip ss iperf3 taskset python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install iproute2 iperf3 python3"
done
readonly vethd=$build/daemon/vethd blast=$build/bench/path/blast
for program in "$vethd" "$blast"; do
  [[ -x $program ]] || die "$program is missing; build it: ninja -C $build"
done
most=0
for count in "${pairs[@]}"; do ((count > most)) && most=$count; done
readonly most

# --- what is made here is removed here ---------------------------------------------------------

work=$(mktemp -d)
readonly work prefix=scale$$
declare -A daemon=()  # process id, by the name it was started under
children=()

cleanup() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then tail -n 5 "$work"/*.log >&2 || true; fi
  for pid in "${children[@]}" "${daemon[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${children[@]}" "${daemon[@]}"; do
    timeout "$stop_limit" tail --pid="$pid" -f /dev/null && continue
    echo "run.sh: process $pid did not stop in $stop_limit s" >&2
    kill -KILL "$pid" || true
    status=1
  done
  ip netns list | sed -n "s/^\($prefix-[^ ]*\).*/netns del \1/p" >"$work/netns.batch"
  ip -force -batch "$work/netns.batch" || status=1
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- namespaces and pairs ----------------------------------------------------------------------

declare -rA mac=([a]=02:00:00:00:00:01 [b]=02:00:00:00:00:02) peer=([a]=b [b]=a)
declare -rA address=([a]=192.168.77.1 [b]=192.168.77.2)

# Namespace of one end. `shared`: all pairs between the same two; `own`: each end has its own.
netns() { # daemon, layout, number of the pair, end
  if [[ $2 == own ]]; then echo "$prefix-$1-$4$3"; else echo "$prefix-$1-$4"; fi
}

make_netns() { # daemon, layout, number of pairs
  local n end ns
  for ((n = 0; n < $3; ++n)); do
    for end in a b; do netns "$1" "$2" $n $end; done
    [[ $2 == own ]] || break
  done >"$work/netns"
  sed 's/^/netns add /' "$work/netns" | ip -batch -
  # Idle means idle: no router solicitations, no multicast reports.
  while read -r ns; do
    ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
      net.ipv6.conf.default.disable_ipv6=1
  done <"$work/netns"
}

write_config() { # daemon, layout, number of pairs; the first pair has addresses
  local n end
  printf '[daemon]\ncontrol_socket = "%s/%s.sock"\ncreate_netns = false\n' "$work" "$1"
  for ((n = 0; n < $3; ++n)); do
    printf '[[pair]]\nname = "pair%d"\n' $n
    for end in a b; do
      printf '[pair.%s]\nnetns = "%s"\nifname = "%s%d"\n' \
        $end "$(netns "$1" "$2" $n $end)" $end $n
      ((n > 0)) || printf 'mac = "%s"\naddresses = ["%s/24"]\n' "${mac[$end]}" "${address[$end]}"
    done
  done
}

elapsed() { # since a time of EPOCHREALTIME, in seconds
  awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.6f", to - from }'
}

# Starts a daemon; leaves the seconds until its line "ready" in $took.
start() { # daemon
  local line begin=$EPOCHREALTIME
  exec {out}< <(exec "$vethd" --config "$work/$1.toml" 2>"$work/$1.log")
  daemon[$1]=$!
  read -r -t "$start_limit" -u "$out" line || die "$1 ended, or was not ready in $start_limit s"
  took=$(elapsed "$begin")
  exec {out}>&-
  [[ $line == ready* ]] || die "$1 said '$line' instead of ready"
}

# Stops it; leaves the seconds until the process has gone in $took.
stop() { # daemon
  local begin=$EPOCHREALTIME
  kill -TERM "${daemon[$1]}"
  wait "${daemon[$1]}" || die "$1 did not end cleanly"
  took=$(elapsed "$begin")
  unset "daemon[$1]"
}

progress() { # one line that rewrites itself; nothing where nobody watches
  [[ ! -t 2 ]] || printf '\r\033[K%s' "$1" >&2
}

# --- what pairs cost ---------------------------------------------------------------------------

measure_cost() { # layout, number of pairs, repetition
  local ready idle
  write_config cost "$1" "$2" >"$work/cost.toml"
  start cost
  ready=$took
  sleep $settle
  idle=$("$blast" idle --forwarder "${daemon[cost]}" --seconds "$idle_seconds")
  stop cost
  printf '{"ready_s": %s, "stop_s": %s, "idle": %s}\n' "$ready" "$took" "$idle" \
    >"$work/raw/cost-$1-$2-$3.json"
}

# --- a busy pair and those beside it -----------------------------------------------------------

set_up_busy() { # daemon, number of pairs
  local end ns
  make_netns "$1" shared "$2"
  write_config "$1" shared "$2" >"$work/$1.toml"
  start "$1"
  for end in a b; do # at overload an ARP exchange could be among what is lost, and end the test
    ip -n "$(netns "$1" shared 0 $end)" neighbour replace "${address[${peer[$end]}]}" \
      lladdr "${mac[${peer[$end]}]}" dev "${end}0" nud permanent
  done
  ns=$(netns "$1" shared 0 b)
  ip netns exec "$ns" iperf3 -s >"$work/iperf3-$1.log" 2>&1 &
  children+=($!)
  local deadline=$((SECONDS + start_limit))
  until ip netns exec "$ns" ss -Hltn 'sport = :5201' | grep -q .; do
    ((SECONDS < deadline)) || die "iperf3 does not listen behind $1"
  done
}

traffic() { # daemon, subcommand and its options
  local who=$1
  shift
  taskset -a -c -p $receiver_cpu "${daemon[$who]}" >/dev/null
  "$blast" "$@" --from "$(netns "$who" shared 0 a)" --to "$(netns "$who" shared 0 b)" \
    --address "${address[b]}" --sender-cpu $sender_cpu --receiver-cpu $receiver_cpu \
    --forwarder "${daemon[$who]}" --seconds "$trial_seconds"
}

rate() { traffic "$1" search; }
flood() { traffic "$1" flood; }
rtt() { traffic "$1" rtt; }
tcp() {
  taskset -a -c -p $sender_cpu,$receiver_cpu "${daemon[$1]}" >/dev/null
  ip netns exec "$(netns "$1" shared 0 a)" iperf3 -c "${address[b]}" -t "$tcp_seconds" -O 1 -J
}

mkdir "$work/raw"
make_netns cost shared 1
make_netns cost own "$most"
for ((repetition = 1; repetition <= repeat; ++repetition)); do
  for count in "${pairs[@]}"; do
    for layout in shared own; do
      progress "repetition $repetition of $repeat: $count pairs, $layout namespaces"
      measure_cost $layout "$count" $repetition
    done
  done
done

# Both stand during all trials and take turns; the one that waits is idle.
set_up_busy lone 1
set_up_busy crowd "$most"
turns=(lone crowd)
for ((repetition = 1; repetition <= repeat; ++repetition)); do
  for figure in tcp rate flood rtt; do
    for ((turn = 0; turn < 2; ++turn)); do
      who=${turns[$(((turn + repetition) % 2))]}
      progress "repetition $repetition of $repeat: $figure of the $who pair"
      $figure "$who" >"$work/raw/busy-$figure-$who-$repetition.json" ||
        die "could not measure $figure of the $who pair"
    done
  done
done
progress ""

python3 "$here/report.py" --raw "$work/raw" --pairs "${pairs[@]}" --repeat "$repeat" \
  --source "$root" --out "$root/bench/results/$name.json" ${quick:+--quick}
if command -v gnuplot >/dev/null; then
  python3 "$here/plot.py" "$root/bench/results/$name.json"
else
  echo "run.sh: no plots: gnuplot is missing; apt-get install gnuplot-nox, then plot.py RESULT.json" >&2
fi
