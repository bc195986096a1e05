# shellcheck shell=bash
# For the guest's part of a stage.

# check NAME COMMAND...: `PASS $stage/NAME` or `FAIL $stage/NAME reason`, whatever happens.
check() {
  local name=${stage:?}/$1 status=0
  shift
  "$@" >/tmp/check.log 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    echo "PASS $name"
  else
    cat /tmp/check.log
    echo "FAIL $name exit status $status $(tail -n 1 /tmp/check.log)"
  fi
}
