#!/usr/bin/env bash
# Build a small Debian test guest (kernel + initramfs + ext4 root image) from
# .deb files, without root, chroot, loop mounts or KVM.
#
#   build.sh CACHE_DIR
#
# Environment:
#   GUEST_EXTRA_PKGS   further Debian packages for the guest (space separated)
#   GUEST_EXTRA_MODS   further kernel modules
#   GUEST_KERNEL_PKG   kernel meta package            (linux-image-amd64)
#   GUEST_REBUILD=1    rebuild although CACHE_DIR is complete
#
# Needs on the host: a Debian/Ubuntu apt with package lists, dpkg-deb and
# e2fsprogs (mke2fs -d).  The result is CACHE_DIR/{vmlinuz,initrd,root.img}.
set -euo pipefail

[[ $# == 1 ]] || { sed -n '2,14p' "$0" | cut -c3- >&2; exit 2; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# What the cache was built with is the default for the next call.
extra_pkgs=${GUEST_EXTRA_PKGS-$(cat "$cache/extra-pkgs" 2>/dev/null || true)}
extra_mods=${GUEST_EXTRA_MODS-$(cat "$cache/extra-mods" 2>/dev/null || true)}
kernel_pkg=${GUEST_KERNEL_PKG:-linux-image-amd64}

pkgs=(
    # base userland; no package scripts are run, so only plain programs
    base-files bash dash coreutils util-linux mount grep sed mawk findutils
    diffutils hostname procps kmod udev iproute2 libc-bin tar gzip
    # the initiator and the tools that exercise it
    open-iscsi multipath-tools dmsetup sg3-utils sg3-utils-udev fio e2fsprogs lsscsi
    # shallow extras used by this script
    busybox-static
)
read -ra extra <<<"$extra_pkgs"; pkgs+=("${extra[@]}")

# Modules to ship; everything they depend on follows from modules.dep.
mods=(
    virtio_pci virtio_blk virtio_net virtio_console virtio_rng
    9p 9pnet_virtio ext4
    crc32c_generic crc32c_intel crct10dif_pclmul
    sd_mod sg scsi_transport_iscsi iscsi_tcp scsi_dh_alua
    dm-mod dm-multipath dm-round-robin dm-service-time dm-queue-length
)
read -ra extra <<<"$extra_mods"; mods+=("${extra[@]}")

stamp=$(printf '%s\n' "$kernel_pkg" "${pkgs[@]}" "${mods[@]}" \
        | cat - "$here/build.sh" "$here/init" | sha256sum | cut -d' ' -f1)
if [[ -z ${GUEST_REBUILD:-} && $(cat "$cache/stamp" 2>/dev/null) == "$stamp" ]]; then
    exit 0
fi
rm -f "$cache/stamp"

log() { printf 'guest: %s\n' "$*" >&2; }
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

# 1. Resolve against an empty dpkg status so the whole closure is downloaded.
log "resolving and downloading packages"
mkdir -p "$cache/debs/partial" "$work/state" "$work/none/partial"
: >"$work/status"
apt=(apt-get -q -y --no-install-recommends
     -o Dir::State::status="$work/status"
     -o Dir::State::extended_states="$work/state/extended"
     -o Dir::Cache::archives="$cache/debs/"
     -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
     -o Dir::Log="$work" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
# (--print-uris leaves out what is already in the archives folder)
uris() { "${apt[@]}" -o Dir::Cache::archives="$work/none/" --print-uris install "${pkgs[@]}" "$kernel_pkg"; }
if ! uris >"$work/uris" 2>"$work/apt.log"; then
    # The machine's package lists are missing or too old: fetch lists of our own, which needs no root.
    log "fetching package lists"
    mkdir -p "$cache/lists/partial"
    apt+=(-o Dir::State::lists="$cache/lists")
    "${apt[@]}" update >"$work/apt.log" 2>&1 && uris >"$work/uris" 2>>"$work/apt.log" ||
        { tail -20 "$work/apt.log" >&2; exit 1; }
fi
"${apt[@]}" --download-only install "${pkgs[@]}" "$kernel_pkg" >"$work/apt.log" 2>&1 \
    || { tail -20 "$work/apt.log" >&2; exit 1; }
mapfile -t debs < <(sed -n "s/^'[^']*' \([^ ]*\.deb\) .*/\1/p" "$work/uris")
log "${#debs[@]} packages"

# 2. Unpack.  The kernel goes elsewhere; only the modules named are copied.
log "unpacking"
mkdir -p "$root"/{usr/{bin,sbin,lib,lib32,lib64,libx32},proc,sys,dev,run,tmp,mnt,root,etc,share,new}
for d in bin sbin lib lib32 lib64 libx32; do ln -s "usr/$d" "$root/$d"; done
mkdir "$work/kernel"
for deb in "${debs[@]}"; do
    case $deb in
        linux-image-*) dest=$work/kernel ;;
        initramfs-tools*|linux-base_*|klibc-utils_*) continue ;;
        *) dest=$root ;;
    esac
    # -h: keep the merged-/usr symlinks when a package still ships /bin, /lib
    dpkg-deb --fsys-tarfile "$cache/debs/$deb" \
        | tar -x -h --no-same-owner --keep-directory-symlink -C "$dest" -f - \
              --exclude=./usr/share/doc --exclude=./usr/share/man \
              --exclude=./usr/share/locale --exclude=./usr/share/info
done
kver=$(basename "$(echo "$work"/kernel/lib/modules/*)")
log "kernel $kver"

# 3. Kernel modules: the named ones and what they need.
log "selecting modules"
bb=$root/bin/busybox        # static, so it runs on any host
libs=$root/lib/x86_64-linux-gnu
depmod() { "$libs/ld-linux-x86-64.so.2" --library-path "$libs" --argv0 depmod "$root/bin/kmod" "$@"; }
closure() {                 # closure MODULES.DEP NAME...: paths, needs first
    awk -v want="${*:2}" '
        function key(p) { sub(/.*\//, "", p); sub(/\.ko.*/, "", p); gsub(/-/, "_", p); return p }
        function visit(p,   d, n, i) {
            if (p in seen) return
            seen[p] = 1
            n = split(deps[p], d, " ")
            for (i = n; i >= 1; i--) visit(d[i])
            print p
        }
        { p = $1; sub(/:$/, "", p); path[key(p)] = p; $1 = ""; deps[p] = $0 }
        END {
            n = split(want, w, " ")
            for (i = 1; i <= n; i++) {
                k = w[i]; gsub(/-/, "_", k)
                if (k in path) visit(path[k])
                else print "guest: no module " w[i] " (built in?)" >"/dev/stderr"
            }
        }' "$1"
}
src=$work/kernel/lib/modules/$kver
dst=$root/lib/modules/$kver
depmod -b "$work/kernel" "$kver"
mkdir -p "$dst"
cp "$src"/modules.{builtin,builtin.modinfo,order} "$dst/"
closure "$src/modules.dep" "${mods[@]}" >"$work/modlist"
while read -r m; do
    m=${m#/lib/modules/"$kver"/}
    install -D -m 644 "$src/$m" "$dst/$m"
done <"$work/modlist"
depmod -b "$root" "$kver"
log "$(wc -l <"$work/modlist") modules"

# 4. What maintainer scripts would have made.
log "configuring"
echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
printf '%s\n' root:x:0: disk:x:6: tty:x:5: kmem:x:15: cdrom:x:24: dialout:x:20: \
    lp:x:7: audio:x:29: video:x:44: tape:x:26: input:x:101: render:x:102: \
    sgx:x:103: kvm:x:104: >"$root/etc/group"
echo 'root:*:19000:0:99999:7:::' >"$root/etc/shadow"
echo guest >"$root/etc/hostname"
printf '127.0.0.1 localhost\n10.0.2.2 host\n' >"$root/etc/hosts"
printf 'passwd: files\ngroup: files\nhosts: files\n' >"$root/etc/nsswitch.conf"
ln -sf mawk "$root/usr/bin/awk"
ln -sf bash "$root/usr/bin/sh"
ln -sf /proc/mounts "$root/etc/mtab"
mkdir -p "$root"/etc/{iscsi/{nodes,send_targets,ifaces},multipath} \
    "$root"/var/{lib/iscsi,lock,log,run,tmp} "$root/root"
rm -rf "$root/var/run" "$root/var/lock"
ln -s /run "$root/var/run"; ln -s /run/lock "$root/var/lock"
[[ -e $root/etc/iscsi/iscsid.conf ]] && sed -i \
    -e 's|^iscsid.startup *=.*|iscsid.startup = /sbin/iscsid|' \
    -e 's|^node.startup *=.*|node.startup = manual|' "$root/etc/iscsi/iscsid.conf"
ldconfig -r "$root" 2>/dev/null || /sbin/ldconfig -r "$root"
install -m 755 "$here/init" "$root/init"

# 5. Root image and a small initramfs that finds it.
log "packing"
bytes=$(du -sB1 --apparent-size "$root" | cut -f1)
rm -f "$cache/root.img"
mke2fs -qF -t ext4 -O ^has_journal -m 0 -N 60000 -E root_owner=0:0 \
    -d "$root" "$cache/root.img" \
    "$((bytes * 13 / 10 / 1048576 + 96))M" >/dev/null
ird=$work/initrd
mkdir -p "$ird"/{bin,lib/modules,proc,sys,dev,new}
cp "$bb" "$ird/bin/busybox"
for a in sh mount insmod switch_root sleep mkdir; do ln -s busybox "$ird/bin/$a"; done
n=0
closure "$dst/modules.dep" virtio_pci virtio_blk ext4 crc32c_generic 2>/dev/null \
    | while read -r m; do
    m=${m#/lib/modules/"$kver"/}
    n=$((n + 1)); cp "$dst/$m" "$ird/lib/modules/$(printf %03d $n)-$(basename "$m")"
done
cat >"$ird/init" <<'INIT'
#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in /lib/modules/*; do insmod "$m"; done
i=0; while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
mount -t ext4 -o rw,noatime /dev/vda /new || echo o >/proc/sysrq-trigger
mount -o move /dev /new/dev
exec switch_root /new /init
INIT
chmod 755 "$ird/init"
(cd "$ird" && find . | "$bb" cpio -o -H newc 2>/dev/null | gzip -1) >"$cache/initrd"
cp "$work"/kernel/boot/vmlinuz-* "$cache/vmlinuz"
echo "$extra_pkgs" >"$cache/extra-pkgs"
echo "$extra_mods" >"$cache/extra-mods"
echo "$stamp" >"$cache/stamp"
log "done: $(du -h "$cache/root.img" | cut -f1) root image, kernel $kver"
