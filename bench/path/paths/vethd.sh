# shellcheck shell=bash disable=SC2034,SC2154
# vethd: with its defaults, which are what a user gets, or as --vethd says.

declare -A vethd_build=() # path -> its build directory
declare -A vethd_keys=()  # path -> lines "SECTION KEY = VALUE"

vethd_add() { # NAME=[BUILD][,KEY=VALUE...]
  local name=${1%%=*} rest=${1#*=} key value keys=
  [[ $1 == *=* && $name =~ ^[a-z0-9_]+$ ]] || die "--vethd $1: NAME=[BUILD][,KEY=VALUE...] is wanted"
  [[ -z ${kind[$name]:-} ]] || die "--vethd $1: there is a path $name already"
  # A comma ends a value only where another key follows: a value may be a list.
  while [[ $rest =~ ^(.*),([a-z_.]+)=(.*)$ ]]; do # from the last to the first
    rest=${BASH_REMATCH[1]} key=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
    # The quotes of coalesce="always" are lost to the shell more often than not.
    [[ $value =~ ^(true|false|[0-9]+|[\"\'\[\{].*)$ ]] || value="\"$value\""
    [[ $key == *.* ]] || key=pair.$key
    keys="${key%%.*} ${key#*.} = $value"$'\n'"$keys"
  done
  vethd_build[$name]=$(realpath -m "${rest:-$build}") vethd_keys[$name]=$keys
  kind[$name]=vethd
}

vethd_missing() { # path
  local binary=${vethd_build[$1]}/daemon/vethd
  [[ -x $binary ]] || echo "$binary; ninja -C ${vethd_build[$1]}"
}

vethd_config() { # path
  local end
  section() { # path, section
    sed -n "s/^$2 //p" <<<"${vethd_keys[$1]}"
  }
  printf '[daemon]\ncontrol_socket = "%s/%s.sock"\ncreate_netns = false\n' "$work" "$1"
  section "$1" daemon
  printf '[softnet]\n'
  section "$1" softnet
  printf '[[pair]]\nname = "bench"\n'
  section "$1" pair
  for end in a b; do
    printf '[pair.%s]\nnetns = "%s"\nifname = "%s"\nmac = "%s"\naddresses = ["%s/24"]\n' \
      $end "$(netns "$1" $end)" "${ifname[$end]}" "${mac[$end]}" "${address[$end]}"
    section "$1" $end
  done
}

vethd_start() { # path
  vethd_config "$1" >"$work/$1.toml"
  start "$1" "${vethd_build[$1]}/daemon/vethd" --config "$work/$1.toml"
  await_ready "$1"
}
