"""The include table: who may include whom. ARCHITECTURE.md shows it; tests/tidy enforces it; CMake's link visibility is
the other half. The row with the longest matching folder decides."""
import collections

# What `#include <...>` belongs to, by its beginning. What is not here is the standard library, or the system's.
LIBRARIES = {
    "boost/asio": "asio", "boost/beast": "beast", "boost/json": "json", "boost/system": "system", "boost/endian": "endian",
    "openssl/": "openssl", "isa-l": "isal", "liburing": "uring", "numa": "numa", "spdlog/": "spdlog", "CLI/": "cli",
    "prometheus/": "prometheus", "catch2/": "catch2", "rbd/": "librbd", "rados/": "librbd", "libnbd": "libnbd",
    "sys/": "posix", "netinet/": "posix", "arpa/": "posix", "linux/": "posix", "unistd.h": "posix", "fcntl.h": "posix",
    "poll.h": "posix", "pthread.h": "posix", "sched.h": "posix", "signal.h": "posix", "netdb.h": "posix",
    "thread": "threads", "mutex": "threads", "shared_mutex": "threads", "condition_variable": "threads",
    "future": "threads", "semaphore": "threads", "latch": "threads", "barrier": "threads", "stop_token": "threads",
    "chrono": "clock", "ctime": "clock", "time.h": "clock", "random": "random",
    "fstream": "files", "filesystem": "files", "iostream": "files", "cstdio": "files", "stdio.h": "files",
}

Rule = collections.namedtuple("Rule", "folder own libraries")

SERVER = {"asio", "system", "json", "spdlog", "openssl", "posix", "threads", "clock", "random", "files"}
UNDERNEATH = ["server/runtime/", "server/observe/", "server/limits.h"]

RULES = [
    Rule("protocol/bytes/", ["protocol/bytes/"], {"system", "endian", "isal"}),
    Rule("protocol/iscsi/", ["protocol/bytes/", "protocol/iscsi/"], {"system", "endian", "openssl", "isal"}),
    Rule("protocol/scsi/", ["protocol/bytes/", "protocol/scsi/"], {"system", "endian"}),
    Rule("server/runtime/", ["server/runtime/"],
         {"asio", "system", "uring", "numa", "spdlog", "posix", "threads", "clock", "random", "files"}),
    Rule("server/observe/", ["server/observe/", "server/runtime/"],
         {"asio", "system", "spdlog", "prometheus", "posix", "threads", "clock", "files"}),
    Rule("backends/", ["backends/", "server/runtime/"],
         {"system", "json", "posix", "threads", "files", "librbd", "libnbd"}),
    Rule("server/config/", ["server/config/", "server/limits.h"], {"system", "json"}),
    Rule("server/config/store", ["server/config/", "server/runtime/", "server/limits.h"], {"system", "json", "posix", "files"}),
    Rule("server/data_mover.h", ["backends/block_device.h", "server/runtime/"], {"system"}),
    Rule("server/transport.h", ["server/runtime/", "server/volume/", "server/config/", "backends/block_device.h"], {"system"}),
    Rule("server/limits.h", [], set()),
    Rule("server/volume/", ["server/volume/", "backends/", "server/config/model.h", *UNDERNEATH], {"system", "posix"}),
    Rule("server/scsi/", ["server/scsi/", "server/volume/", "server/data_mover.h", "backends/block_device.h",
                          "protocol/scsi/", "protocol/bytes/", *UNDERNEATH], {"system", "posix"}),
    Rule("server/iscsi/", ["server/iscsi/", "server/scsi/", "server/volume/", "server/data_mover.h", "server/transport.h",
                           "protocol/", *UNDERNEATH], {"system", "posix"}),
    Rule("server/control/", ["server/control/", "server/config/", "server/volume/", "server/transport.h",
                             "backends/registry.h", "backends/block_device.h", *UNDERNEATH], SERVER),
    Rule("web/", ["web/", "server/control/", "server/observe/"], SERVER | {"beast"}),
    Rule("server/main.cpp", ["server/", "backends/", "protocol/", "web/"], SERVER | {"cli"}),
    Rule("server/app", ["server/", "backends/", "protocol/", "web/"], SERVER | {"cli"}),
    Rule("server/cli", ["server/", "backends/", "protocol/", "web/"], SERVER | {"cli"}),
]

# Files that nobody but the listed ones may include.
PRIVATE = {"server/app.h": ["server/app.cpp", "server/main.cpp"]}


def rule_for(path):
    rows = [rule for rule in RULES if path.startswith(rule.folder)]
    return max(rows, key=lambda rule: len(rule.folder)) if rows else None


def library_of(header):
    found = [(len(start), name) for start, name in LIBRARIES.items()
             if header.startswith(start) and (start.endswith(("/", ".h")) or "/" in start or header == start
                                              or header.startswith(start + ".h") or start in ("isa-l", "liburing", "libnbd"))]
    return max(found)[1] if found else None


def markdown():
    """The table as ARCHITECTURE.md shows it."""
    lines = ["| folder | of ours | libraries |", "|---|---|---|"]
    for rule in RULES:
        own = " ".join(f"`{name}`" for name in rule.own if name != rule.folder) or "nothing"
        lines.append(f"| `{rule.folder}` | {own} | {' '.join(sorted(rule.libraries)) or 'std only'} |")
    return "\n".join(lines)
