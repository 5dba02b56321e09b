"""Starting, asking, reloading, stopping the real server."""
import json
import os
import signal

from harness import TARGET, can_connect, check, lunaris, wait_until

OTHER = "iqn.2026-01.io.lunaris:other"


def test_status_answers_over_ctl(server):
    server.write(server.document())
    server.start()
    status = server.status()
    check(status["state"] == "running" and status["ready"], f"not running and ready: {status}")
    check(status["volumes"][0]["state"] == "online", f"the volume is not online: {status}")
    table = server.ctl("status")
    check("v0" in table.stdout and TARGET in table.stdout, f"the table names neither volume nor target: {table.stdout}")
    check(lunaris("healthcheck", "--socket", str(server.socket)).returncode == 0, "healthcheck fails")


def test_the_management_socket_is_for_its_owner_only(server):
    server.write(server.document())
    server.start()
    mode = os.stat(server.socket).st_mode & 0o777
    check(mode == 0o600, f"mode {mode:o}")


def test_sighup_adds_a_target(server):
    server.write(server.document())
    server.start()
    document = server.document()
    document["targets"][OTHER] = {"luns": {"0": {"volume": "v0", "read_only": True}}}
    server.write(document)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: OTHER in server.target_names(), 5, "the new target does not appear")
    check(TARGET in server.target_names(), "the old target has gone")


def test_a_bad_file_on_reload_is_refused_and_the_old_stays(server):
    server.write(server.document())
    server.start()
    before = server.status()["revision"]
    server.write('{"volumes": {"v0": {"backend": {"type": "memory"}, "sise": 1}}}')
    done = server.ctl("reload")
    check(done.returncode == 1, f"exit status {done.returncode}")
    check('did you mean "size"?' in done.stderr, f"no hint in: {done.stderr}")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.output().count("configuration refused") >= 2, 5, "SIGHUP was not heard")
    check(server.target_names() == {TARGET}, "the configuration in force has changed")
    check(server.status()["revision"] == before, "the revision has changed")


def test_a_file_managed_server_refuses_changes(server):
    server.write(server.document())
    server.start()
    done = server.ctl("config", "apply", "-", stdin="{}")
    check(done.returncode == 1 and "managed by" in done.stderr, f"{done.returncode}: {done.stderr}")


def test_sigterm_ends_in_time_and_the_port_is_free_at_once(server):
    server.write(server.document())
    server.start()
    for _ in range(3):
        check(can_connect(server.port), "the portal does not answer")
        status = server.stop()
        check(status == 0, f"exit status {status}: {server.output()}")
        check(not server.socket.exists(), "the management socket was left behind")
        server.start()


def test_a_killed_server_starts_again(server):
    server.write(server.document())
    server.start()
    uuid = server.status()["volumes"][0]["uuid"]
    server.kill()
    server.start()
    check(server.status()["volumes"][0]["uuid"] == uuid, "the volume has another UUID")


def test_sigint_and_sigterm_during_a_stop_do_no_harm(server):
    server.write(server.document())
    server.start()
    server.process.send_signal(signal.SIGINT)
    server.process.send_signal(signal.SIGTERM)
    check(server.process.wait(10) == 0, server.output())


def test_a_managed_state_is_changed_and_survives(server):
    arguments = ["--data", str(server.folder / "data"), "--socket", str(server.socket), "--listen",
                 f"127.0.0.1:{server.port}", "--workers", "1"]
    server.start(*arguments)
    check(server.ctl("config", "get").stdout.startswith("{"), "config get prints no document")
    server.write(server.document())
    plan = server.ctl("config", "plan", str(server.file))
    check(plan.returncode == 0 and "create volumes/v0" in plan.stdout, f"plan: {plan.stdout}{plan.stderr}")
    check(server.target_names() == set(), "a plan has changed something")
    stale = server.ctl("config", "apply", str(server.file), "--revision", "99")
    check(stale.returncode == 1 and "revision" in stale.stderr, f"a wrong revision is accepted: {stale.stdout}")
    done = server.ctl("config", "apply", str(server.file), "--revision", "1")
    check(done.returncode == 0 and "applied, revision 2" in done.stdout, f"{done.stdout}{done.stderr}")
    server.kill()
    server.start(*arguments)
    check(server.target_names() == {TARGET}, "the change is gone after kill -9")
    shrunk = server.document()
    shrunk["volumes"]["v0"]["size"] = "8MiB"
    refused = server.ctl("config", "apply", "-", stdin=json.dumps(shrunk))
    check(refused.returncode == 1 and "cannot shrink" in refused.stderr, f"shrinking: {refused.stdout}{refused.stderr}")


def test_a_lost_file_is_an_error_and_no_new_disk(server):
    document = server.document(volumes={"v0": {"size": "16MiB", "backend": {"type": "file", "path": "v0.img"}}})
    server.write(document)
    server.start()
    image = server.folder / "data" / "v0.img"
    check(image.stat().st_size == 16 << 20, "the file has another size")
    check(server.stop() == 0, server.output())
    image.unlink()
    server.start()
    status = server.status()
    check(status["volumes"][0]["state"] == "not open", f"{status['volumes'][0]}")
    check("does not exist" in status["volumes"][0]["reason"], f"{status['volumes'][0]}")
    check(not image.exists(), "an empty disk was made in its place")


def test_the_demo_says_how_to_connect(server):
    server.start("--demo", "--data", str(server.folder / "data"), "--socket", str(server.socket), "--workers", "1",
                 "--listen", f"127.0.0.1:{server.port}")
    wait_until(lambda: "ctrl-C stops it" in server.output(), 5, "no instructions: " + server.output())
    for line in (f"iscsiadm -m discovery -t sendtargets -p 127.0.0.1:{server.port}",
                 f"iscsiadm -m node -T iqn.2026-01.io.lunaris:demo -p 127.0.0.1:{server.port} --login",
                 f"iscsi://127.0.0.1:{server.port}/iqn.2026-01.io.lunaris:demo/0"):
        check(line in server.output(), f"missing: {line}")
    check((server.folder / "data" / "demo.img").stat().st_size == 1 << 30, "the volume has another size")
