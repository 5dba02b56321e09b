#!/usr/bin/env bash
# Guest script: fio writes and syncs while the host kills the server with -9 and starts it again on the same file, three
# times. The initiator reconnects by itself; whatever was acknowledged and synced must be there, before and after a new
# login.
# shellcheck source=tests/guest/lib.sh
. /share/lib.sh
portal=${portals[0]}
job=(--name=crash --size="${FIO_SIZE:-20m}" --bs=4k --ioengine=libaio --iodepth=8 --direct=1 --verify=crc32c
    --rw=randwrite --randseed=7 --verify_state_save=0 --minimal)

step "login"
record "$portal" node.session.timeo.replacement_timeout=120 node.session.initial_login_retry_max=8 \
    "node.conn[0].timeo.noop_out_interval=2" "node.conn[0].timeo.noop_out_timeout=3"
login "$portal"
disk=$(disks)
[[ -b $disk ]]

step "three crashes under a writer that syncs"
fio "${job[@]}" --filename="$disk" --fsync=16 --rate_iops=300 --do_verify=0 >/tmp/fio.out 2>&1 &
writer=$!
for crash in 1 2 3; do
    sleep 3
    if ! kill -0 $writer 2>/dev/null; then
        echo "# the writer ended before crash $crash"
        sed 's/^/# /' /tmp/fio.out
        exit 1
    fi
    host crash
done
wait $writer || { tail -5 /tmp/fio.out | sed 's/^/# /'; false; }

step "everything written is there"
fio "${job[@]}" --filename="$disk" --verify_only >/tmp/fio.out 2>&1 || { tail -5 /tmp/fio.out | sed 's/^/# /'; false; }

step "and after one more crash and a new login"
logout "$portal"
host crash
login "$portal"
disk=$(disks)
fio "${job[@]}" --filename="$disk" --verify_only >/tmp/fio.out 2>&1 || { tail -5 /tmp/fio.out | sed 's/^/# /'; false; }
logout "$portal"
