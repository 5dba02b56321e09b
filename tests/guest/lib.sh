# Shared by the guest scripts: steps that print test lines, node records, disks, and questions to the host.
# Read with `. /share/lib.sh`. Variables: NAME, SERVER (its kind), TARGET, PORTALS (as seen
# from the guest), LUN.
# shellcheck shell=bash
set -euo pipefail
: "${NAME:?}" "${SERVER:?}" "${TARGET:?}" "${PORTALS:?}" "${LUN:?}"
# shellcheck disable=SC2034  # the scripts use it
read -ra portals <<<"$PORTALS"

current=
passed() { [[ -z $current ]] || printf 'ok %s: %s\n' "$NAME" "$current"; current=; }
# step NAME: what follows, up to the next step or the end of the script, is this test.
step() { passed; current=$1; printf '# %6.1fs %s\n' "$(cut -d' ' -f1 /proc/uptime)" "$1"; }
ended() {
    local status=$?
    if ((status == 0)); then passed; return; fi
    printf 'not ok %s: %s (status %s)\n' "$NAME" "${current:-start}" "$status"
    dmesg | tail -15 | sed 's/^/# /'
}
trap ended EXIT

# host REQUEST: asks the driver on the host to do something to the server, and waits until it is done.
host() {
    : >"/share/ask.$1"
    for _ in $(seq 600); do
        if [[ -e /share/done.$1 ]]; then rm "/share/done.$1"; return 0; fi
        sleep 0.1
    done
    echo "# the host did not answer '$1'"
    return 1
}

# record PORTAL [NAME=VALUE]...: a node record. Made by hand, as the addresses that SendTargets names are the host's.
record() {
    local portal=$1 setting
    shift
    iscsiadm -m node -o new -T "$TARGET" -p "$portal" >/dev/null
    for setting in "$@"; do
        iscsiadm -m node -T "$TARGET" -p "$portal" -o update -n "${setting%%=*}" -v "${setting#*=}"
    done
}
login() { iscsiadm -m node -T "$TARGET" -p "$1" --login >/dev/null; udevadm settle; }
# udev looks at a disk again when a writer has closed it; a logout under its reads would be an I/O error of our making.
logout() { udevadm settle; iscsiadm -m node -T "$TARGET" -p "$1" --logout >/dev/null; }
# The iSCSI disks with our LUN, one name a line.
disks() { lsblk -Sno NAME,HCTL,TRAN | awk -v lun=":$LUN" '$2 ~ lun "$" && $3 == "iscsi" { print "/dev/" $1 }'; }
