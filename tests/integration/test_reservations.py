"""Persistent reservations of the real server: two nodes over kill -9, and a damaged file."""
import socket
import struct

from harness import TARGET, can_connect, check, wait_until
import initiator as iscsi  # harness.py has put tests/support on the path

REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE = range(7)
REPLACE_LOST = 8
REGISTRANTS_ONLY = 5  # Write Exclusive
GOOD, CHECK_CONDITION, CONFLICT = 0, 2, 0x18
APTPL = 1


def log_in(server, node):
    """The same initiator port each time: a registration belongs to name and ISID."""
    session = iscsi.Initiator(server.port, TARGET, name=f"iqn.2026-01.io.lunaris.tests:node{node}")
    session.isid = bytes([0x80, 0, 0, 0, 0x10, node])
    return session.login()


def both(server):
    nodes = [log_in(server, node) for node in range(2)]
    for node in nodes:
        check(node.command(0, bytes(6))[0] == CHECK_CONDITION, "no unit attention after the login")
    return nodes


def reserve_out(node, action, key, action_key, kind=0, flags=0):
    parameters = struct.pack(">QQIBBH", key, action_key, 0, flags, 0, 0)
    return node.command(0, struct.pack(">BBBHI", 0x5F, action, kind, 0, len(parameters)) + b"\0", write=parameters)


def keys(node):
    status, data, _ = node.command(0, struct.pack(">BB5xHx", 0x5E, 0, 256), read=256)
    check(status == GOOD, f"READ KEYS: {status}")
    return [struct.unpack_from(">Q", data, 8 + at)[0] for at in range(0, struct.unpack_from(">I", data, 4)[0], 8)]


def must(outcome, status, what):
    check(outcome[0] == status, f"{what}: status {outcome[0]:#x}, sense {outcome[2].hex()}")
    return outcome


def write(node):
    return node.write(0, 0, bytes(512))


def attention(node, asc, ascq):
    sense = must(write(node), CHECK_CONDITION, "a unit attention was expected")[2]
    check(sense[2] & 15 == 6 and sense[12:14] == bytes([asc, ascq]), f"another sense: {sense.hex()}")


def answers(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
            return True
        except OSError:
            return False


def kill(server):
    """kill -9. The kernel takes a dead process's ring down later, and with it the sockets that were in use there."""
    server.kill()
    wait_until(lambda: not answers(server.socket) and not can_connect(server.port), 10,
               "its sockets outlive the server")


def kill_and_start(server, *nodes):
    kill(server)
    for node in nodes:
        node.close()
    server.start()
    return both(server)


def test_two_nodes_fence_each_other_over_kill_9(server):
    server.write(server.document(server={"workers": {"count": 2}}))
    server.start()
    first, second = both(server)
    must(reserve_out(first, REGISTER_AND_IGNORE, 0, 0xA, flags=APTPL), GOOD, "register")
    must(reserve_out(second, REGISTER_AND_IGNORE, 0, 0xB, flags=APTPL), GOOD, "register")
    must(reserve_out(first, RESERVE, 0xA, 0, REGISTRANTS_ONLY), GOOD, "reserve")
    first, second = kill_and_start(server, first, second)
    check(keys(second) == [0xA, 0xB], f"keys after kill -9: {keys(second)}")
    must(reserve_out(second, PREEMPT, 0xB, 0xA, REGISTRANTS_ONLY), GOOD, "preempt")
    attention(first, 0x2A, 5)
    must(write(first), CONFLICT, "write of the preempted")
    first, second = kill_and_start(server, first, second)
    check(keys(first) == [0xB], f"keys after kill -9: {keys(first)}")
    must(write(first), CONFLICT, "write of the preempted, after the restart")
    must(write(second), GOOD, "write of the holder")
    must(first.read(0, 0, 1), GOOD, "read of the preempted")
    must(reserve_out(first, REGISTER, 0, 0xA, flags=APTPL), GOOD, "register again")
    must(reserve_out(first, PREEMPT_AND_ABORT, 0xA, 0xB, REGISTRANTS_ONLY), GOOD, "preempt and abort")
    attention(second, 0x2A, 5)
    first, second = kill_and_start(server, first, second)
    must(write(second), CONFLICT, "write of the other preempted")
    must(reserve_out(first, RELEASE, 0xA, 0, REGISTRANTS_ONLY), GOOD, "release")
    must(reserve_out(first, CLEAR, 0xA, 0), GOOD, "clear")
    first, second = kill_and_start(server, first, second)
    check(keys(second) == [], f"keys after CLEAR: {keys(second)}")
    must(write(second), GOOD, "write")
    check(server.stop() == 0, server.output())


def test_reservations_without_aptpl_end_with_the_server(server):
    server.write(server.document())
    server.start()
    first, second = both(server)
    must(reserve_out(first, REGISTER, 0, 0xA), GOOD, "register")
    must(reserve_out(first, RESERVE, 0xA, 0, 3), GOOD, "reserve")
    _, second = kill_and_start(server, first, second)
    must(write(second), GOOD, "write")


def test_damaged_reservations_are_reported_and_refuse_everybody(server):
    server.write(server.document())
    server.start()
    first, _ = both(server)
    must(reserve_out(first, REGISTER, 0, 0xA, flags=APTPL), GOOD, "register")
    kill(server)
    (file,) = (server.folder / "data" / "reservations").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    server.start()
    status = server.status()
    check(str(file) in status["volumes"][0].get("reason", ""), f"the status does not name the file: {status}")
    first = log_in(server, 0)
    attention(first, 0x29, 0)
    sense = must(write(first), CHECK_CONDITION, "write while the reservations are lost")[2]
    check(sense[12:14] == b"\x44\x01", f"sense {sense.hex()}")
    must(reserve_out(first, REPLACE_LOST, 0, 0xC, REGISTRANTS_ONLY, APTPL), GOOD, "replace lost reservation")
    must(write(first), GOOD, "write of the new holder")
    check(server.ctl("reload").returncode == 0, "reload")
    check("reason" not in server.status()["volumes"][0], f"still a failure: {server.status()}")
