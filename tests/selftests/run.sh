#!/bin/bash
# Plays kernel selftests on a real veth pair and on vethd, and says where they differ.
#
#   sudo tests/selftests/run.sh [--build DIR] [--only TEST,...]
#
# By hand or nightly, no part of CI: takes ten minutes, and at first some 350 MB from the Debian
# mirror. The kernel's code is kept in build-selftests ($VETHD_SELFTESTS_CACHE), never in this tree.
#
# Exit 0: every difference is one that README.md explains; 1: another; 77: cannot run here.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
cache=$(realpath -m "${VETHD_SELFTESTS_CACHE:-$root/build-selftests}")
build=$root/build
# Those of the release's own package, and those that only the newest one has whole.
scripts=(gro.sh veth.sh udpgro.sh udpgro_fwd.sh arp_ndisc_evict_nocarrier.sh)
newest=(gro.py csum.py napi_id.py test_xsk.sh)
only=()

while (($#)); do
  case $1 in
    --build) build=$(readlink -f "${2:?}") && shift 2 ;;
    --only) IFS=, read -r -a only <<<"${2:?}" && shift 2 ;;
    *) sed -n '2,9s/^# \?//p' "$0" && exit 2 ;;
  esac
done

skip() {
  echo "SKIP selftests $*"
  exit 77
}

# wanted TEST...: those that --only names, a line each; all of them without.
wanted() { if ((${#only[@]})); then printf '%s\n' "$@" | grep -Fxf <(printf '%s\n' "${only[@]}"); else printf '%s\n' "$@"; fi; }
mapfile -t scripts < <(wanted "${scripts[@]}")
mapfile -t newest < <(wanted "${newest[@]}")
((${#scripts[@]} + ${#newest[@]})) || skip "no test of that name"

# --- what it takes ------------------------------------------------------------------------------

((EUID == 0)) || skip "needs root: network namespaces"
declare -rA tools=([dpkg-deb]=dpkg [xz]=xz-utils [gcc]=gcc [clang]=clang [bpftool]=bpftool [ip]=iproute2
  [nstat]=iproute2 [ethtool]=ethtool [iptables]=iptables [jq]=jq [ping]=iputils-ping
  [socat]=socat [sysctl]=procps [taskset]=util-linux [chrt]=util-linux [python3]=python3)
missing=()
for tool in "${!tools[@]}"; do
  command -v "$tool" >/dev/null || missing+=("${tools[$tool]}")
done
[[ -e /usr/include/bpf/bpf_helpers.h ]] || missing+=(libbpf-dev)
python3 -c 'import yaml' 2>/dev/null || missing+=(python3-yaml)
((${#missing[@]} == 0)) || skip "missing programs: apt-get install ${missing[*]}"
for program in vethd vethctl; do
  [[ -x $build/daemon/$program ]] || skip "$build/daemon/$program is missing: ninja -C $build"
done
unshare --net ip link add type veth || skip "this kernel has no veth to compare with"

# --- the kernel's scripts and programs ----------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# use_newest: from here on apt is about Debian's newest kernel, with lists of its own, as
# tests/vm/fetch.sh has them.
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=(-q -o APT::Sandbox::User=root)
use_newest() {
  local mirror apt_dir=$work/apt
  # shellcheck disable=SC2016  # apt expands it
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    grep -v security | sed -n 1p)
  [[ $mirror && -r $keyring ]] || return
  mkdir -p "$apt_dir"/{lists/partial,cache/archives/partial}
  echo "deb [signed-by=$keyring] $mirror trixie-backports main" >"$apt_dir/sources.list"
  apt+=(-o "Dir::Etc::sourcelist=$apt_dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir/cache")
  apt-get "${apt[@]}" update >/dev/null
}

# find_package: sets package and version to the newest linux-source that apt offers.
find_package() {
  package=$(apt-cache "${apt[@]}" search --names-only '^linux-source-[0-9]' | cut -d' ' -f1 | sort -V | tail -n1)
  [[ $package ]] || return
  version=$(apt-cache "${apt[@]}" show --no-all-versions "$package" | sed -n 's/^Version: //p')
  tree=$cache/$version
}

# unpack PATTERN...: the package's files under tools and Documentation that are named.
unpack() {
  rm -rf "$cache/partial"
  mkdir -p "$cache/partial/tree"
  (cd "$cache/partial" && apt-get "${apt[@]}" download "$package=$version") &&
    dpkg-deb --fsys-tarfile "$cache/partial"/*.deb |
    tar --extract --to-stdout --wildcards './usr/src/*.tar.xz' | xz --decompress |
      tar --extract --directory "$cache/partial/tree" --strip-components=1 --wildcards "$@"
}

# keep: what was unpacked and built is whole.
keep() {
  rm -rf "$tree"
  mv "$cache/partial/tree" "$tree"
  rm -rf "$cache/partial"
}

bpf_object() { # SOURCE, from clang's OPTION...
  local source=$1
  shift
  clang -O2 -g -w -target bpf -I"/usr/include/$(uname -m)-linux-gnu" "$@" -c "$source" -o "${source%.c}.o"
}

fetch_scripts() {
  unpack --no-wildcards-match-slash \
    '*/tools/testing/selftests/kselftest.h' '*/tools/testing/selftests/net/*' || return
  local net=$cache/partial/tree/tools/testing/selftests/net program
  for program in gro udpgso_bench_rx udpgso_bench_tx; do
    gcc -O2 -w -o "$net/$program" "$net/$program.c" || return
  done
  bpf_object "$net/xdp_dummy.bpf.c" && keep
}

fetch_newest() {
  unpack '*/tools/testing/selftests/*.h' '*/tools/testing/selftests/net/lib/*' \
    '*/tools/testing/selftests/drivers/net/*' '*/tools/testing/selftests/bpf/*' '*/tools/net/ynl/*' \
    '*/Documentation/netlink/*' '*/tools/include/*' '*/tools/arch/*/include/*' '*/tools/lib/*' || return
  local from=$cache/partial/tree/tools program
  local selftests=$from/testing/selftests
  for program in net/lib/gro net/lib/csum drivers/net/napi_id_helper; do
    gcc -O2 -w -I"$selftests" -o "$selftests/$program" "$selftests/$program.c" || return
  done
  bpf_object "$selftests/net/lib/xdp_dummy.bpf.c" || return
  # xskxceiver is part of bpf's test_progs, which want a compiler newer than Debian's and a BTF of the
  # kernel's modules; itself, it wants neither.
  (
    cd "$selftests/bpf"
    bpf_object progs/xsk_xdp_progs.c -I"$from/include/uapi" -I. &&
      bpftool gen skeleton progs/xsk_xdp_progs.o name xsk_xdp_progs >xsk_xdp_progs.skel.h &&
      gcc -O2 -w -D_GNU_SOURCE -I. -I.. -I"$from/include" -I"$from/include/uapi" -I"$from/lib" \
        -o xskxceiver xskxceiver.c xsk.c prog_tests/test_xsk.c network_helpers.c "$from/lib/find_bit.c" \
        -lbpf -lelf -lz -lpthread
  ) && keep
}

net=/nowhere new=/nowhere versions=()
if ((${#scripts[@]})); then
  find_package || skip "apt knows no linux-source package: apt-get update"
  if [[ ! -d $tree ]]; then
    echo "== $package $version"
    fetch_scripts || skip "$package $version cannot be fetched or built"
  fi
  net=$tree/tools/testing/selftests/net versions+=("$version")
fi
if ((${#newest[@]})); then
  if ! use_newest || ! find_package; then skip "the mirror gives no package lists of trixie-backports"; fi
  if [[ ! -d $tree ]]; then
    echo "== $package $version"
    fetch_newest || skip "$package $version cannot be fetched or built"
  fi
  new=$tree/tools/testing/selftests versions+=("$version")
fi

# --- both runs ----------------------------------------------------------------------------------

mkdir "$work/veth" "$work/vethd" "$work/state"

# A process namespace: whatever a script leaves behind ends with it.
isolated=(nice unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private)

had=("${newest[@]}")
for test in "${scripts[@]}"; do
  if [[ -x $net/$test ]]; then had+=("$test"); else echo "SKIP $test is not in ${versions[0]}"; fi
done
((${#had[@]})) || skip "no test is left"

echo "== veth of Linux $(uname -r)"
"${isolated[@]}" "$here/play.sh" "$net" "$new" "$work/veth" "${had[@]}"
echo "== $("$build/daemon/vethd" --version)"
SELFTESTS_IP=$(command -v ip) SELFTESTS_STATE=$work/state PATH=$here/bin:$PATH \
  VETHD=$build/daemon/vethd VETHCTL=$build/daemon/vethctl \
  "${isolated[@]}" "$here/play.sh" "$net" "$new" "$work/vethd" "${had[@]}"

# The second column must be of vethd: as many daemons as it takes, and none that could not start.
pairs=("$work/state"/*.running*) failed=("$work/state"/*.failed)
[[ -e ${pairs[0]} ]] || { echo "FAIL no script asked for a pair"; exit 1; }
[[ ! -e ${failed[0]} ]] || { echo "FAIL a pair could not be made:"; cat "$work"/state/*.failed/log; exit 1; }

echo "== ${versions[*]} on Linux $(uname -r); ${#pairs[@]} pairs of vethd"
status=0
"$here/compare.py" "$work/veth" "$work/vethd" "$here/README.md" || status=$?
echo "not run: test_xdp_veth (built only with all of bpf's test_progs)"
exit $status
