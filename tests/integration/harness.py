"""What the integration tests share: a server process in a folder of its own, `ctl`, and assertions with reasons."""
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import server as support  # noqa: E402  tests/support/server.py: free ports, the binary, death with the parent

TARGET = "iqn.2026-01.io.lunaris:it"
START_SECONDS = 20
STOP_SECONDS = 10


class Failed(Exception):
    """A requirement does not hold; the message says which."""


def check(condition, reason):
    if not condition:
        raise Failed(reason)


def wait_until(condition, seconds, reason):
    """Polls: the server tells nobody when it has read a signal."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(reason)
        time.sleep(0.02)


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def lunaris(*arguments, cwd=None, stdin=""):
    """Runs a subcommand that ends by itself."""
    return subprocess.run([str(support.binary()), *arguments], capture_output=True, text=True, input=stdin, cwd=cwd,
                          timeout=60, check=False)


class Server:
    """`lunaris serve` in `folder`, with a configuration file unless `arguments` say otherwise."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = support.free_port()
        self.socket = self.folder / "admin.sock"
        self.file = self.folder / "lunaris.json"
        self.log = self.folder / "log"
        self.process = None

    def document(self, **changes):
        """One volume in memory behind one target; `changes` replace whole sections."""
        return {
            "server": {"workers": {"count": 1}, "buffers": {"bytes_per_worker": "8MiB"}, "shutdown_grace_ms": 500},
            "portals": {"default": {"listen": f"127.0.0.1:{self.port}"}},
            "volumes": {"v0": {"size": "16MiB", "backend": {"type": "memory"}}},
            "targets": {TARGET: {"luns": {"0": {"volume": "v0"}}}},
            **changes,
        }

    def write(self, document):
        self.file.write_text(document if isinstance(document, str) else json.dumps(document, indent=2))

    def arguments(self):
        return ["--config", str(self.file), "--data", str(self.folder / "data"), "--socket", str(self.socket)]

    def spawn(self, *arguments):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(support.binary()), "serve", *arguments], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.folder,
                                            preexec_fn=support.die_with_parent)
        return self

    def start(self, *arguments):
        """Until it is ready: `ctl status` answers."""
        self.spawn(*(arguments or self.arguments()))
        wait_until(lambda: self.process.poll() is not None or self.ctl("status").returncode == 0, START_SECONDS,
                   "the server does not answer: " + self.output())
        check(self.process.poll() is None, "the server ended at the start: " + self.output())
        return self

    def ctl(self, *arguments, stdin=""):
        return lunaris("ctl", "--socket", str(self.socket), *arguments, stdin=stdin)

    def status(self):
        done = self.ctl("status", "-o", "json")
        check(done.returncode == 0, f"ctl status: {done.stderr}")
        return json.loads(done.stdout)

    def target_names(self):
        return {target["name"] for target in self.status()["targets"]}

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else "(no output)"

    def stop(self):
        """SIGTERM; the exit status. Longer than ten seconds is a failure."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"still there {STOP_SECONDS} s after SIGTERM: {self.output()}") from None

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def ends_with(self, status, pattern):
        """The process must end by itself with `status`, having said `pattern`."""
        try:
            code = self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed("it runs, but should have refused to start") from None
        check(code == status, f"exit status {code} and not {status}: {self.output()}")
        check(re.search(pattern, self.output()), f"no sentence like {pattern!r} in: {self.output()}")
