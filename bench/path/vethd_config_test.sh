#!/usr/bin/env bash
# What run.sh --vethd NAME=[BUILD][,KEY=VALUE...] becomes in the daemon's configuration.
# Writes a line per case, as tests/results.py reads them.
#
#   vethd_config_test.sh VETHD      the daemon has to accept what is written
set -euo pipefail

vethd=$1
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=stand.sh
. "$here/stand.sh"
# shellcheck source=wire.sh
. "$here/wire.sh"
# shellcheck source=paths/vethd.sh
. "$here/paths/vethd.sh"
trap 'rm -rf "$work"' EXIT
build=/default/build
failed=0

check() { # name, condition...
  local name=$1
  shift
  if "$@"; then echo "PASS $name"; else
    echo "FAIL $name $*"
    failed=1
  fi
}

# shellcheck disable=SC2317  # called by check
in_section() { # path, section, line
  vethd_config "$1" | awk -v section="$2" -v line="$3" '
    /^\[/ { here = ($0 == section) }
    here && $0 == line { found = 1 }
    END { exit !found }'
}

# shellcheck disable=SC2317  # called by check
taken_twice() { # path
  [[ $( (vethd_add "$1=") 2>&1) == *"there is a path $1 already"* ]]
}

vethd_add plain=
vethd_add elsewhere=/other/build
vethd_add 'keys=,gro=true,kernel=6.1,a.rps_cpus=[0, 1],b.txqueuelen=4000,daemon.workers=2,softnet.hz=1000'
vethd_add 'quoted=/a,b/build,kernel="5.4"'

check an_empty_build_is_the_default test "${vethd_build[plain]}" = /default/build
check a_build_directory_is_taken test "${vethd_build[elsewhere]}" = /other/build
check a_comma_without_a_key_belongs_to_the_path test "${vethd_build[quoted]}" = /a,b/build
check a_key_without_a_section_is_the_pairs in_section keys '[[pair]]' 'gro = true'
check a_bare_word_is_quoted in_section keys '[[pair]]' 'kernel = "6.1"'
check quotes_that_are_there_stay in_section quoted '[[pair]]' 'kernel = "5.4"'
check a_list_keeps_its_commas in_section keys '[pair.a]' 'rps_cpus = [0, 1]'
check an_end_has_its_own_keys in_section keys '[pair.b]' 'txqueuelen = 4000'
check the_daemon_has_its_own_keys in_section keys '[daemon]' 'workers = 2'
check a_machine_has_its_own_keys in_section keys '[softnet]' 'hz = 1000'
for path in plain keys quoted; do
  vethd_config "$path" >"$work/$path.toml"
  check "vethd_accepts_$path" "$vethd" --check --config "$work/$path.toml"
done
check a_name_cannot_be_taken_twice taken_twice plain
exit "$failed"
