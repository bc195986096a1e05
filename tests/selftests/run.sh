#!/bin/bash
# Plays kernel selftests on a real veth pair and on vethd, and says where they differ.
#
#   sudo tests/selftests/run.sh [--build DIR] [--only TEST,...]
#
# By hand or nightly, no part of CI: takes five minutes, and at first some 150 MB from the Debian
# mirror. The kernel's code is kept in build-selftests ($VETHD_SELFTESTS_CACHE), never in this tree.
#
# Exit 0: every difference is one that README.md explains; 1: another; 77: cannot run here.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
cache=$(realpath -m "${VETHD_SELFTESTS_CACHE:-$root/build-selftests}")
build=$root/build
tests=(gro.sh veth.sh udpgro.sh udpgro_fwd.sh arp_ndisc_evict_nocarrier.sh)

while (($#)); do
  case $1 in
    --build) build=$(readlink -f "${2:?}") && shift 2 ;;
    --only) IFS=, read -r -a tests <<<"${2:?}" && shift 2 ;;
    *) sed -n '2,9s/^# \?//p' "$0" && exit 2 ;;
  esac
done

skip() {
  echo "SKIP selftests $*"
  exit 77
}

# --- what it takes ------------------------------------------------------------------------------

((EUID == 0)) || skip "needs root: network namespaces"
declare -rA tools=([dpkg-deb]=dpkg [xz]=xz-utils [gcc]=gcc [clang]=clang [ip]=iproute2
  [nstat]=iproute2 [ethtool]=ethtool [iptables]=iptables [jq]=jq [ping]=iputils-ping
  [sysctl]=procps [taskset]=util-linux [python3]=python3)
missing=()
for tool in "${!tools[@]}"; do
  command -v "$tool" >/dev/null || missing+=("${tools[$tool]}")
done
[[ -e /usr/include/bpf/bpf_helpers.h ]] || missing+=(libbpf-dev)
((${#missing[@]} == 0)) || skip "missing programs: apt-get install ${missing[*]}"
for program in vethd vethctl; do
  [[ -x $build/daemon/$program ]] || skip "$build/daemon/$program is missing: ninja -C $build"
done
unshare --net ip link add type veth || skip "this kernel has no veth to compare with"

# --- the kernel's scripts and programs ----------------------------------------------------------

package=$(apt-cache search --names-only '^linux-source-[0-9]' | cut -d' ' -f1 | sort -V | tail -n1)
[[ $package ]] || skip "apt knows no linux-source package: apt-get update"
version=$(apt-cache show --no-all-versions "$package" | sed -n 's/^Version: //p')
net=$cache/$version/tools/testing/selftests/net

fetch() {
  local partial=$cache/partial
  rm -rf "$partial"
  mkdir -p "$partial/tree"
  (cd "$partial" && apt-get -q -o APT::Sandbox::User=root download "$package=$version") || return
  dpkg-deb --fsys-tarfile "$partial"/*.deb |
    tar --extract --to-stdout --wildcards './usr/src/*.tar.xz' | xz --decompress |
    tar --extract --directory "$partial/tree" --strip-components=1 --wildcards --no-wildcards-match-slash \
      '*/tools/testing/selftests/kselftest.h' '*/tools/testing/selftests/net/*' || return
  local selftests=$partial/tree/tools/testing/selftests/net program
  for program in gro udpgso_bench_rx udpgso_bench_tx; do
    gcc -O2 -w -o "$selftests/$program" "$selftests/$program.c" || return
  done
  clang -O2 -g -target bpf -I"/usr/include/$(uname -m)-linux-gnu" \
    -c "$selftests/xdp_dummy.bpf.c" -o "$selftests/xdp_dummy.bpf.o" || return
  rm -rf "${cache:?}/$version"
  mv "$partial/tree" "$cache/$version"
  rm -rf "$partial"
}
if [[ ! -d $net ]]; then
  echo "== $package $version"
  fetch || skip "$package $version cannot be fetched or built"
fi

# --- both runs ----------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/veth" "$work/vethd" "$work/state"

# A process namespace: whatever a script leaves behind ends with it.
isolated=(nice unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private)

had=()
for test in "${tests[@]}"; do
  if [[ -x $net/$test ]]; then had+=("$test"); else echo "SKIP $test is not in $package $version"; fi
done
((${#had[@]})) || skip "no test is left"

echo "== veth of Linux $(uname -r)"
"${isolated[@]}" "$here/play.sh" "$net" "$work/veth" "${had[@]}"
echo "== $("$build/daemon/vethd" --version)"
SELFTESTS_IP=$(command -v ip) SELFTESTS_STATE=$work/state PATH=$here/bin:$PATH \
  VETHD=$build/daemon/vethd VETHCTL=$build/daemon/vethctl \
  "${isolated[@]}" "$here/play.sh" "$net" "$work/vethd" "${had[@]}"

# The second column must be of vethd: as many daemons as it takes, and none that could not start.
pairs=("$work/state"/*.running*) failed=("$work/state"/*.failed)
[[ -e ${pairs[0]} ]] || { echo "FAIL no script asked for a pair"; exit 1; }
[[ ! -e ${failed[0]} ]] || { echo "FAIL a pair could not be made:"; cat "$work"/state/*.failed/log; exit 1; }

echo "== $version on Linux $(uname -r); ${#pairs[@]} pairs of vethd"
status=0
"$here/compare.py" "$work/veth" "$work/vethd" "$here/README.md" || status=$?
echo "not run: drivers/net/gro.py (not in $package; wants the tree's netlink library)," \
  "test_xdp_veth (built only with all of bpf's test_progs)"
exit $status
