#!/usr/bin/env bash
# Guest script: sg3_utils against a LUN, a test line per command. A command that the target says it does not have (sense
# 20h or 24h) is printed as skipped. It writes to the LUN.
# shellcheck source=tests/guest/lib.sh
. /share/lib.sh
set +e
trap - EXIT  # each line below is a test of its own
record "${portals[0]}"
login "${portals[0]}"
d=$(disks)
[[ -b $d ]] || { echo "not ok $NAME: no disk"; exit 1; }
failed=0
check() {  # check NAME COMMAND...
    local name=$1 status; shift
    timeout 30 "$@" >/tmp/o 2>&1 </dev/null; status=$?
    case $status in
        0) echo "ok $NAME: $name" ;;
        # sg3_utils: 9 is an unknown operation code, 5 an illegal request
        5|9) echo "skipped $NAME: $name (status $status: $(tail -1 /tmp/o))" ;;
        *) echo "not ok $NAME: $name (status $status: $(tail -1 /tmp/o))"; failed=$((failed + 1)) ;;
    esac
}
check inquiry sg_inq "$d"
read -ra pages < <(sg_vpd --raw -p 0 "$d" | od -An -v -tx1 | tr -s ' \n' ' ')  # 4 bytes of header first
for p in "${pages[@]:4}"; do check "vpd page $p" sg_vpd -p "0x$p" "$d"; done
check "report luns" sg_luns "$d"
check "test unit ready" sg_turs -n 10 "$d"
check "read capacity 10" sg_readcap "$d"
check "read capacity 16" sg_readcap -l "$d"
check "mode sense all" sg_modes -a "$d"
check "mode sense caching" sg_modes -p 8 "$d"
check "mode sense control" sg_modes -p 10 "$d"
check "log sense all" sg_logs -a "$d"
check "request sense" sg_requests "$d"
check "report opcodes" sg_opcodes "$d"
check "report task management" sg_opcodes -t "$d"
check "report target port groups" sg_rtpg "$d"
check "get lba status" sg_get_lba_status -l 0 "$d"
check "synchronize cache" sg_sync "$d"
check "start stop unit" sg_start --start "$d"
check "pre-fetch" sg_seek -l 0 -c 8 "$d"
check "verify" sg_verify -l 0 -c 64 "$d"
head -c 4096 /dev/urandom >/tmp/a
check "write" dd if=/tmp/a of="$d" bs=4096 count=1 oflag=direct
check "write same 16" sg_write_same --16 --lba=64 --num=8 --in=/tmp/a -x 512 "$d"
check "write same 10" sg_write_same --10 --lba=64 --num=8 --in=/tmp/a -x 512 "$d"
check "write same with unmap" sg_write_same --16 --unmap --lba=64 --num=8 "$d"
check "write same without data" sg_write_same --16 --ndob --lba=64 --num=8 "$d"
check "unmap" sg_unmap -l 128 -n 8 "$d"
check "write and verify" sg_write_verify --lba=256 --num=8 --16 --in=/tmp/a "$d"
head -c 512 /tmp/a >/tmp/c; head -c 512 /dev/urandom >>/tmp/c
check "compare and write" sg_compare_and_write --in=/tmp/c --lba=0 --num=1 "$d"
if sg_inq "$d" | grep -q 3PC=1; then check "extended copy" sg_xcopy if="$d" skip=0 of="$d" seek=1024 count=8 bs=512; fi
key=0xabc1
check "reservation register" sg_persist -n -o -G -S $key "$d"
check "reservation reserve" sg_persist -n -o -R -K $key -T 5 "$d"
check "reservation keys" sg_persist -n -i -k "$d"
check "reservation read" sg_persist -n -i -r "$d"
check "reservation capabilities" sg_persist -n -i -c "$d"
check "reservation full status" sg_persist -n -i -s "$d"
check "reservation release" sg_persist -n -o -L -K $key -T 5 "$d"
check "reservation clear" sg_persist -n -o -C -K $key "$d"
check "logical unit reset" sg_reset -d "$d"
check "target reset" sg_reset -t "$d"
check "alive afterwards" sg_turs -n 3 "$d"
udevadm settle  # see logout in lib.sh
check "logout" iscsiadm -m node -T "$TARGET" -p "${portals[0]}" --logout
exit $((failed > 0))
