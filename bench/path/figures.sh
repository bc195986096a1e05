# shellcheck shell=bash disable=SC2034,SC2154
# The figures: how one is taken of one path. Part of run.sh.
# A figure is named tcp-STREAMS[-both], rate-BYTES-FLOWS[-both], flood-BYTES-FLOWS[-both], rtt-BYTES,
# cpu-BYTES or idle; it prints one JSON object, and report.py knows what to take from it.

# Two CPUs are what the smallest machine has. Sender and receiver get one each, which is what kernel
# veth makes best use of; for small frames the forwarder works beside the receiver, as the receiving
# softirq would: next to a sender that never sleeps it would wait for whole time slices while the TAP
# ring overflows. TCP is three parties who all copy, so nobody is pinned, on any path: with two of
# them nailed to a CPU each the pinning is what is measured (forwarders at 0.43 of veth instead of
# 0.53, veth the same). With load both ways there is a sender on each CPU, and neither is better.
readonly sender_cpu=0 receiver_cpu=1 forwarder_cpu=1 all_cpus=0-1

readonly cpu_load_fps=100000 # for CPU time per frame: below what any of the paths carries

readonly tcp_slack=30 # seconds that iperf3 may take longer than it sends

# Those that have a target, and those that explain them.
readonly target_figures=tcp-1,rate-64-1,flood-64-1,rtt-64,cpu-64,idle

# Sizes at one flow, flows at one size, both ways at the corners: a cross of the parameters, not their
# product. --figures takes any other combination.
matrix_figures=$target_figures,tcp-8,tcp-1-both,tcp-8-both
for bytes in 128 256 512 1024 1518; do matrix_figures+=,rate-$bytes-1,flood-$bytes-1; done
for flows in 2 8 64; do matrix_figures+=,rate-64-$flows,flood-64-$flows; done
matrix_figures+=,rate-64-1-both,flood-64-1-both,flood-1518-1-both,rtt-1518
readonly matrix_figures

valid_figure() { # figure
  local count='[1-9][0-9]*'
  [[ $1 =~ ^(tcp-$count(-both)?|(rate|flood)-$count-$count(-both)?|(rtt|cpu)-$count|idle)$ ]]
}

measure() { # figure, path
  local what rest path=$2 both=() bidir=()
  IFS=- read -r what rest <<<"$1"
  if [[ $rest == *-both ]]; then
    rest=${rest%-both} both=(--both "${address[a]}") bidir=(--bidir)
  fi
  case $1 in
    tcp-* | idle | *-both) bind_forwarder "$path" $all_cpus ;;
    *) bind_forwarder "$path" $forwarder_cpu ;;
  esac
  case $what in
    tcp)
      timeout $((tcp_seconds + tcp_slack)) ip netns exec "$(netns "$path" a)" \
        iperf3 -c "${address[b]}" -t "$tcp_seconds" -O 1 -J -P "$rest" "${bidir[@]}"
      ;;
    rate) load search "$path" "$trial_seconds" "${rest%-*}" --flows "${rest#*-}" "${both[@]}" ;;
    flood) load flood "$path" "$trial_seconds" "${rest%-*}" --flows "${rest#*-}" "${both[@]}" ;;
    rtt) load rtt "$path" "$rtt_seconds" "$rest" ;;
    cpu) load rate "$path" "$rtt_seconds" "$rest" --fps $cpu_load_fps --sleep ;;
    idle) "$blast" idle --seconds "$idle_seconds" --forwarder "$(processes "$path")" ;;
  esac
}

processes() { echo "${forwarder[$1]// /,}"; } # path

load() { # kind of traffic, path, seconds, bytes, more options
  local traffic=$1 path=$2 seconds=$3 bytes=$4 forwarder_option=()
  shift 4
  [[ -z ${forwarder[$path]:-} ]] || forwarder_option=(--forwarder "$(processes "$path")")
  "$blast" "$traffic" --from "$(netns "$path" a)" --to "$(netns "$path" b)" \
    --address "${address[b]}" --sender-cpu $sender_cpu --receiver-cpu $receiver_cpu \
    --seconds "$seconds" --frame "$bytes" "${forwarder_option[@]}" "$@"
}

bind_forwarder() { # path, CPUs
  local pid
  for pid in ${forwarder[$1]:-}; do taskset -a -c -p "$2" "$pid" >/dev/null; done
}
