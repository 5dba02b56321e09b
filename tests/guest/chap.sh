#!/usr/bin/env bash
# Guest script: authentication as open-iscsi does it. Discovery with its own user; CHAP one-way and mutual with every
# algorithm; wrong secrets and no secrets refused. The accounts are those of TARGETS and DOCUMENTS in run.py.
# shellcheck source=tests/guest/lib.sh
. /share/lib.sh

if [[ $SERVER != lunaris ]]; then
    echo "skipped $NAME: the accounts are configured in Lunaris only"
    exit 0
fi

# What iscsiadm exits with when the target refuses the login (ISCSI_ERR_LOGIN_AUTH_FAILED).
auth_failed=24

set_node() {
    local setting
    for setting in "$@"; do
        iscsiadm -m node -T "$TARGET" -p "${portals[0]}" -o update -n "${setting%%=*}" -v "${setting#*=}"
    done
}
as_user() {
    set_node node.session.auth.authmethod=CHAP "node.session.auth.username=$1" "node.session.auth.password=$2"
}
expect_target() { set_node "node.session.auth.username_in=$1" "node.session.auth.password_in=$2"; }
# One login, what is written is read back, logout.
round_trip() {
    login "${portals[0]}"
    local disk
    disk=$(disks)
    head -c 1M /dev/urandom >/tmp/data
    dd if=/tmp/data of="$disk" bs=64k oflag=direct status=none
    dd if="$disk" bs=64k count=16 iflag=direct status=none | cmp - /tmp/data
    logout "${portals[0]}"
}
refused() {
    local status=0
    iscsiadm -m node -T "$TARGET" -p "${portals[0]}" --login >/tmp/login 2>&1 || status=$?
    sed 's/^/# /' /tmp/login
    ((status == auth_failed))
}

step "discovery without a secret is refused"
if iscsiadm -m discovery -t sendtargets -p "${portals[0]}" >/tmp/discovery 2>&1; then
    sed 's/^/# /' /tmp/discovery
    false
fi

step "discovery with a secret names the target"
discover=(iscsiadm -m discoverydb -t sendtargets -p "${portals[0]}")
"${discover[@]}" -o new >/dev/null
for setting in authmethod=CHAP username=finder password=discovery1234; do
    "${discover[@]}" -o update -n "discovery.sendtargets.auth.${setting%%=*}" -v "${setting#*=}"
done
"${discover[@]}" --discover | tee /tmp/discovery
grep -q " $TARGET\$" /tmp/discovery
iscsiadm -m node -o delete >/dev/null 2>&1 || true

step "a login without a secret is refused"
record "${portals[0]}"
refused

step "a login with a wrong secret is refused"
as_user me wrongsecret12
refused

step "a login with the right secret uses the disk"
as_user me correcthorse1
round_trip

step "mutual CHAP with every algorithm"
expect_target thetarget batterystaple2
for algorithm in MD5 SHA1 SHA256 SHA3-256; do
    set_node "node.session.auth.chap_algs=$algorithm"
    round_trip
    echo "# $algorithm"
done

step "a target that is not who it says is left"
expect_target thetarget someothersecret
if iscsiadm -m node -T "$TARGET" -p "${portals[0]}" --login >/tmp/login 2>&1; then false; fi
sed 's/^/# /' /tmp/login
[[ -z $(disks) ]]
