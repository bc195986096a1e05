#!/bin/bash
# Fetches a machine to test on: QEMU, the Linux 6.1 kernel of Debian 12, and an initramfs for boot.sh.
#
#   tests/vm/fetch.sh [DIR]      DIR: $VETHD_VM_CACHE, or build-vm in the source tree
#
# Everything is a Debian package from the mirror apt already uses, unpacked under DIR with package
# lists and a cache of its own: nothing is installed. A DIR that this made before is left as it is.
# Exit 77: this machine cannot fetch it; the last line says why.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(realpath -m "${1:-${VETHD_VM_CACHE:-$here/../../build-vm}}")
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Loaded by the initramfs: what reaches the host's files, then what the tests make links with.
readonly modules=(virtio_pci 9pnet_virtio 9p overlay tun veth bridge 8021q)

cannot() { echo "cannot fetch a virtual machine: $*"; exit 77; }

recipe=$(cat "$0" "$here/init" | sha256sum)
if [ -e "$dir/recipe" ] && [ "$(cat "$dir/recipe")" = "$recipe" ]; then cat "$dir/contents"; exit; fi

command -v apt-get >/dev/null || cannot "this is not Debian"
[ "$(dpkg --print-architecture)" = amd64 ] || cannot "only amd64 is set up"
[ -r "$keyring" ] || cannot "no $keyring; apt-get install debian-archive-keyring"
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016  # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
  "Release: $suite" | sed -n 1p)
[ -n "$mirror" ] || cannot "apt's sources have no main component of '$suite'"

# igb and virtio's queue reset came with QEMU 8, which Debian 12 has among its backports.
qemu_suite=$suite
[ "$suite" != bookworm ] || qemu_suite=bookworm-backports

rm -rf "$dir"
mkdir -p "$dir"/{qemu.d,kernel.d,debs,apt/lists/partial,apt/cache/archives/partial}
for s in bookworm "$suite" "$qemu_suite"; do
  echo "deb [signed-by=$keyring] $mirror $s main"
done | sort -u >"$dir/apt/sources.list"
# The host's packages, but without any QEMU, so that all of it is fetched whatever the host has.
awk -v RS= -v ORS='\n\n' '!/^Package: (qemu-|seabios|ipxe-qemu|busybox)/' /var/lib/dpkg/status \
  >"$dir/apt/status"
apt=(-qq -o "Dir::Etc::sourcelist=$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$dir/apt/lists" -o "Dir::State::status=$dir/apt/status"
  -o "Dir::Cache=$dir/apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1
  -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)

echo "fetching the package lists of bookworm and $qemu_suite"
apt-get "${apt[@]}" update || cannot "the mirror gives no package lists"
kernel=$(apt-cache "${apt[@]}" show linux-image-amd64/bookworm |
  sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p') || true
[ -n "$kernel" ] || cannot "the mirror has no linux-image-amd64 of bookworm"
echo "fetching QEMU and $kernel, about 120 MB"
apt-get "${apt[@]}" install --yes --download-only --no-install-recommends -t "$qemu_suite" \
  qemu-system-x86 busybox-static || cannot "the mirror gives no QEMU"
for deb in "$dir"/apt/cache/archives/*.deb; do dpkg-deb --extract "$deb" "$dir/qemu.d"; done
(cd "$dir/debs" && apt-get "${apt[@]}" download "$kernel") || cannot "the mirror gives no $kernel"
dpkg-deb --extract "$dir"/debs/"$kernel"_*.deb "$dir/kernel.d"
cp "$dir"/kernel.d/boot/vmlinuz-* "$dir/vmlinuz"

cat >"$dir/qemu" <<END
#!/bin/sh
export LD_LIBRARY_PATH=$dir/qemu.d/usr/lib/x86_64-linux-gnu:$dir/qemu.d/lib/x86_64-linux-gnu
exec $dir/qemu.d/usr/bin/qemu-system-x86_64 \
  -L $dir/qemu.d/usr/share/qemu -L $dir/qemu.d/usr/share/seabios "\$@"
END
chmod +x "$dir/qemu"
qemu_version=$("$dir/qemu" --version | sed -n '1s/.*version \([^ ]*\).*/\1/p')

root=$dir/initrd.d
busybox=$dir/qemu.d/bin/busybox
[ -x "$busybox" ] || busybox=$dir/qemu.d/usr/bin/busybox
mkdir -p "$root"/{bin,dev,mnt/{host,over,root},modules,proc,sys}
cp "$busybox" "$root/bin/"
install -m 755 "$here/init" "$root/init"

# Copies a module after those it depends on; modules/order is the order to load them in.
add_module() {
  local name=$1 file needed
  [ ! -e "$root/modules/$name.ko" ] || return 0
  file=$(find "$dir/kernel.d/lib/modules" -name "${name//_/[-_]}.ko" | sed -n 1p)
  [ -n "$file" ] || { echo "$kernel has no module $name" >&2; return 1; }
  cp "$file" "$root/modules/$name.ko"
  for needed in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' '); do
    add_module "${needed//-/_}"
  done
  echo "$name" >>"$root/modules/order"
}
for module in "${modules[@]}"; do add_module "$module"; done
(cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$dir/initrd.gz"
# Read again by nobody, and most of the space.
rm -rf "$dir"/{apt,debs,kernel.d,initrd.d}

echo "QEMU $qemu_version with $kernel" >"$dir/contents"
echo "$recipe" >"$dir/recipe"
cat "$dir/contents"
