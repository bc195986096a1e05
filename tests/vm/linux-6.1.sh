#!/bin/bash
# Runs the platform tests and a pair under traffic on Linux 6.1, where io_uring lacks much of what
# vethd prefers: multishot reads above all.
#
#   tests/vm/linux-6.1.sh BUILD_DIR
#
# Prints `PASS name`, `FAIL name reason` and `SKIP name reason` among the machine's own output.
set -euo pipefail

# shellcheck source=tests/vm/stage.sh
. "$(dirname "$0")/stage.sh"
fetch_machine linux-6.1 6.1
run_in_machine linux-6.1 6.1 "$here/guest.sh" "$(realpath "$1")"
