"""The include table: who may include whom. ARCHITECTURE.md shows it; tests/tidy enforces it; CMake's link visibility is
the other half. The row with the longest matching folder decides."""
import collections

# What `#include <...>` belongs to, by its beginning. What is not here is the standard library, or the system's.
LIBRARIES = {
    "boost/asio": "asio", "boost/beast": "beast", "boost/json": "json", "boost/system": "system",
    "boost/endian": "endian",
    "openssl/": "openssl", "isa-l": "isal", "liburing": "uring", "numa": "numa", "spdlog/": "spdlog", "CLI/": "cli",
    "prometheus/": "prometheus", "catch2/": "catch2", "rbd/": "librbd", "rados/": "librbd", "libnbd": "libnbd",
    "sys/uio.h": "iovec", "arpa/inet.h": "addresses", "sys/": "posix", "netinet/": "posix", "linux/": "posix",
    "unistd.h": "posix", "fcntl.h": "posix",
    "poll.h": "posix", "pthread.h": "posix", "sched.h": "posix", "signal.h": "posix", "netdb.h": "posix",
    "thread": "threads", "mutex": "threads", "shared_mutex": "threads", "condition_variable": "threads",
    "future": "threads", "semaphore": "threads", "latch": "threads", "barrier": "threads", "stop_token": "threads",
    "chrono": "clock", "ctime": "clock", "time.h": "clock", "random": "random",
    "fstream": "files", "filesystem": "paths", "iostream": "files", "cstdio": "stdio",
    "stdio.h": "stdio",
}

Rule = collections.namedtuple("Rule", "folder own libraries")

POSIX = {"posix", "iovec", "addresses", "stdio"}
SERVER = POSIX | {"asio", "system", "json", "spdlog", "openssl", "threads", "clock", "random", "files", "paths"}
UNDERNEATH = ["server/runtime/", "server/observe/", "server/limits.h"]

RULES = [
    Rule("protocol/bytes/", ["protocol/bytes/"], {"system", "endian", "isal", "stdio"}),
    Rule("protocol/iscsi/", ["protocol/bytes/", "protocol/iscsi/"], {"system", "endian", "openssl", "isal", "iovec"}),
    Rule("protocol/scsi/", ["protocol/bytes/", "protocol/scsi/"], {"system", "endian"}),
    Rule("server/runtime/", ["server/runtime/"],
         POSIX | {"asio", "system", "uring", "numa", "spdlog", "threads", "clock", "random", "files", "paths"}),
    Rule("server/observe/", ["server/observe/", "server/runtime/"],
         POSIX | {"asio", "system", "spdlog", "prometheus", "threads", "clock", "files"}),
    Rule("backends/", ["backends/", "server/runtime/"],
         POSIX | {"system", "json", "numa", "threads", "files", "paths", "librbd", "libnbd"}),
    Rule("server/config/", ["server/config/", "server/limits.h", "server/secret.h", "server/address_range.h"],
         {"system", "json", "addresses", "paths"}),
    Rule("server/secret.h", [], set()),
    Rule("server/address_range.h", [], {"addresses"}),
    Rule("server/limits.h", [], {"clock"}),
    Rule("server/data_mover.h", ["backends/block_device.h", "server/runtime/"], {"system"}),
    Rule("server/transport.h", ["server/runtime/", "server/secret.h", "server/address_range.h"], {"system"}),
    Rule("server/volume/", ["server/volume/", "backends/", "server/config/model.h", *UNDERNEATH],
         POSIX | {"system", "threads"}),
    Rule("server/scsi/", ["server/scsi/", "server/volume/", "server/data_mover.h", "backends/block_device.h",
                          "protocol/scsi/", "protocol/bytes/", *UNDERNEATH], POSIX | {"system"}),
    Rule("server/iscsi/", ["server/iscsi/", "server/scsi/", "server/volume/", "server/data_mover.h",
                           "server/transport.h",
                           "backends/block_device.h", "protocol/", *UNDERNEATH], POSIX | {"system"}),
    Rule("server/control/", ["server/control/", "server/config/", "server/volume/", "server/transport.h",
                             "server/scsi/logical_unit.h", "server/scsi/nexus.h", "backends/registry.h",
                             "backends/block_device.h", *UNDERNEATH], SERVER),
    Rule("web/", ["web/", "server/control/", "server/config/", "server/runtime/", "server/observe/"],
         SERVER | {"beast"}),
    Rule("server/", ["server/", "backends/", "protocol/", "web/"], SERVER | {"cli", "uring", "numa"}),
]

# Files that nobody but the listed ones may include.
PRIVATE = {"server/app.h": ["server/app.cpp", "server/main.cpp"]}


def rule_for(path):
    rows = [rule for rule in RULES if path.startswith(rule.folder)]
    return max(rows, key=lambda rule: len(rule.folder)) if rows else None


def library_of(header):
    """The longest beginning decides; a standard header (no slash, no dot) must match whole."""
    found = [start for start in LIBRARIES
             if header == start or (header.startswith(start) and ("/" in header or "." in header))]
    return LIBRARIES[max(found, key=len)] if found else None


def markdown():
    """The table as ARCHITECTURE.md shows it."""
    lines = ["| folder | of ours | libraries |", "|---|---|---|"]
    for rule in RULES:
        own = " ".join(f"`{name}`" for name in rule.own if name != rule.folder) or "nothing"
        lines.append(f"| `{rule.folder}` | {own} | {' '.join(sorted(rule.libraries)) or 'std only'} |")
    return "\n".join(lines)
