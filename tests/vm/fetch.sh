#!/bin/bash
# Fetches a machine to test on: QEMU, a Linux kernel of Debian, and an initramfs for boot.sh.
#
#   tests/vm/fetch.sh KERNEL [DIR]      DIR: $VETHD_VM_CACHE, or build-vm in the source tree
#
#   KERNEL   6.1       Debian 12's
#            6.12      Debian 13's: igb and virtio_net have no zero-copy AF_XDP yet
#            current   Debian 13's newest, from its backports: both have
#
# Everything is a Debian package from the mirror apt already uses, unpacked under DIR with package
# lists and a cache of its own: nothing is installed. What this made before is left as it is.
# Exit 77: this machine cannot fetch it; the last line says why.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
  6.1) kernel_suite=bookworm ;;
  6.12) kernel_suite=trixie ;;
  current) kernel_suite=trixie-backports ;;
  *) sed -n '2,12s/^# \?//p' "$0"; exit 2 ;;
esac
kernel=$1
dir=$(realpath -m "${2:-${VETHD_VM_CACHE:-$here/../../build-vm}}")
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Loaded by the initramfs: what reaches the host's files, then what the tests make links with, then
# the NICs of boot.sh; in the one kernel that tunnels_guest.sh runs on, what it plays.
modules=(virtio_pci 9pnet_virtio 9p overlay tun veth bridge 8021q virtio_net igb)
[ "$kernel" != current ] || modules+=(ipip sit ip_gre vxlan geneve fou sctp)

cannot() { echo "cannot fetch a virtual machine: $*"; exit 77; }

recipe=$(cat "$0" "$here/init" | sha256sum)
is_made() { [ -e "$1/recipe" ] && [ "$(cat "$1/recipe")" = "$recipe" ]; }
done_with() { echo "$recipe" >"$1/recipe"; }
contents() { echo "QEMU $(cat "$dir/qemu.d/version") with $(cat "$dir/$kernel/version")"; }
if is_made "$dir/qemu.d" && is_made "$dir/$kernel"; then contents; exit; fi

command -v apt-get >/dev/null || cannot "this is not Debian"
[ "$(dpkg --print-architecture)" = amd64 ] || cannot "only amd64 is set up"
[ -r "$keyring" ] || cannot "no $keyring; apt-get install debian-archive-keyring"
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016  # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
  "Release: $suite" | sed -n 1p)
[ -n "$mirror" ] || cannot "apt's sources have no main component of '$suite'"

mkdir -p "$dir"
work=$(mktemp -d "$dir/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# use_suites SUITE...: from here on apt is about these and nothing else.
use_suites() {
  local apt_dir=$work/apt
  rm -rf "$apt_dir"
  mkdir -p "$apt_dir"/{lists/partial,cache/archives/partial}
  printf "deb [signed-by=$keyring] $mirror %s main\n" "$@" | sort -u >"$apt_dir/sources.list"
  # The host's packages, but without any QEMU, so that all of it is fetched whatever the host has,
  # and without dependencies: apt does nothing while one on what is left out is not met.
  awk -v RS= -v ORS='\n\n' '!/^Package: (qemu-|seabios|ipxe-qemu|busybox)/ {
    gsub(/\n(Pre-)?Depends:[^\n]*/, ""); print }' /var/lib/dpkg/status >"$apt_dir/status"
  apt=(-qq -o "Dir::Etc::sourcelist=$apt_dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt_dir/lists" -o "Dir::State::status=$apt_dir/status"
    -o "Dir::Cache=$apt_dir/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1
    -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
  echo "fetching the package lists of $*"
  apt-get "${apt[@]}" update || cannot "the mirror gives no package lists of $*"
}

fetch_qemu() {
  # igb and virtio's queue reset came with QEMU 8, which Debian 12 has among its backports.
  local from=$suite deb
  [ "$suite" != bookworm ] || from=bookworm-backports
  rm -rf "$dir/qemu.d"
  mkdir "$dir/qemu.d"
  use_suites "$suite" "$from"
  echo "fetching QEMU, about 50 MB"
  apt-get "${apt[@]}" install --yes --download-only --no-install-recommends -t "$from" \
    qemu-system-x86 busybox-static || cannot "the mirror gives no QEMU"
  for deb in "$work"/apt/cache/archives/*.deb; do dpkg-deb --extract "$deb" "$dir/qemu.d"; done
  cat >"$dir/qemu" <<END
#!/bin/sh
export LD_LIBRARY_PATH=$dir/qemu.d/usr/lib/x86_64-linux-gnu:$dir/qemu.d/lib/x86_64-linux-gnu
exec $dir/qemu.d/usr/bin/qemu-system-x86_64 \
  -L $dir/qemu.d/usr/share/qemu -L $dir/qemu.d/usr/share/seabios "\$@"
END
  chmod +x "$dir/qemu"
  "$dir/qemu" --version | sed -n '1s/.*version \([^ ]*\).*/\1/p' >"$dir/qemu.d/version"
  done_with "$dir/qemu.d"
}

# depends PACKAGE: the packages it depends on, a line each.
depends() { apt-cache "${apt[@]}" depends "$1" | sed -n 's/^ *Depends: //p'; }

# Copies a module after those it depends on; modules/order is the order to load them in.
add_module() {
  local name=$1 to=$root/modules/$1.ko file needed
  [ ! -e "$to" ] || return 0
  file=$(find "$work/kernel" -path '*/lib/modules/*' -name "${name//_/[-_]}.ko*" | sed -n 1p)
  case $file in
    *.ko) cp "$file" "$to" ;;
    *.xz) "$busybox" xzcat "$file" >"$to" ;;
    *)
      # Part of the kernel itself?
      grep -rq --include=modules.builtin "/${name//_/[-_]}\.ko$" "$work/kernel" && return
      echo "$(cat "$dir/$kernel/version") has no module $name" >&2
      return 1
      ;;
  esac
  for needed in $(tr '\0' '\n' <"$to" | sed -n 's/^depends=//p' | tr ',' ' '); do
    add_module "${needed//-/_}"
  done
  echo "$name" >>"$root/modules/order"
}

fetch_kernel() {
  local image packages deb busybox root=$work/initrd module
  rm -rf "${dir:?}/$kernel"
  mkdir -p "$dir/$kernel" "$work"/{debs,kernel} "$root"/{bin,dev,mnt/{host,over,root},modules,proc,sys}
  use_suites "$kernel_suite"
  image=$(depends linux-image-amd64 | grep '^linux-image-') ||
    cannot "the mirror has no linux-image-amd64 of $kernel_suite"
  # Kernel, modules and what they list are packages of their own since Linux 7.3.
  packages=$(depends "$image" | grep -E '^linux-(base|binary|modules)-[0-9]') || packages=$image
  echo "fetching $image, about 100 MB"
  # shellcheck disable=SC2086  # each is a word
  (cd "$work/debs" && apt-get "${apt[@]}" download $packages) || cannot "the mirror gives no $image"
  for deb in "$work"/debs/*.deb; do dpkg-deb --extract "$deb" "$work/kernel"; done
  find "$work/kernel" -name 'vmlinuz*' -type f -exec cp {} "$dir/$kernel/vmlinuz" \;
  echo "$image" >"$dir/$kernel/version"

  busybox=$dir/qemu.d/bin/busybox
  [ -x "$busybox" ] || busybox=$dir/qemu.d/usr/bin/busybox
  cp "$busybox" "$root/bin/"
  install -m 755 "$here/init" "$root/init"
  for module in "${modules[@]}"; do add_module "$module"; done
  (cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$dir/$kernel/initrd.gz"
  done_with "$dir/$kernel"
}

is_made "$dir/qemu.d" || fetch_qemu
is_made "$dir/$kernel" || fetch_kernel
contents
