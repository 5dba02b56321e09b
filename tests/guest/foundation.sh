#!/usr/bin/env bash
# Guest script: the life of a disk. Two paths under dm-multipath, one of them with digests; a file system; verified
# random writes; everything unmounted and logged out; the server restarted; the same bytes and a clean file system.
# shellcheck source=tests/guest/lib.sh
. /share/lib.sh

settle_multipath() {
    for _ in $(seq 40); do
        paths=$(multipathd show paths format "%d" | sed 1d | wc -l)
        if [[ -b /dev/mapper/mpatha ]] && ((paths == 2)); then return 0; fi
        sleep 0.5
    done
    multipath -v3 -d 2>&1 | tail -20 | sed 's/^/# /'
    return 1
}
login_both() { login "${portals[0]}"; login "${portals[1]}"; settle_multipath; }
logout_both() {
    udevadm settle
    for _ in $(seq 20); do multipath -f mpatha && break; sleep 0.5; done
    logout "${portals[0]}"
    logout "${portals[1]}"
}

step "discovery names the target"
iscsiadm -m discovery -t sendtargets -p "${portals[0]}" | tee /tmp/discovery
grep -q " $TARGET\$" /tmp/discovery
iscsiadm -m node -o delete >/dev/null 2>&1 || true

step "two paths to one disk"
modprobe -a dm-multipath dm-round-robin dm-service-time scsi_dh_alua
cat >/etc/multipath.conf <<'X'
defaults {
    find_multipaths no
    polling_interval 1
    no_path_retry 30
    path_grouping_policy multibus
    user_friendly_names yes
}
blacklist {
    devnode "^vd"
}
X
/sbin/multipathd
record "${portals[0]}" "node.conn[0].iscsi.HeaderDigest=CRC32C,None" "node.conn[0].iscsi.DataDigest=CRC32C,None"
record "${portals[1]}" "node.session.iscsi.InitialR2T=Yes" "node.session.iscsi.ImmediateData=No"
login_both
multipath -ll | sed 's/^/# /'
iscsiadm -m session -P 2 | grep -E 'Digest|Immediate|R2T|Burst|MaxRecv' | sed 's/^/#/'
if [[ $SERVER == lunaris ]]; then
    step "digests are negotiated on the path that offers them"
    (($(iscsiadm -m session -P 2 | grep -cE '(Header|Data)Digest: CRC32C') == 2))
fi

step "file system made and mounted"
mkfs.ext4 -qF /dev/mapper/mpatha
mount /dev/mapper/mpatha /mnt

step "random writes verify"
fio --name=verify --directory=/mnt --size="${FIO_SIZE:-24m}" --rw=randwrite --bsrange=4k-64k --ioengine=libaio \
    --iodepth=16 --direct=1 --verify=crc32c --do_verify=1 --end_fsync=1 --minimal >/tmp/fio.out 2>&1 ||
    { tail -5 /tmp/fio.out | sed 's/^/# /'; false; }

step "discard is accepted or not offered"
if (($(cat /sys/block/dm-0/queue/discard_max_bytes) > 0)); then
    fstrim -v /mnt | sed 's/^/# /'
else
    echo "# not offered"
fi

step "unmount and logout"
head -c 5000000 /dev/urandom >/mnt/random
(cd /mnt && sha256sum random verify* >/tmp/sums)
umount /mnt
logout_both

step "login after a restart of the server"
host restart
login_both

step "the same bytes after the restart"
mount -o ro,noload /dev/mapper/mpatha /mnt
(cd /mnt && sha256sum -c --quiet /tmp/sums)
umount /mnt

step "clean file system"
fsck.ext4 -fn /dev/mapper/mpatha >/tmp/fsck 2>&1 || { sed 's/^/# /' /tmp/fsck; false; }
logout_both
