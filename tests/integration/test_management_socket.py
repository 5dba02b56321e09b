"""Clients of the management socket that talk nonsense, say nothing, or hang up."""
import json
import socket

from harness import check


def connect(server):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(server.socket))
    return client


def ask(client, text):
    client.sendall(text if isinstance(text, bytes) else text.encode())
    return json.loads(client.makefile("rb").readline())


def test_nonsense_gets_an_error_and_the_connection_lives(server):
    server.write(server.document())
    server.start()
    with connect(server) as client:
        for line in (b"\n", b"hello\n", b"{}\n", b"[1]\n", b"\xff\xfe\x00\n", b'{"method": 1}\n', b'{"method": "x"}\n',
                     b"[" * 5000 + b"\n"):
            check("error" in ask(client, line), f"{line[:20]!r} gets no error")
        check(ask(client, '{"method": "status", "id": 5}\n')["id"] == 5, "a good request is not answered")


def test_requests_in_pieces_and_in_one_piece(server):
    server.write(server.document())
    server.start()
    with connect(server) as client:
        for byte in b'{"method": "sessions"}':
            client.sendall(bytes([byte]))
        check("result" in ask(client, "\n"), "a request in pieces is not answered")
        client.sendall(b'{"method": "status", "id": 1}\n{"method": "status", "id": 2}\n')
        lines = client.makefile("rb")
        check([json.loads(lines.readline())["id"] for _ in range(2)] == [1, 2], "the answers are not in order")


def test_clients_that_hang_up_or_say_nothing_disturb_nobody(server):
    server.write(server.document())
    server.start()
    # Together fewer than the server serves at once: those that hang up count until the server has noticed.
    silent = [connect(server) for _ in range(10)]
    for _ in range(10):
        with connect(server) as client:
            client.sendall(b'{"method": "sta')
    for _ in range(10):
        with connect(server) as client:
            client.sendall(b'{"method": "status"}\n')  # and away before the answer
    check(server.ctl("status").returncode == 0, "status is not answered")
    check(server.stop() == 0, "the stop waits for silent clients: " + server.output())
    for client in silent:
        client.close()


def test_too_many_clients_are_told(server):
    server.write(server.document())
    server.start()
    clients = [connect(server) for _ in range(32)]
    for client in clients:
        check("result" in ask(client, '{"method": "sessions"}\n'), "one of 32 clients is not answered")
    with connect(server) as client:
        answer = json.loads(client.makefile("rb").readline())
        check(answer["error"]["code"] == "busy", f"the 33rd client gets {answer}")
    for client in clients:
        client.close()
