"""CHAP and access rules with initiators that are not ours: libiscsi's tools and QEMU's block driver."""
import json
import os
import subprocess

from harness import TARGET, check

HIDDEN = "iqn.2026-01.io.lunaris:hidden"
USER, SECRET = "me", "correcthorse1"
TARGET_USER, TARGET_SECRET = "thetarget", "batterystaple2"


def guarded(server, **auth):
    """A target with a user and a name of its own, and one that only a stranger sees."""
    document = server.document()
    document["targets"][TARGET]["auth"] = {"chap": [{"username": USER, "secret": SECRET}],
                                           "mutual": {"username": TARGET_USER, "secret": TARGET_SECRET}, **auth}
    document["targets"][HIDDEN] = {"luns": {"0": {"volume": "v0", "read_only": True}},
                                   "initiators": ["iqn.2026-01.io.lunaris:stranger"]}
    return document


def run(*command):
    """A tool of an initiator; its exit status and everything it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def url(server, user=None, secret=None, query="", target=TARGET):
    login = f"{user}%{secret}@" if user else ""
    return f"iscsi://{login}127.0.0.1:{server.port}/{target}/0{query}"


def refused(status, output):
    return status != 0 and "uthentication" in output


def test_one_way_chap_lets_the_right_secret_in_and_no_other(server):
    server.write(guarded(server))
    server.start()
    status, output = run("iscsi-inq", url(server, USER, SECRET))
    check(status == 0 and "LUNARIS" in output.upper(), f"the right secret: {status}: {output}")
    for user, secret in ((USER, "wrongsecret12"), ("nobody", SECRET), (None, None)):
        status, output = run("iscsi-inq", url(server, user, secret))
        check(refused(status, output), f"{user}: {status}: {output}")


def test_mutual_chap_shows_the_initiator_who_the_target_is(server):
    server.write(guarded(server))
    server.start()
    query = f"?target_user={TARGET_USER}&target_password={TARGET_SECRET}"
    status, output = run("iscsi-inq", url(server, USER, SECRET, query))
    check(status == 0, f"the right secrets: {status}: {output}")
    query = f"?target_user={TARGET_USER}&target_password=someothersecret"
    status, output = run("iscsi-inq", url(server, USER, SECRET, query))
    check(status != 0, f"the initiator took a target for another one: {output}")


def test_qemu_reads_and_writes_behind_chap(server):
    server.write(guarded(server))
    server.start()
    commands = ["-c", "write -P 0x5a 64k 128k", "-c", "read -P 0x5a 64k 128k", "-c", "flush"]
    status, output = run("qemu-io", "-f", "raw", *commands, url(server, USER, SECRET))
    check(status == 0 and "read 131072/131072" in output, f"{status}: {output}")
    status, output = run("qemu-io", "-f", "raw", *commands, url(server, USER, "wrongsecret12"))
    check(status != 0 and "wrote" not in output, f"the wrong secret: {status}: {output}")


def test_discovery_has_its_own_users_and_hides_targets_of_others(server):
    document = guarded(server)
    document["discovery_auth"] = {"chap": [{"username": "finder", "secret": "discovery1234"}]}
    server.write(document)
    server.start()
    portal = f"127.0.0.1:{server.port}"
    status, output = run("iscsi-ls", f"iscsi://finder%discovery1234@{portal}")
    check(status == 0 and TARGET in output, f"the right secret: {status}: {output}")
    check(HIDDEN not in output, f"a target that this initiator may not use is listed: {output}")
    for login in ("", f"{USER}%{SECRET}@"):
        status, output = run("iscsi-ls", f"iscsi://{login}{portal}")
        check(status != 0 and TARGET not in output, f"{login}: {status}: {output}")


def test_refused_logins_are_listed_with_a_reason(server):
    server.write(guarded(server))
    server.start()
    run("iscsi-inq", url(server, USER, "wrongsecret12"))
    run("iscsi-inq", url(server, USER, SECRET, target="iqn.2026-01.io.lunaris:nothing"))
    run("iscsi-inq", url(server, target=HIDDEN))
    done = server.ctl("login-failures", "-o", "json")
    check(done.returncode == 0, f"ctl login-failures: {done.stderr}")
    listed = json.loads(done.stdout)
    reasons = [failure["reason"] for failure in listed["items"]]
    check(reasons == ["initiator not allowed", "target not found", "CHAP secret wrong"], f"reasons: {reasons}")
    check(listed["total"] == 3 and listed["items"][2]["address"] == "127.0.0.1", f"{listed}")
    table = server.ctl("login-failures").stdout
    check("CHAP secret wrong" in table, f"the table: {table}")


def test_secrets_are_nowhere_but_in_the_state(server):
    server.start("--data", str(server.folder / "data"), "--socket", str(server.socket), "--listen",
                 f"127.0.0.1:{server.port}", "--log-level", "trace")
    done = server.ctl("config", "apply", "-", stdin=json.dumps(guarded(server)))
    check(done.returncode == 0, f"config apply: {done.stdout}{done.stderr}")
    run("iscsi-inq", url(server, USER, SECRET, f"?target_user={TARGET_USER}&target_password={TARGET_SECRET}"))
    run("iscsi-inq", url(server, USER, "wrongsecret12"))
    shown = server.ctl("config", "get")
    check('"chap_secret_set": true' in shown.stdout, f"no sign of a secret: {shown.stdout}")
    # What was shown comes back with a change and keeps the secrets.
    document = json.loads(shown.stdout)
    document["targets"][TARGET]["alias"] = "changed"
    done = server.ctl("config", "apply", "-", stdin=json.dumps(document))
    check(done.returncode == 0, f"config apply without secrets: {done.stdout}{done.stderr}")
    status, output = run("iscsi-inq", url(server, USER, SECRET))
    check(status == 0, f"the secret was lost: {status}: {output}")
    said = shown.stdout + done.stdout + server.output() + server.ctl("status", "-o", "json").stdout
    for secret in (SECRET, TARGET_SECRET, "wrongsecret12"):
        check(secret not in said, f"a secret was shown or logged: {secret}")
    state = server.folder / "data" / "state"
    for file in state.iterdir():
        check(os.stat(file).st_mode & 0o777 == 0o600, f"{file}: mode {os.stat(file).st_mode:o}")
    check(SECRET in (state / "config.json").read_text(), "the secret is not in the state")


def test_a_configuration_with_bad_secrets_is_refused_with_pointers(server):
    document = guarded(server, mutual={"username": TARGET_USER, "secret": SECRET})
    document["discovery_auth"] = {"chap": [{"username": "finder", "secret": "short"}]}
    server.write(document)
    server.spawn(*server.arguments())
    server.ends_with(1, r"/discovery_auth/chap/0/secret: must have 12 to 255[\s\S]*"
                        rf"/targets/{TARGET}/auth/mutual/secret: is the secret of a user as well")
