"""Servers under test, for every script that talks to one: Lunaris itself, and tgt as a stand-in and as a peer.

    with start("lunaris", directory, [Lun("100MiB")], portals=2) as server:
        server.url(0)                 # iscsi://127.0.0.1:PORT/IQN/LUN
        server.kill(); server.start() # kill -9 and a restart on the same files and ports

Everything is on 127.0.0.1 with ports found at run time. A server writes into DIRECTORY/server.log, dies with the thread
that started it, and only processes started here are ever signalled.
"""
import ctypes
import dataclasses
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
IQN = "iqn.2026-01.io.lunaris:test"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
START_SECONDS = 20
STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1


class ServerError(Exception):
    """The server did not start, or died; the message names its log."""


@dataclasses.dataclass
class Lun:
    """One logical unit. `kind` is a back end of Lunaris; tgt knows files only and uses one for every kind."""
    size: str = "100MiB"
    kind: str = "file"
    volume: dict = dataclasses.field(default_factory=dict)  # further members of the volume's section (Lunaris only)

    def bytes(self):
        return int(self.size[:-3]) * UNITS[self.size[-3:]]


_taken = set()


def free_port():
    """A port nobody listens on, below the ephemeral range so that no client connection takes it meanwhile."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise ServerError("no free port between 20000 and 32000")


def die_with_parent():
    """In a child, before exec: a test that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """What the two have in common: one process, one directory, portals, LUNs backed by files in the directory."""

    first_lun = 0
    name = "?"

    def __init__(self, directory, luns, portals):
        self.directory = pathlib.Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.luns = luns
        self.ports = [free_port() for _ in range(portals)]
        self.iqn = IQN
        self.process = None
        self.log = self.directory / "server.log"
        self.target_members = {}    # further members of the target's section (Lunaris only)
        self.document_members = {}  # further sections (Lunaris only)

    def image(self, index):
        return self.directory / f"lun{index}.img"

    def url(self, index=0, portal=0):
        return f"iscsi://127.0.0.1:{self.ports[portal]}/{self.iqn}/{self.first_lun + index}"

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        for index, lun in enumerate(self.luns):
            if lun.kind == "file" and not self.image(index).exists():
                with open(self.image(index), "wb") as file:
                    file.truncate(lun.bytes())
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            cwd=self.directory, preexec_fn=die_with_parent)
        try:
            self.wait_listening()
            self.configure()
        except Exception:
            self.kill()
            raise
        return self

    def configure(self):
        """Commands after the start; Lunaris needs none."""

    def wait_listening(self):
        deadline = time.monotonic() + START_SECONDS
        for port in self.ports:
            while True:
                if not self.alive():
                    raise ServerError(f"{self.name} ended with {self.process.returncode} at start:\n{self.log_tail()}")
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    pass
                if time.monotonic() > deadline:
                    raise ServerError(f"{self.name} does not listen on {port} after {START_SECONDS} s:\n"
                                      f"{self.log_tail()}")
                time.sleep(0.02)

    def log_tail(self, lines=15):
        if not self.log.exists():
            return "(no log)"
        text = self.log.read_text(errors="replace").splitlines()
        return f"(end of {self.log})\n" + "\n".join("    " + line for line in text[-lines:])

    def kill(self):
        """kill -9 and wait: what a crash looks like to the back end's files."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        """An orderly stop. Returns the exit status; a server that ignores SIGTERM is killed and reported."""
        if self.process is None:
            return 0
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} is still there {STOP_SECONDS} s after SIGTERM\n{self.log_tail()}") from None

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        died = not self.alive()
        status = self.process.returncode if died else self.stop()
        if kind is None and status != 0:
            raise ServerError(f"{self.name} {'died' if died else 'stopped'} with status {status}\n{self.log_tail()}")


class Lunaris(Server):
    name = "lunaris"

    def command(self):
        config = self.directory / "lunaris.json"
        config.write_text(json.dumps(self.config(), indent=2) + "\n")
        return [str(binary()), "serve", "--config", str(config)]

    def config(self):
        volumes, luns = {}, {}
        for index, lun in enumerate(self.luns):
            backend = {"type": lun.kind}
            if lun.kind == "file":
                backend["path"] = str(self.image(index))
            volumes[f"v{index}"] = {"size": lun.size, "backend": backend, **lun.volume}
            luns[str(index)] = {"volume": f"v{index}"}
        return {
            "server": {"workers": {"count": int(os.environ.get("LUNARIS_WORKERS", "2"))},
                       "management": {"socket": str(self.management_socket())}},
            "portals": {f"p{n}": {"listen": f"127.0.0.1:{port}"} for n, port in enumerate(self.ports)},
            "volumes": volumes,
            "targets": {self.iqn: {"luns": luns, **self.target_members}},
            **self.document_members,
        }

    def management_socket(self):
        # A unix socket's path has 107 characters at most; the directory's may be longer.
        return pathlib.Path("/tmp") / f"lunaris-test-{self.ports[0]}.sock"

    def stop(self):
        status = super().stop()
        self.management_socket().unlink(missing_ok=True)
        return status


class Tgt(Server):
    name = "tgt"
    first_lun = 1  # tgt's LUN 0 is its controller

    def command(self):
        portals = ",".join(f"portal=127.0.0.1:{port}" for port in self.ports)
        return ["tgtd", "-f", "-C", str(self.ports[0]), "--iscsi", portals]

    def configure(self):
        self.admin("--op", "new", "--mode", "target", "--tid", "1", "-T", self.iqn)
        for index, lun in enumerate(self.luns):
            if not self.image(index).exists():
                with open(self.image(index), "wb") as file:
                    file.truncate(lun.bytes())
            number = str(self.first_lun + index)
            self.admin("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", number, "-b",
                       str(self.image(index)))
            self.admin("--op", "update", "--mode", "logicalunit", "--tid", "1", "--lun", number,
                       "--params", "thin_provisioning=1")
        self.admin("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")

    def admin(self, *arguments):
        done = subprocess.run(["tgtadm", "-C", str(self.ports[0]), "--lld", "iscsi", *arguments], capture_output=True,
                              text=True, timeout=20, check=False)
        if done.returncode != 0:
            raise ServerError(f"tgtadm {' '.join(arguments)}: {done.stderr.strip()}\n{self.log_tail()}")

    def stop(self):
        self.kill()  # tgtd ignores SIGTERM while it has targets
        return 0


KINDS = {"lunaris": Lunaris, "tgt": Tgt}


def binary():
    """The server under test: LUNARIS_BINARY, or the release build."""
    path = pathlib.Path(os.environ.get("LUNARIS_BINARY", TOP / "build/release/server/lunaris"))
    if not path.exists():
        raise ServerError(f"{path} is missing: cmake --preset release && cmake --build --preset release")
    return path


def start(kind, directory, luns, portals=1):
    """The server of that kind, not yet started: use it in a `with`, or call start() and stop()."""
    return KINDS[kind](directory, luns, portals)
