# shellcheck shell=bash
# For the scripts that run a stage of the tests in a machine.

here=$(cd "$(dirname "$0")" && pwd)
machine_dir=$(realpath -m "${VETHD_VM_CACHE:-$here/../../build-vm}")

# fetch_machine STAGE KERNEL: prints SKIP or FAIL and ends the script if there will be no machine.
fetch_machine() {
  local stage=$1 kernel=$2 status=0 fetched
  fetched=$("$here/fetch.sh" "$kernel" "$machine_dir") || status=$?
  echo "$fetched" >&2  # and not by tee /dev/stderr, which would empty a log file
  case $status in
    0) ;;
    77) echo "SKIP $stage ${fetched##*$'\n'}"; exit ;;
    *) echo "FAIL $stage fetch.sh ended with status $status"; exit 1 ;;
  esac
}

# run_in_machine STAGE KERNEL [OPTION...] COMMAND...: as boot.sh does it, and a line about the boot.
run_in_machine() {
  local stage=$1 status=0
  shift
  "$here/boot.sh" "$machine_dir" "$@" || status=$?
  case $status in
    0) echo "PASS $stage/boot" ;;
    124) echo "FAIL $stage/boot took too long" ;;
    125) echo "FAIL $stage/boot the machine did not come up" ;;
    *) echo "FAIL $stage/boot the guest ended with status $status" ;;
  esac
  return $status
}
