#!/bin/bash
# Installs what the tests need, builds, runs every test, and ends with one line that counts them.
#
#   sudo tests/run.sh     without root: only what needs no root, the rest is reported as skipped
#
# Builds in build-test, build-asan and build-tsan; the virtual machine is kept in build-vm
# ($VETHD_VM_CACHE). Exit 0: nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$PWD/build-test/results.txt
mkdir -p build-test
: >"$results"

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
verdict() { echo "$*" | tee -a "$results"; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# Every way out, a broken build too, ends in the summary.
summary() {
  local status=$?
  trap - EXIT
  [ $status -eq 0 ] || verdict "FAIL run ended early with status $status" >/dev/null
  step "Summary"
  local passed failed skipped
  passed=$(grep -c '^PASS ' "$results") || true
  failed=$(grep -c '^FAIL ' "$results") || true
  skipped=$(grep -c '^SKIP ' "$results") || true
  grep '^SKIP ' "$results" || true
  grep '^FAIL ' "$results" || true
  echo "vethd: $passed passed, $failed failed, $skipped skipped"
  exit $((failed > 0 || passed == 0))
}
trap summary EXIT
trap 'exit 130' INT TERM

# configure DIR OPTION...
configure() {
  local dir=$1
  shift
  if [ -e "$dir/build.ninja" ]; then
    meson configure "$dir" "$@"
  else
    meson setup "$dir" "$@"
  fi || verdict "FAIL $dir cannot be configured"
}

# suites STAGE DIR SUITE...: builds what the suites need, runs them, notes every case.
suites() {
  local stage=$1 dir=$2 suite arguments=()
  shift 2
  for suite in "$@"; do arguments+=(--suite "$suite"); done
  local xml=$PWD/$dir/gtest-$stage
  rm -rf "$xml" "$dir/meson-logs/$stage".*
  mkdir -p "$xml"
  GTEST_OUTPUT=xml:$xml/ "${prefix[@]}" meson test -C "$dir" --logbase "$stage" \
    --print-errorlogs "${arguments[@]}" || true
  tests/results.py "$stage" "$dir/meson-logs/$stage.json" "$xml" >>"$results"
}
prefix=()

step "Packages"
if tests/packages.sh test; then
  echo "all there"
elif is_root; then
  verdict "FAIL packages cannot be installed"
else
  verdict "SKIP packages some are missing, and installing them needs root"
fi

step "Format"
if command -v clang-format-19 >/dev/null; then
  if find daemon drivers xdp config tests bench -name '*.[ch]pp' -print0 |
    xargs -0 clang-format-19 --dry-run -Werror; then
    verdict "PASS format"
  else
    verdict "FAIL format clang-format-19 -i puts it right"
  fi
else
  verdict "SKIP format no clang-format-19"
fi

step "Unit tests and simulation"
configure build-test --buildtype=debugoptimized
if ninja -C build-test; then verdict "PASS build"; else verdict "FAIL build"; fi
suites unit build-test unit
suites sim build-test sim
suites bench build-test bench

if is_root; then
  step "Platform, system and parity tests"
  suites platform build-test platform
  suites system build-test system
  suites parity build-test parity
else
  verdict "SKIP platform needs root: network namespaces and TAP devices"
  verdict "SKIP system needs root: network namespaces and TAP devices"
  verdict "SKIP parity needs root: network namespaces and TAP devices"
fi

step "Address and undefined-behaviour sanitizers"
# Compiled in less than half the time of -O2 -g, with lines in the reports all the same.
quick_build=(--buildtype=plain -Doptimization=1 -Dcpp_args=-g1)
export ASAN_OPTIONS=detect_stack_use_after_return=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
configure build-asan "${quick_build[@]}" -Db_sanitize=address,undefined
suites asan build-asan unit sim

step "Thread sanitizer"
configure build-tsan "${quick_build[@]}" -Db_sanitize=thread
# Its shadow memory of g++ 12 has no room for the address randomisation of newer kernels.
prefix=(setarch "$(uname -m)" --addr-no-randomize)
suites tsan build-tsan tsan
prefix=()

# machine STAGE SCRIPT: runs it in virtual machines, notes the lines it prints.
machine() {
  local stage=$1 script=$2
  if is_root; then
    "$script" build-test | tee "build-test/$stage.log" || true
    grep -E '^(PASS|FAIL|SKIP) ' "build-test/$stage.log" >>"$results" ||
      verdict "FAIL $stage reported no test case"
  else
    verdict "SKIP $stage needs root: the machine shows the host's files to its own root"
  fi
}

step "Linux 6.1"
machine linux-6.1 tests/vm/linux-6.1.sh

step "Zero-copy"
machine zero-copy tests/vm/zero_copy.sh
