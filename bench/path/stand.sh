# shellcheck shell=bash disable=SC2034,SC2154
# What stands during a run: namespaces, devices, processes; all of it is removed at the end.
# Part of run.sh. A path has a name and a kind; paths/KIND.sh has the functions
#   KIND_missing PATH   prints what is not there and how to get it; nothing when it can be used
#   KIND_start PATH     makes the two devices, each in its namespace, and what joins them

readonly start_limit=180 # seconds until a forwarder must be ready; an emulated machine takes its time
readonly stop_limit=20  # seconds until whatever was started must have ended

work=$(mktemp -d)
readonly work prefix=bench$$
declare -A kind=()      # of each path
declare -A forwarder=() # processes of each path that has some
declare -A polls=()     # paths whose forwarder uses a CPU even without traffic
children=()
under=() # what an AF_XDP forwarder of this project is run by: callgrind

declare -rA ifname=([a]=veth0 [b]=veth1) peer=([a]=b [b]=a)
declare -rA mac=([a]=02:00:00:00:00:01 [b]=02:00:00:00:00:02)
declare -rA address=([a]=192.168.77.1 [b]=192.168.77.2)

die() {
  echo "run.sh: $*" >&2
  exit 1
}

netns() { # path, end: a, b, or near, which only some have
  if takes_turns "$1"; then echo "$prefix-wire-$2"; else echo "$prefix-$1-$2"; fi
}

cleanup() {
  local status=$? path end
  trap - EXIT
  # Whoever read the output may have gone; what was made still has to go. (tail ends with its reader.)
  trap '' PIPE
  set +e
  stop "${children[@]}" || status=1
  take_down_wires
  for path in "${!kind[@]}"; do
    for end in a b near; do ip netns del "$(netns "$path" $end)" 2>/dev/null; done
  done
  rm -rf "$work"
  exit "$status"
}

# Ends processes; those that are slow about it are killed, which is a failure.
stop() { # pid...
  local pid path status=0
  for pid in "$@"; do
    kill -TERM "$pid" 2>/dev/null || continue
    kill -CONT "$pid" 2>/dev/null || true # it may be frozen
  done
  for path in "${!polls[@]}"; do # testpmd looks at a signal when it has read a line
    echo 1<>"$work/$path.in"
  done
  for pid in "$@"; do
    timeout "$stop_limit" tail --pid="$pid" -f /dev/null >/dev/null && continue
    echo "run.sh: process $pid did not stop in $stop_limit s" >&2
    kill -KILL "$pid"
    status=1
  done
  return $status
}

# Starts a process of a path; what it prints is in $work/PATH.out. Its input is its own: there is
# nothing to read, and no end of file, at which some would stop.
start() { # path, command...
  local path=$1
  shift
  [[ -p $work/$path.in ]] || mkfifo "$work/$path.in"
  "$@" >>"$work/$path.out" 2>>"$work/$path.log" <>"$work/$path.in" &
  forwarder[$path]+="${forwarder[$path]:+ }$!"
  children+=($!)
}

# Waits for a condition while all processes of a path live.
await() { # path, what is awaited, command...
  local path=$1 what=$2 pid deadline=$((SECONDS + start_limit))
  shift 2
  until "$@" >/dev/null 2>&1; do
    for pid in ${forwarder[$path]:-}; do
      kill -0 "$pid" 2>/dev/null || give_up "$path" "ended; no $what" || return
    done
    ((SECONDS < deadline)) || give_up "$path" "no $what in $start_limit s" || return
    sleep 0.05
  done
}

give_up() { # path, why
  tail -n 5 "$work/$1".{out,log} >&2 || true
  takes_turns "$1" || die "$1: $2"
  echo "run.sh: $1: $2" >&2 # the others may be able to
  return 1
}

await_ready() { await "$1" 'line "ready"' grep -q '^ready' "$work/$1.out"; }
await_link() { await "$1" "device $3" ip -n "$2" link show dev "$3"; } # path, namespace, device

listens() { ip netns exec "$1" ss -Hltn 'sport = :5201' | grep -q .; } # namespace

# What vethd does to its own ends: the same queueing, the same GRO, an address.
dress() { # path, end
  local ns dev=${ifname[$2]}
  ns=$(netns "$1" "$2")
  ip -n "$ns" link set "$dev" address "${mac[$2]}"
  ip -n "$ns" link set "$dev" mtu 1500
  ip -n "$ns" address add "${address[$2]}/24" dev "$dev"
  ip netns exec "$ns" ethtool -K "$dev" gro off
  # A NIC may be full, and then its frames need a place.
  takes_turns "$1" || tc -n "$ns" qdisc replace dev "$dev" root noqueue
  ip -n "$ns" link set "$dev" up
}

set_up() { # path
  local path=$1 end ns
  if takes_turns "$path" && [[ -n $wire_stands ]]; then return; fi
  for end in a b; do
    ns=$(netns "$path" $end)
    ip netns add "$ns"
    # No IPv6 housekeeping of its own: idle means idle.
    ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
      net.ipv6.conf.default.disable_ipv6=1
  done
  if takes_turns "$path"; then stand_wires; else "${kind[$path]}_start" "$path"; fi
  for end in a b; do
    ns=$(netns "$path" $end)
    [[ ${kind[$path]} == vethd ]] || dress "$path" $end
    # At overload an ARP exchange could be among what is lost, and end the test.
    ip -n "$ns" neighbour replace "${address[${peer[$end]}]}" lladdr "${mac[${peer[$end]}]}" \
      dev "${ifname[$end]}" nud permanent
  done
  ns=$(netns "$path" b)
  ip netns exec "$ns" iperf3 -s >"$work/iperf3-$path.log" 2>&1 </dev/null &
  children+=($!)
  await "$path" "iperf3 server" listens "$ns"
  takes_turns "$path" || freeze "$path"
}

# As it was before set_up, all but its iperf3, which holds nothing.
take_down() { # path
  local end
  for end in a b near; do ip netns del "$(netns "$1" $end)"; done
  rm -f "$work/$1".{out,log,in}
  unset "forwarder[$1]"
}

# A forwarder that polls would take a CPU away from the other paths: it runs only when it is measured.
# One that shares its devices with others is there only when it is measured.
freeze() { # path
  local running=() pid child
  takes_turns "$1" || { signal STOP "$1" && return; }
  read -r -a running <<<"${forwarder[$1]:-}"
  stop "${running[@]}" || failures=$((failures + 1))
  # What it said is kept for one that ends by itself; ready must be said anew.
  rm -f "$work/$1".{out,in}
  unset "forwarder[$1]" "polls[$1]"
  for pid in "${running[@]}"; do
    for child in "${!children[@]}"; do
      [[ ${children[$child]} != "$pid" ]] || unset "children[$child]"
    done
  done
}
thaw() { # path
  if takes_turns "$1"; then begin_turn "$1"; else signal CONT "$1"; fi
}
signal() { # name, path
  local pid
  [[ -n ${polls[$2]:-} ]] || return 0
  for pid in ${forwarder[$2]}; do kill "-$1" "$pid"; done
}
