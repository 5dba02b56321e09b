"""What cannot start, or is used wrongly, says why in a sentence and ends with the right status."""
import socket
import subprocess

from harness import check, lunaris, support


def test_a_taken_port_is_named(server):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        server.write(server.document())
        server.spawn(*server.arguments())
        server.ends_with(1, rf"no portal can be opened[\s\S]*{server.port}")


def test_a_missing_file_is_named(server):
    server.spawn("--config", str(server.folder / "nothing.json"), "--data", str(server.folder / "data"))
    server.ends_with(1, r"cannot read .*nothing\.json: No such file")


def test_a_syntax_error_has_a_line(server):
    server.write('{\n  "volumes": {\n    oops\n')
    server.spawn(*server.arguments())
    server.ends_with(1, r"line 3, column \d+: ")


def test_a_corrupt_state_is_not_taken_for_an_empty_one(server):
    state = server.folder / "data" / "state"
    state.mkdir(parents=True)
    (state / "config.json").write_text('{"format": 1, "revi')
    server.spawn("--data", str(server.folder / "data"), "--socket", str(server.socket))
    server.ends_with(1, r"state/config\.json cannot be used[\s\S]*does not start with an empty configuration")
    check((state / "config.json").read_text() == '{"format": 1, "revi', "the broken state was overwritten")


def test_a_data_folder_serves_one_lunaris(server):
    server.write(server.document())
    server.start()
    second = subprocess.run([str(support.binary()), "serve", *server.arguments()], capture_output=True, text=True,
                            timeout=20, check=False)
    check(second.returncode == 1 and "in use by another lunaris" in second.stderr,
          f"{second.returncode}: {second.stderr}")
    check(server.ctl("status").returncode == 0, "the first one was disturbed")


def test_a_folder_that_cannot_be_written_is_named(server):
    (server.folder / "file").write_text("")
    server.spawn("--data", str(server.folder / "file" / "data"), "--socket", str(server.socket))
    server.ends_with(1, r"cannot be written to .*--data")


def test_a_cpu_that_is_not_there_is_named(server):
    document = server.document()
    document["server"]["workers"] = {"count": 1, "cpus": [4000]}
    server.write(document)
    server.spawn(*server.arguments())
    server.ends_with(1, r"the workers cannot start:[\s\S]*4000")


def test_a_management_socket_that_cannot_be_opened_is_named(server):
    server.write(server.document())
    server.spawn("--config", str(server.file), "--data", str(server.folder / "data"),
                 "--socket", "/proc/nothing/a.sock")
    server.ends_with(1, r"management socket /proc/nothing/a\.sock cannot be opened .*--socket")


def test_a_wrong_flag_is_a_usage_error(server):
    for arguments in (["serve", "--no-such-flag"], ["serve", "--workers", "x"], ["nothing"], [], ["ctl"],
                      ["serve", "--demo", "--config", "x"], ["ctl", "config", "apply"],
                      ["serve", "--log-level", "loud"]):
        done = lunaris(*arguments, cwd=server.folder)
        check(done.returncode == 2, f"{arguments}: exit status {done.returncode}: {done.stderr}")
        check(done.stderr or done.stdout, f"{arguments}: not a word")


def test_no_server_is_unavailable(server):
    for arguments in (["ctl", "status"], ["healthcheck"], ["ctl", "reload"]):
        done = lunaris(*arguments, "--socket", str(server.socket))
        check(done.returncode == 69, f"{arguments}: exit status {done.returncode}")
        check("no server answers" in done.stderr, f"{arguments}: {done.stderr}")


def test_check_config_says_everything(server):
    server.write(server.document())
    done = lunaris("check-config", str(server.file))
    check(done.returncode == 0 and "valid" in done.stdout, f"{done.returncode}: {done.stdout}{done.stderr}")
    server.write('{"volumes": {"a": {"backend": {"type": "fiel"}}, "b": {}}, "x": 1, // comment\n}')
    done = lunaris("check-config", str(server.file))
    check(done.returncode == 1, f"exit status {done.returncode}")
    for sentence in ("/volumes/b/backend: is missing", "/x: is not known here"):
        check(sentence in done.stderr, f"missing {sentence!r} in: {done.stderr}")
    done = lunaris("check-config", str(server.folder / "nothing"))
    check(done.returncode == 1 and "No such file" in done.stderr, f"{done.returncode}: {done.stderr}")


def test_the_version_is_printed(server):
    for arguments in (["version"], ["--version"]):
        done = lunaris(*arguments, cwd=server.folder)
        check(done.returncode == 0 and done.stdout.startswith("lunaris "), f"{arguments}: {done.stdout}{done.stderr}")
