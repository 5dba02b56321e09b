"""The servers that the benchmark compares: how each is started on prepared files, reached and ended.

Every server serves file number i as target `iqn.2026-01.io.lunaris.bench:ti` on one loopback port. The peers get
parameters as generous as ours, so that a ratio says something about the server and not about its defaults.
"""

import json
import os
import signal
import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def target_name(index):
    return f"iqn.2026-01.io.lunaris.bench:t{index}"


class StartFailed(Exception):
    """The server did not come up; the text says why."""


class Server:
    """One running server. `cpus` is a taskset list; `preload` is the allocation counter and its file, or None."""

    name = ""
    lun = 0
    stop_signal = signal.SIGTERM

    def __init__(self, directory, files, cpus, preload=None):
        self.directory = os.path.join(directory, self.name)
        os.makedirs(self.directory, exist_ok=True)
        self.files = files
        self.port = free_port()
        self.cpus = cpus
        self.preload = preload
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def url(self, index):
        return f"iscsi://127.0.0.1:{self.port}/{target_name(index)}/{self.lun}"

    def command(self):
        raise NotImplementedError

    def configure(self):
        """What remains to be done once the port answers."""

    def start(self):
        environment = dict(os.environ)
        if self.preload:
            environment["LD_PRELOAD"], environment["LUNARIS_ALLOC_COUNT_FILE"] = self.preload
        self.log_path = os.path.join(self.directory, "log")
        # taskset sets the affinity and becomes the server, so the pid is the server's.
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", self.cpus] + self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=self.directory, env=environment)
        try:
            self.await_port()
            self.configure()
        except StartFailed:
            self.stop()
            raise
        return self

    def await_port(self, limit_s=20):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartFailed(f"{self.name} ended with status {self.process.returncode}: {self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise StartFailed(f"{self.name} does not listen after {limit_s} s: {self.log_tail()}")

    def log_tail(self):
        with open(self.log_path, "rb") as log:
            return log.read()[-1500:].decode(errors="replace")

    def stop(self):
        """Ends the server; returns its exit status (negative: the signal), or None when it had to be killed."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return None
        return self.process.returncode


class Lunaris(Server):
    name = "lunaris"
    binary = ""
    workers = 1
    backend = "file"
    direct_io = False

    def backend_of(self, path):
        if self.backend != "file":
            return {"type": self.backend}
        options = {"type": "file", "path": path}
        if self.direct_io:
            options["direct_io"] = True
        return options

    def command(self):
        cpus = cpu_list(self.cpus)
        document = {
            "server": {"workers": {"count": self.workers, "cpus": cpus[:self.workers]},
                       "management": {"socket": os.path.join(self.directory, "control.sock")}},
            "portals": {"a": {"listen": f"127.0.0.1:{self.port}"}},
            "volumes": {f"v{i}": {"size": f"{os.path.getsize(path) >> 20}MiB", "backend": self.backend_of(path)}
                        for i, path in enumerate(self.files)},
            "targets": {target_name(i): {"luns": {"0": {"volume": f"v{i}"}}} for i in range(len(self.files))},
        }
        config = os.path.join(self.directory, "config.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        return [self.binary, "serve", "--config", config]


class Tgt(Server):
    name = "tgt"
    lun = 1  # its LUN 0 is a controller
    stop_signal = signal.SIGKILL  # it ignores SIGTERM while targets exist

    def command(self):
        self.control = free_port() % 32768  # names its control socket; not a TCP port
        return ["tgtd", "-f", "-C", str(self.control), "--iscsi", f"portal=127.0.0.1:{self.port}"]

    def admin(self, *arguments):
        done = subprocess.run(["tgtadm", "-C", str(self.control), "--lld", "iscsi", *arguments],
                              capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            raise StartFailed(f"tgtadm {' '.join(arguments)}: {done.stderr.strip()}")

    def configure(self):
        for index, path in enumerate(self.files):
            tid = str(index + 1)
            self.admin("--op", "new", "--mode", "target", "--tid", tid, "-T", target_name(index))
            self.admin("--op", "new", "--mode", "logicalunit", "--tid", tid, "--lun", "1", "-b", path)
            for key, value in (("InitialR2T", "No"), ("MaxRecvDataSegmentLength", "262144"),
                               ("MaxXmitDataSegmentLength", "262144"), ("MaxBurstLength", "1048576"),
                               ("FirstBurstLength", "262144"), ("MaxOutstandingR2T", "4"),
                               ("HeaderDigest", "None,CRC32C"), ("DataDigest", "None,CRC32C")):
                self.admin("--op", "update", "--mode", "target", "--tid", tid, "--name", key, "--value", value)
            self.admin("--op", "bind", "--mode", "target", "--tid", tid, "-I", "ALL")


class Istgt(Server):
    name = "istgt"

    def command(self):
        config = os.path.join(self.directory, "istgt.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(self.document())
        with open(os.path.join(self.directory, "auth.conf"), "w", encoding="utf-8"):
            pass
        return ["istgt", "-D", "-q", "-c", config, "-p", os.path.join(self.directory, "istgt.pid")]

    def document(self):
        parts = [f"""[Global]
  NodeBase "iqn.2026-01.io.lunaris.bench"
  PidFile {self.directory}/istgt.pid
  AuthFile {self.directory}/auth.conf
  MediaDirectory {self.directory}
  LogFacility "local7"
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions 64
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  DefaultTime2Wait 2
  DefaultTime2Retain 60
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
  DataPDUInOrder Yes
  DataSequenceInOrder Yes
  ErrorRecoveryLevel 0
[UnitControl]
  AuthMethod None
  Portal UC1 127.0.0.1:{free_port()}
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:{self.port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.1
"""]
        for index, path in enumerate(self.files):
            parts.append(f"""[LogicalUnit{index + 1}]
  TargetName {target_name(index)}
  TargetAlias "t{index}"
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  UseDigest Auto
  UnitType Disk
  QueueDepth 128
  LUN0 Storage {path} {os.path.getsize(path) >> 20}MB
""")
        return "".join(parts)


class Limit(Server):
    """No target at all: answers the benchmark's commands with the least work there can be (limit.cpp)."""

    name = "limit"
    binary = ""

    def command(self):
        return [self.binary, "--port", str(self.port)] + self.files


def cpu_list(text):
    """'0,2-3' -> [0, 2, 3]"""
    cpus = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


SERVERS = {kind.name: kind for kind in (Lunaris, Tgt, Istgt, Limit)}
