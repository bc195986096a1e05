#!/usr/bin/env bash
# Measures AF_XDP: on kernel veths, on NICs without a copy where there are some, and in instructions.
# What the figures mean: ../README.md.
set -euo pipefail

usage() {
  cat <<'END_OF_USAGE'
usage: run.sh [--nics IFNAME,IFNAME --far IFNAME,IFNAME] [--build DIR] [--results DIR] [--name NAME]
              [--repeat N] [--quick] [--only-nics]
  --nics, --far NICs to forward between, and what is at the other ends of their wires; nothing else
                may use any of the four
  --only-nics   nothing on kernel veths
  --build DIR   the meson build directory (default build)
  --results DIR where to write (default bench/results)
  --name NAME   write NAME.json, NAME-nics.json, NAME-instructions.json (default zero_copy)
  --repeat N    repetitions of everything
  --quick       short trials: does it work, not how fast is it
END_OF_USAGE
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root path_run=$root/bench/path/run.sh

build=$root/build results=$root/bench/results name=zero_copy nics='' far='' quick=() repeat=() veths=yes
figures=tcp-1,rate-64-1,flood-64-1
while (($#)); do
  case $1 in
    --nics) nics=${2:?} && shift 2 ;;
    --far) far=${2:?} && shift 2 ;;
    --only-nics) veths='' && shift ;;
    --build) build=$(realpath -m "${2:?}") && shift 2 ;;
    --results) results=${2:?} && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    --repeat) repeat=(--repeat "${2:?}") && shift 2 ;;
    # No search: on a busy machine there may be no rate without loss.
    --quick) quick=(--quick) figures=tcp-1,flood-64-1 && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
readonly bare=$build/bench/zero_copy/bare
status=0
testpmd_zerocopy='' testpmd_copy=''
if command -v dpdk-testpmd >/dev/null; then
  testpmd_zerocopy=,testpmd_zerocopy testpmd_copy=,testpmd_copy
else
  echo "run.sh: testpmd: not measured; it needs dpdk-testpmd; apt-get install dpdk-dev" >&2
fi
common=(--build "$build" --results "$results" "${quick[@]}" "${repeat[@]}")

# Why there will be no zero-copy, in the kernel's words; nothing if there can be.
refusal() { # IFNAME,IFNAME
  local ready from_bare bare_pid said
  said=$(mktemp)
  exec {from_bare}< <(exec "$bare" --from "${1%,*}" --to "${1#*,}" --mode zerocopy 2>"$said")
  bare_pid=$!
  read -r -u "$from_bare" ready || true
  kill -TERM "$bare_pid" 2>/dev/null || true
  tail --pid="$bare_pid" -f /dev/null
  exec {from_bare}<&-
  [[ ${ready:-} == ready ]] || tail -n 1 "$said"
  rm "$said"
}

if [[ -n $veths ]]; then
  "$path_run" "${common[@]}" --name "$name" --figures "$figures" \
    --only "af_xdp_copy,af_xdp_generic,bare_copy,bare_generic$testpmd_copy" || status=1
  if command -v valgrind >/dev/null; then
    "$here/instructions.sh" --results "$results" --name "$name-instructions" "${quick[@]}" "$build" ||
      status=1
  else
    echo "run.sh: instructions: not counted; they need valgrind; apt-get install valgrind" >&2
  fi
fi

if [[ -z $nics ]]; then
  echo "not run: no zero-copy device: no NICs were named; --nics and --far do it"
  exit $status
fi
IFS=, read -r first second <<<"$nics"
ip link set "$first" up
ip link set "$second" up
reason=$(refusal "$nics")
if [[ -n $reason ]]; then
  echo "not run: no zero-copy device: $reason"
  exit $status
fi
"$path_run" "${common[@]}" --name "$name-nics" --nics "$nics" --far "$far" --figures flood-64-1 \
  --only "af_xdp_zerocopy,af_xdp_copy,af_xdp_generic,bare_zerocopy,bare_copy,bare_generic$testpmd_zerocopy$testpmd_copy" ||
  status=1
exit $status
