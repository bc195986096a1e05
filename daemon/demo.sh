#!/bin/bash
# Shows vethd at work: installs what it needs, builds it, and sends traffic through one pair.
#
#   sudo daemon/demo.sh           about a minute after the first build; the host is then as before
#   sudo daemon/demo.sh --stay    the same, but the pair stays until Ctrl-C
#
# The pair is config/examples/pair.toml. BUILD=DIR builds somewhere else than build/.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$source_dir/build}
config=$source_dir/config/examples/pair.toml
vethd=$build/daemon/vethd
vethctl=$build/daemon/vethctl
readonly red=vethd-red blue=vethd-blue blue_v4=192.168.1.2 blue_v6=fd00::2
readonly ready_seconds=10 iperf_seconds=3

stay=no
case ${1:-} in
  '') ;;
  --stay) stay=yes ;;
  *) sed -n '2,7s/^# \?//p' "$0"; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "Namespaces and TAP devices need root: sudo $0" >&2; exit 1; }

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }
namespaces() { ip netns list | awk '{ print $1 }' | grep -xE "$red|$blue" | sort || true; }

log=$(mktemp)
daemon='' server=''
# Runs on every way out. The namespaces and devices are the daemon's own to remove.
finish() {
  local status=$?
  trap - EXIT INT TERM
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" || status=1
    [ "$(namespaces)" = "$before" ] || { echo "left behind: $(namespaces)"; status=1; }
  fi
  if [ $status -ne 0 ] && [ $status -ne 130 ] && [ -s "$log" ]; then
    printf '\nThe log of vethd:\n'
    tail -n 40 "$log"
  fi
  rm -f "$log"
  [ $status -ne 0 ] || printf '\nAll of it worked, in %d s.\n' "$SECONDS"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

step "Packages"
"$source_dir/tests/packages.sh" demo && echo "all there"

step "Build, in $build"
[ -e "$build/build.ninja" ] || meson setup "$build" "$source_dir" --buildtype=release
ninja -C "$build" daemon/vethd daemon/vethctl

step "vethd --config ${config#"$source_dir/"}"
before=$(namespaces)
# Its standard output is a pipe to here: the ready line comes when the pair forwards.
exec {from_daemon}< <(exec "$vethd" --config "$config" 2>"$log")
daemon=$!
read -r -t $ready_seconds -u "$from_daemon" ready || fail "no ready line within $ready_seconds s"
echo "$ready"

step "Ping from $red to $blue, IPv4 and IPv6"
ip netns exec $red ping -q -c 5 -i 0.2 -W 2 $blue_v4
ip netns exec $red ping -q -c 5 -i 0.2 -W 2 $blue_v6

step "TCP from $red to $blue for $iperf_seconds s"
exec {from_server}< <(exec ip netns exec $blue iperf3 --server --one-off --forceflush 2>&1)
server=$!
until [[ ${line:-} == *listening* ]]; do
  read -r -t $ready_seconds -u "$from_server" line || fail "iperf3 does not listen in $blue: ${line:-}"
done
ip netns exec $red iperf3 --client $blue_v4 --time $iperf_seconds | grep -E 'sender|receiver'

step "What each stage did: vethctl stats"
"$vethctl" stats

if [ $stay = yes ]; then
  step "The pair stays. In another terminal, as root:"
  cat <<END
  $vethctl show
  $vethctl stats
  ip netns exec $red ping $blue_v4
  ip -n $red -s link show veth0
Ctrl-C stops vethd and removes everything.
END
  trap 'exit 0' INT TERM
  wait "$daemon" || true
  daemon=''
  fail "vethd ended by itself"
fi

step "Stop"
