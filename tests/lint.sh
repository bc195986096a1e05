#!/bin/bash
# Reads every source with clang-tidy, by .clang-tidy; minutes, so tests/run.sh leaves it out.
#
#   tests/lint.sh     builds nothing but the compile commands, in build-lint
#
# Needs clang-tidy-19. Exit 0: nothing found.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -e build-lint/build.ninja ] || meson setup build-lint
run-clang-tidy-19 -quiet -j "$(nproc)" -p build-lint "^$PWD/(daemon|drivers|xdp|config|tests|bench)/"
