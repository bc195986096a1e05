# The figures: how one is taken of one path. Part of run.sh.
# Each function prints one JSON object; what is taken from it: report.py.

# Two CPUs are what the smallest machine has. Sender and receiver get one each, which is what kernel
# veth makes best use of; for small frames the forwarder works beside the receiver, as the receiving
# softirq would: next to a sender that never sleeps it would wait for whole time slices while the TAP
# ring overflows. TCP is three parties who all copy, so nobody is pinned, on any path: with two of
# them nailed to a CPU each the pinning is what is measured (forwarders at 0.43 of veth instead of
# 0.53, veth the same).
readonly sender_cpu=0 receiver_cpu=1
declare -rA forwarder_cpus=([tcp]=0-1 [rate]=1 [flood]=1 [rtt]=1 [cpu]=1 [idle]=0-1)

readonly cpu_load_fps=100000 # for CPU time per frame: below what any of the paths carries

figures=(tcp rate flood rtt cpu idle)

measure() { # figure, path
  bind_forwarder "$2" "$1"
  "figure_$1" "$2"
}

bind_forwarder() { # path, figure
  local pid
  for pid in ${forwarder[$1]:-}; do taskset -a -c -p "${forwarder_cpus[$2]}" "$pid" >/dev/null; done
}

figure_tcp() { # path
  ip netns exec "$(netns "$1" a)" \
    iperf3 -c "${address[b]}" -t "$tcp_seconds" -O 1 -J
}

traffic() { # path, subcommand and its options
  local path=$1
  shift
  "$blast" "$@" --from "$(netns "$path" a)" --to "$(netns "$path" b)" --address "${address[b]}" \
    --sender-cpu $sender_cpu --receiver-cpu $receiver_cpu ${forwarder[$path]:+--forwarder "${forwarder[$path]}"}
}

figure_rate() { traffic "$1" search --seconds "$trial_seconds"; }
figure_flood() { traffic "$1" flood --seconds "$trial_seconds"; }
figure_rtt() { traffic "$1" rtt --seconds "$rtt_seconds"; }
figure_cpu() { traffic "$1" rate --fps $cpu_load_fps --sleep --seconds "$rtt_seconds"; }

figure_idle() { # kernel veth has no process that could be idle
  [[ -z ${forwarder[$1]:-} ]] ||
    "$blast" idle --forwarder "${forwarder[$1]}" --seconds "$idle_seconds"
}
