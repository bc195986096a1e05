#!/usr/bin/env bash
# shellcheck disable=SC2154 # vethd_build and vethd_keys are of ../path/paths/vethd.sh
# Measures what a flood through one pair does to a quiet pair beside it: kernel veths, and vethd with
# one worker for both pairs. What each figure means: ../README.md.
#
# Each trial has devices, and a daemon, of its own, so that none suffers from the flood before it.
# The paths take turns at every flood, so that a machine that is slow for a minute is slow for all.
set -euo pipefail

usage() {
  cat <<'END_OF_USAGE'
usage: run.sh [--only FLOOD,...] [--rates FPS,...] [--seconds S] [--repeat N] [--quick]
              [--vethd NAME=[BUILD][,KEY=VALUE...]]... [--build DIR] [--results DIR] [--name NAME]
  --only        some of the floods (default: all)
END_OF_USAGE
  for flood in "${floods[@]}"; do printf '                  %-12s %s\n' "$flood" "${meaning[$flood]}"; done
  cat <<'END_OF_USAGE'
  --rates       frames per second of the quiet pair (default 2000,20000)
  --seconds S   length of each stream (default 1)
  --repeat N    repetitions of everything, also --repetitions (default 3)
  --quick       one short repetition: does it work, not for quoting
  --vethd       a build of vethd with keys of its configuration, as a path NAME beside kernel veth, as
                in path/run.sh; the keys hold for both pairs, a.KEY and b.KEY for their TAPs
                (default: --build, as vethd)
  --build DIR   the meson build directory (default build)
  --results DIR where to write (default bench/results)
  --name NAME   write NAME.json and NAME-*.svg (default: UTC date and time)

  run.sh --only tcp-8,supers --vethd old=../before/build --vethd new=
END_OF_USAGE
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root

# --- the floods --------------------------------------------------------------------------------

readonly floods=(none tcp-8 tcp-32 supers tiny small rules nic nic-quiet nic-down)
declare -rA meaning=(
  [none]="no flood"
  [tcp-8]="8 TCP streams"
  [tcp-32]="32 TCP streams"
  [supers]="two senders of UDP super-frames, 43 x 1400 bytes"
  [tiny]="UDP super-frames of 64 x 1 byte"
  [small]="64-byte UDP frames"
  [rules]="64-byte UDP frames to a stack with 8000 ip rules"
  [nic]="UDP super-frames of 64 x 1 byte, TAP to AF_XDP"
  [nic-quiet]="as nic; the quiet pair is AF_XDP, too"
  [nic-down]="64-byte UDP frames, TAP to AF_XDP, the device down"
)
readonly rules=8000         # of the flood "rules"; ip rule numbers them by their preference
readonly least_frames=1000  # or TCP's bytes / 1000: a flood flows when this much has arrived
readonly mtu=1500

# Options of `neighbour flood`.
flood_options() { # flood
  case $1 in
    supers) echo "--senders 2 --bytes 60200 --segment 1400" ;;
    tiny | nic | nic-quiet) echo "--bytes 64 --segment 1" ;;
    small | rules | nic-down) echo "--bytes 18" ;;
  esac
}

# What the ends are: kernel veth has the same at both for all floods.
busy_far_end() { if [[ $1 == nic* ]]; then echo af_xdp; else echo tap; fi; }          # flood
quiet_ends() { if [[ $1 == nic-quiet ]]; then echo af_xdp; else echo tap; fi; }      # flood

# --- what is made here is removed here ---------------------------------------------------------

readonly start_limit=30 stop_limit=20 # seconds
work=$(mktemp -d)
readonly work prefix=neighbour$$
declare -A kind=()
children=() # process ids of the trial that stands

die() {
  echo "run.sh: $*" >&2
  exit 1
}

# Ends what the trial has started; what is slow about it is killed, which is a failure.
stop_children() {
  local pid status=0
  for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${children[@]}"; do
    timeout "$stop_limit" tail --pid="$pid" -s 0.02 -f /dev/null && continue
    echo "run.sh: process $pid did not stop in $stop_limit s" >&2
    kill -KILL "$pid" || true
    status=1
  done
  children=()
  return $status
}

take_down() {
  local status=0
  stop_children || status=1
  ip netns list | sed -n "s/^\($prefix-[^ ]*\).*/netns del \1/p" >"$work/netns.batch"
  ip -force -batch "$work/netns.batch" || status=1
  return $status
}

cleanup() {
  local status=$?
  trap - EXIT
  trap '' PIPE # whoever read the output may have gone; what was made still has to go
  set +e
  take_down || status=1
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- options -----------------------------------------------------------------------------------

# shellcheck source=../path/paths/vethd.sh
. "$here/../path/paths/vethd.sh" # vethd_add and what it fills

only='' rates=2000,20000 seconds=1 repeat=3 quick='' builds=()
build=$root/build results=$root/bench/results name=$(date -u +%Y%m%dT%H%M%SZ)
while (($#)); do
  case $1 in
    --only) only=${2:?} && shift 2 ;;
    --rates) rates=${2:?} && shift 2 ;;
    --seconds) seconds=${2:?} && shift 2 ;;
    --repeat | --repetitions) repeat=${2:?} && shift 2 ;;
    --quick) quick=yes repeat=1 seconds=0.2 && shift ;;
    --vethd) builds+=("${2:?}") && shift 2 ;;
    --build) build=$(realpath -m "${2:?}") && shift 2 ;;
    --results) results=${2:?} && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
readonly neighbour=$build/bench/neighbour/neighbour

((EUID == 0)) || die "network namespaces need root"
for tool in ip tc ethtool iperf3 python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install iproute2 ethtool iperf3"
done
[[ -x $neighbour ]] || die "$neighbour is missing; build it: ninja -C $build"
((${#builds[@]})) || builds=(vethd=)
paths=(veth)
kind[veth]=veth
for spec in "${builds[@]}"; do
  vethd_add "$spec"
  paths+=("${spec%%=*}")
  [[ -z $(vethd_missing "${spec%%=*}") ]] || die "${spec%%=*} needs $(vethd_missing "${spec%%=*}")"
done
wanted=("${floods[@]}")
[[ -z $only ]] || IFS=, read -r -a wanted <<<"$only"
for flood in "${wanted[@]}"; do
  [[ -n ${meaning[$flood]:-} ]] || die "no flood $flood; --help has their names"
done
IFS=, read -r -a rates <<<"$rates"

# --- devices -----------------------------------------------------------------------------------

declare -rA peer=([a]=b [b]=a) ifname=([a]=veth0 [b]=veth1)
declare -rA mac=([a]=02:00:00:00:00:01 [b]=02:00:00:00:00:02)
declare -rA address=([a]=192.168.77.1 [b]=192.168.77.2)

netns() { echo "$prefix-$1-$2"; } # pair: quiet or busy; a, b, or near: where AF_XDP devices are

# An end that is a TAP of vethd, or an AF_XDP device with a kernel veth to where the traffic is.
driver_of() { # flood, pair, end
  if [[ $2 == quiet ]]; then quiet_ends "$1"; elif [[ $3 == a ]]; then echo tap; else busy_far_end "$1"; fi
}

make_netns() {
  local pair end
  for pair in quiet busy; do
    for end in a b near; do echo "netns add $(netns $pair $end)"; done
  done | ip -batch -
  for pair in quiet busy; do
    for end in a b near; do # no traffic but what is measured
      ip netns exec "$(netns $pair $end)" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
        net.ipv6.conf.default.disable_ipv6=1
    done
  done
}

# A kernel veth as vethd makes its ends: the same queueing, no GRO.
dress() { # pair, end
  ip -n "$(netns "$1" "$2")" -batch - <<END
link set ${ifname[$2]} address ${mac[$2]} mtu $mtu
address add ${address[$2]}/24 dev ${ifname[$2]}
link set ${ifname[$2]} up
END
  tc -n "$(netns "$1" "$2")" qdisc replace dev "${ifname[$2]}" root noqueue
  ip netns exec "$(netns "$1" "$2")" ethtool -K "${ifname[$2]}" gro off
}

stand_veth() {
  local pair
  for pair in quiet busy; do
    ip link add "${ifname[a]}" netns "$(netns $pair a)" type veth \
      peer name "${ifname[b]}" netns "$(netns $pair b)"
    dress $pair a && dress $pair b
  done
}

config() { # path, flood
  local path=$1 pair end
  section() { # section
    sed -n "s/^$1 //p" <<<"${vethd_keys[$path]}"
  }
  printf '[daemon]\ncontrol_socket = "%s/control"\ncreate_netns = false\n' "$work"
  [[ $(section daemon) == *workers* ]] || echo 'workers = 1' # both pairs on it
  section daemon
  printf '[softnet]\n'
  section softnet
  for pair in quiet busy; do
    printf '[[pair]]\nname = "%s"\n' $pair
    section pair
    for end in a b; do
      if [[ $(driver_of "$2" $pair $end) == tap ]]; then
        printf '[pair.%s]\nnetns = "%s"\nifname = "%s"\nmac = "%s"\naddresses = ["%s/24"]\n' \
          $end "$(netns $pair $end)" "${ifname[$end]}" "${mac[$end]}" "${address[$end]}"
        section $end
      else
        printf '[pair.%s]\ndriver = "af_xdp"\nmode = "copy"\nnetns = "%s"\nifname = "nic-%s"\n' \
          $end "$(netns $pair near)" $end
      fi
    done
  done
}

stand_vethd() { # path, flood
  local pair end
  for pair in quiet busy; do
    for end in a b; do
      [[ $(driver_of "$2" $pair $end) == af_xdp ]] || continue
      ip link add nic-$end netns "$(netns $pair near)" type veth \
        peer name "${ifname[$end]}" netns "$(netns $pair $end)"
      ip -n "$(netns $pair near)" link set nic-$end mtu $mtu up
      dress $pair $end
    done
  done
  config "$1" "$2" >"$work/vethd.toml"
  : >"$work/vethd.out"
  "${vethd_build[$1]}/daemon/vethd" --config "$work/vethd.toml" >"$work/vethd.out" 2>"$work/log" &
  children+=($!)
  await "vethd is ready" grep -q '^ready' "$work/vethd.out"
}

await() { # what is awaited, command...
  local what=$1 deadline=$((SECONDS + start_limit)) pid
  shift
  until "$@" >/dev/null 2>&1; do
    for pid in "${children[@]}"; do
      kill -0 "$pid" 2>/dev/null || give_up "a process ended before $what" || return
    done
    ((SECONDS < deadline)) || give_up "not in $start_limit s: $what" || return
    sleep 0.02
  done
}

give_up() { # why
  echo "run.sh: $1" >&2
  tail -n 5 "$work/log" >&2
  return 1
}

passes() { ip netns exec "$(netns "$1" a)" ping -qc 1 -W 1 "${address[b]}"; } # pair

stand() { # path, flood
  local pair end
  : >"$work/log"
  make_netns
  if [[ $1 == veth ]]; then stand_veth; else stand_vethd "$1" "$2" || return; fi
  for pair in quiet busy; do
    for end in a b; do # at overload an ARP exchange could be among what is lost
      ip -n "$(netns $pair $end)" neighbour replace "${address[${peer[$end]}]}" \
        lladdr "${mac[${peer[$end]}]}" dev "${ifname[$end]}" nud permanent
    done
    await "the $pair pair passes a ping" passes $pair || return
  done
  [[ $2 != rules ]] || slow_down "$(netns busy b)"
}

# Rules that match nothing, which every packet is held against.
slow_down() { # namespace
  awk -v n=$rules 'BEGIN { for (i = 1; i <= n; ++i) print "rule add pref " i + 1000 " from 198.18.0.1 table 100" }' |
    ip -n "$1" -batch -
}

# --- a trial -----------------------------------------------------------------------------------

listens() { ip netns exec "$(netns busy b)" ss -Hltn 'sport = :5201' | grep -q .; }

flows() { # flood
  # shellcheck disable=SC2016 # awk expands it
  ip netns exec "$(netns busy b)" awk -v least=$least_frames '
    $1 == "Udp:" && $2 ~ /[0-9]/ { frames = $2 + $3 + $4 }
    $1 == "IpExt:" && $2 ~ /[0-9]/ { frames += $8 / 1000 }
    END { exit !(frames >= least) }' /proc/net/snmp /proc/net/netstat
}

start_flood() { # flood
  local options
  [[ $1 != none ]] || return 0
  if [[ $1 == tcp-* ]]; then
    ip netns exec "$(netns busy b)" iperf3 -s >"$work/iperf3" 2>>"$work/log" </dev/null &
    children+=($!)
    await "an iperf3 server" listens || return
    ip netns exec "$(netns busy a)" iperf3 -c "${address[b]}" -t 1000 -P "${1#tcp-}" \
      >"$work/iperf3" 2>>"$work/log" </dev/null &
  else
    read -r -a options <<<"$(flood_options "$1")"
    "$neighbour" flood --from "$(netns busy a)" --to "$(netns busy b)" --address "${address[b]}" \
      "${options[@]}" 2>>"$work/log" &
  fi
  children+=($!)
  await "the flood flows" flows || return
  [[ $1 != nic-down ]] || far_device_down
}

far_device_down() {
  local ns dev=nic-b
  ns=$(netns busy near)
  ip -n "$ns" link show dev $dev >/dev/null 2>&1 || ns=$(netns busy b) dev=${ifname[b]}
  ip -n "$ns" link set dev "$dev" down
}

# ksoftirqd does the work of the devices as well; its time is no disturbance.
mapfile -t softirqs < <(pgrep -x 'ksoftirqd/[0-9]+')

trial() { # path, flood, repetition
  local rate accounted result status=0
  accounted=$(IFS=, && echo "${children[*]}${softirqs[*]:+,${softirqs[*]}}")
  for rate in "${rates[@]}"; do
    result=$work/raw/$3.$2.$rate.$1.json
    "$neighbour" probe --from "$(netns quiet a)" --to "$(netns quiet b)" --address "${address[b]}" \
      --busy "$(netns busy b)" --fps "$rate" --seconds "$seconds" --accounted "${accounted#,}" \
      >"$result" 2>>"$work/log" && continue
    rm "$result"
    status=1
    give_up "no stream of $rate frames/s" || true
  done
  return $status
}

progress() { # one line that rewrites itself; nothing where nobody watches
  [[ ! -t 2 ]] || printf '\r\033[K%s' "$1" >&2
}

mkdir "$work/raw"
failures=0
for ((repetition = 1; repetition <= repeat; ++repetition)); do
  for flood in "${wanted[@]}"; do
    for ((turn = 0; turn < ${#paths[@]}; ++turn)); do
      path=${paths[$(((turn + repetition - 1) % ${#paths[@]}))]} # another one goes first each time
      progress "repetition $repetition of $repeat: ${meaning[$flood]}, $path"
      # What cannot be measured is a result too, and no reason to lose what has been.
      if ! { stand "$path" "$flood" && start_flood "$flood" && trial "$path" "$flood" "$repetition"; }; then
        echo "run.sh: could not measure $flood of $path" >&2
        failures=$((failures + 1))
      fi
      take_down || failures=$((failures + 1))
    done
  done
done
progress ""

described_paths=() # NAME:KIND:BUILD:KEYS
for path in "${paths[@]}"; do
  described_paths+=("$path:${kind[$path]}:${vethd_build[$path]:-}:${vethd_keys[$path]:-}")
done
described_floods=() # NAME:MEANING
for flood in "${wanted[@]}"; do described_floods+=("$flood:${meaning[$flood]}"); done
python3 "$here/report.py" --raw "$work/raw" --paths "${described_paths[@]}" \
  --floods "${described_floods[@]}" --rates "${rates[@]}" --seconds "$seconds" --repeat "$repeat" \
  --source "$root" --out "$results/$name.json" ${quick:+--quick}
if command -v gnuplot >/dev/null; then
  python3 "$here/plot.py" "$results/$name.json"
else
  echo "run.sh: no plots: gnuplot is missing; apt-get install gnuplot-nox, then plot.py RESULT.json" >&2
fi
((failures == 0))
