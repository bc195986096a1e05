#!/usr/bin/env bash
# Measures what each stage of the path costs, and all together: time by google-benchmark,
# instructions by callgrind. What the figures mean: ../README.md. Needs no root.
#
# Exit 1: the whole path takes more instructions than it may.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: run.sh [--build DIR] [--name NAME]
  --build DIR   the meson build directory, made if missing, a release build (default build-bench)
  --name NAME   write bench/results/NAME.json (default stage)
EOF
}

here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
readonly here root

readonly batches=200     # under callgrind; its counts do not scatter
readonly repetitions=9   # of the times
readonly min_time=0.005  # seconds of each, preparing a batch not counted

build=$root/build-bench name=stage
while (($#)); do
  case $1 in
    --build) build=$(readlink -m "${2:?}") && shift 2 ;;
    --name) name=${2:?} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done

die() {
  echo "run.sh: $*" >&2
  exit 1
}

for tool in meson ninja valgrind python3; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install meson valgrind python3"
done

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

quietly() { "$@" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2 && die "$1 failed"; }; }
if [[ -e $build/build.ninja ]]; then
  quietly meson configure "$build" --buildtype=release
else
  quietly meson setup "$build" "$root" --buildtype=release
fi
quietly ninja -C "$build" bench/stage/stage
readonly stage=$build/bench/stage/stage

mapfile -t stages < <("$stage" --benchmark_list_tests | sed 's|/manual_time$||')

"$stage" --benchmark_repetitions=$repetitions --benchmark_min_time=$min_time \
  --benchmark_format=json >"$work/times.json" 2>"$work/times.log" ||
  { cat "$work/times.log" >&2 && die "the benchmark failed"; }

# A run per stage: callgrind counts what measured() and its callees execute, nothing else.
for stage_name in "${stages[@]}"; do
  valgrind --tool=callgrind --toggle-collect='vethd::bench::measured*' \
    --callgrind-out-file=/dev/null "$stage" --batches=$batches \
    --benchmark_filter="^$stage_name/iterations" >"$work/callgrind.log" 2>&1 ||
    { cat "$work/callgrind.log" >&2 && die "callgrind failed at $stage_name"; }
  printf '%s %s\n' "$stage_name" "$(sed -n 's/.*Collected : //p' "$work/callgrind.log")"
done >"$work/instructions.txt"

python3 "$here/report.py" --times "$work/times.json" --instructions "$work/instructions.txt" \
  --batches $batches --source "$root" --out "$root/bench/results/$name.json"
