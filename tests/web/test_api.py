"""Every route's good path and its refusals."""
import json
import shutil
import subprocess

from client import DEMO, check, expect, wait_until
from io_load import Io

NEW = "iqn.2026-01.io.lunaris:new"


def iscsi_ls(server):
    """Targets and LUNs as libiscsi finds them; of a size it shows the last block, rounded down."""
    done = subprocess.run(["iscsi-ls", "-s", f"iscsi://127.0.0.1:{server.port}"], capture_output=True, text=True,
                          timeout=30, check=False)
    return done.stdout


def test_probes_are_open(server):
    server.start()
    for path in ("/livez", "/readyz"):
        answer = expect(server.call("GET", path), 200)
        check(answer.text == "ok\n", answer.text)
    check(expect(server.call("HEAD", "/livez"), 200).text == "", "HEAD has a body")


def test_system_tells_version_and_health(server):
    server.set_up()
    system = expect(server.call("GET", "/api/v1/system"), 200).json
    check(system["health"] == "ready" and system["volumes"] == 1 and system["managed_by"] == "api", f"{system}")


def test_a_volume_is_created_seen_grown_and_deleted(server):
    server.set_up()
    wish = {"size": "64MiB", "expose": {"target": NEW, "initiators": []}}
    made = expect(server.call("PUT", "/api/v1/volumes/db%3A1", wish, {"If-None-Match": "*"}), 201)
    check(made.json["name"] == "db:1" and made.json["state"] == "online", made.text)
    check(made.json["connect"] == [{"portal": f"127.0.0.1:{server.port}", "target": NEW, "lun": 0}], made.text)
    check(made.headers["ETag"] == '"g2"', f"ETag {made.headers['ETag']}")
    check(NEW in iscsi_ls(server) and "63M" in iscsi_ls(server), iscsi_ls(server))
    again = expect(server.call("PUT", "/api/v1/volumes/db:1", wish), 200)
    check(again.headers["ETag"] == '"g2"', "the same PUT changes something")
    expect(server.call("PUT", "/api/v1/volumes/db:1", wish, {"If-None-Match": "*"}), 412, "exists")
    grown = expect(server.call("PUT", "/api/v1/volumes/db:1", {"size": 128 << 20}), 200)
    check(grown.json["size"] == 128 << 20 and grown.json["backend"] == made.json["backend"], grown.text)
    check("127M" in iscsi_ls(server), iscsi_ls(server))
    shrink = expect(server.call("PUT", "/api/v1/volumes/db:1", {"size": "1MiB"}), 422, "invalid")
    check(shrink.json["errors"][0]["pointer"] == "/size", shrink.text)
    read = expect(server.call("GET", "/api/v1/volumes/db:1"), 200).json
    expect(server.call("PUT", "/api/v1/volumes/db:1", read), 200)
    expect(server.call("DELETE", "/api/v1/volumes/db:1"), 409, "volume-mapped")
    expect(server.call("DELETE", "/api/v1/volumes/db:1?drain=true"), 204)
    expect(server.call("GET", "/api/v1/volumes/db:1"), 404, "not-found")
    expect(server.call("DELETE", "/api/v1/volumes/db:1"), 404)
    check("127M" not in iscsi_ls(server), iscsi_ls(server))


def test_what_is_wrong_with_a_volume_is_said_with_pointers(server):
    server.set_up()
    for body, pointer in (({"size": "1MiB", "sise": 1}, "/sise"), ({"size": "many"}, "/size"),
                          ({"size": 1000}, "/size"), ({"size": "1MiB", "backend": {"type": "tape"}}, "/backend/type"),
                          ({"size": "1MiB", "expose": {"target": "nonsense"}}, "/expose/target"),
                          ({"size": "1MiB", "name": "other"}, "/name")):
        answer = expect(server.call("PUT", "/api/v1/volumes/x", body), 422, "invalid")
        check(pointer in {one["pointer"] for one in answer.json["errors"]}, f"{pointer}: {answer.text}")
    expect(server.call("PUT", "/api/v1/volumes/UPPER", {"size": "1MiB"}), 422)
    expect(server.call("PUT", "/api/v1/volumes/x", [1]), 422)


def test_lists_come_in_pages(server):
    server.set_up()
    for number in range(3):
        expect(server.call("PUT", f"/api/v1/volumes/v{number}", {"size": "1MiB", "backend": {"type": "memory"}}), 201)
    first = expect(server.call("GET", "/api/v1/volumes?limit=3"), 200).json
    names = [one["name"] for one in first["items"]]
    rest = expect(server.call("GET", f"/api/v1/volumes?limit=3&page_token={first['next_page_token']}"), 200).json
    names += [one["name"] for one in rest["items"]]
    check(names == ["demo", "v0", "v1", "v2"] and rest["next_page_token"] is None, f"{names}")
    expect(server.call("GET", "/api/v1/volumes?limit=0"), 400, "bad-query")


def test_a_target_and_its_luns(server):
    server.set_up()
    made = expect(server.call("PUT", f"/api/v1/targets/{NEW.upper()}", {"alias": "new one"}), 201).json
    check(made["name"] == NEW and made["luns"] == {}, f"{made}")
    expect(server.call("PUT", f"/api/v1/targets/{NEW}/luns/7", {"volume": "demo", "read_only": True}), 201)
    expect(server.call("PUT", f"/api/v1/targets/{NEW}/luns/7", {"volume": "demo"}), 200)
    luns = expect(server.call("GET", f"/api/v1/targets/{NEW}"), 200).json["luns"]
    check(luns == {"7": {"volume": "demo", "read_only": False}}, f"{luns}")
    unknown = expect(server.call("PUT", f"/api/v1/targets/{NEW}/luns/8", {"volume": "none"}), 422)
    check(unknown.json["errors"][0]["pointer"] == "/volume", unknown.text)
    expect(server.call("PUT", f"/api/v1/targets/{NEW}/luns/99999", {"volume": "demo"}), 422)
    expect(server.call("PUT", "/api/v1/targets/iqn.2026-01.io.lunaris:no/luns/0", {"volume": "demo"}), 404)
    kept = expect(server.call("PUT", f"/api/v1/targets/{NEW}", {"initiators": ["iqn.1994-05.com.redhat:A"]}), 200).json
    check(kept["alias"] == "new one" and kept["initiators"] == ["iqn.1994-05.com.redhat:a"] and kept["luns"], f"{kept}")
    expect(server.call("PUT", f"/api/v1/targets/{NEW}", {"initiators": ["me"]}), 422)
    expect(server.call("PUT", "/api/v1/targets/nonsense", {}), 422)
    expect(server.call("DELETE", f"/api/v1/targets/{NEW}/luns/7"), 204)
    expect(server.call("DELETE", f"/api/v1/targets/{NEW}/luns/7"), 404)
    expect(server.call("DELETE", f"/api/v1/targets/{NEW}"), 204)
    expect(server.call("DELETE", f"/api/v1/targets/{NEW}"), 404)
    expect(server.call("GET", f"/api/v1/targets/{NEW}"), 404)
    check(len(expect(server.call("GET", "/api/v1/targets"), 200).json["items"]) == 1, "one target is left")


def test_sessions_protect_what_they_use_and_can_be_dropped(server):
    server.set_up()
    io = Io(server.port, DEMO)
    try:
        def sessions():
            return server.call("GET", f"/api/v1/sessions?target={DEMO}").json["items"]
        wait_until(lambda: sessions() and sessions()[0]["written_bytes"] > 0, 20, "nobody logs in")
        for path in ("volumes/demo", f"targets/{DEMO}", f"targets/{DEMO}/luns/0"):
            answer = expect(server.call("DELETE", f"/api/v1/{path}"), 409)
            check(answer.json["sessions"] and "drain" in answer.fix(), answer.text)
        wait_until(lambda: server.call("GET", "/api/v1/stats?range=5s").json["volumes"][0]["rates"]["writes"] > 0, 10,
                   "the rates do not move")
        volume = server.call("GET", "/api/v1/volumes/demo").json
        check(volume["sessions"] == 1 and volume["totals"]["written_bytes"] > 0, f"{volume}")
        expect(server.call("GET", "/api/v1/sessions?initiator=iqn.2026-01.io.lunaris:nobody"), 200)
        first = sessions()[0]["id"]
        expect(server.call("DELETE", f"/api/v1/sessions/{first}"), 204)
        expect(server.call("DELETE", f"/api/v1/sessions/{first}"), 404)
    finally:
        io.stop()


def test_statistics_have_the_asked_length(server):
    server.set_up()
    wait_until(lambda: len(server.call("GET", "/api/v1/stats?range=15m").json["series"]["reads"]) >= 2, 10,
               "no samples")
    check(len(expect(server.call("GET", "/api/v1/stats?scope=volume:demo&range=1"), 200).json["series"]["writes"]) == 1,
          "range")
    expect(server.call("GET", "/api/v1/stats?scope=volume:none"), 404)
    expect(server.call("GET", "/api/v1/stats?scope=everything"), 400, "bad-query")
    expect(server.call("GET", "/api/v1/stats?range=16m"), 400, "bad-query")


def test_the_configuration_goes_round_and_conflicts_are_seen(server):
    server.set_up()
    read = expect(server.call("GET", "/api/v1/config"), 200)
    tag = read.headers["ETag"]
    expect(server.call("GET", "/api/v1/config", headers={"If-None-Match": tag}), 304)
    same = expect(server.call("PUT", "/api/v1/config", read.json, {"If-Match": tag}), 200)
    check(same.json["status"] == "unchanged", same.text)
    document = read.json
    document["volumes"]["more"] = {"size": "1MiB", "backend": {"type": "memory"}}
    plan = expect(server.call("PUT", "/api/v1/config?dry_run=true", document), 200).json
    check(plan["status"] == "planned" and plan["changes"]["create"] == ["volumes/more"], f"{plan}")
    expect(server.call("GET", "/api/v1/volumes/more"), 404)
    expect(server.call("PUT", "/api/v1/config", document, {"If-Match": tag}), 200)
    expect(server.call("PUT", "/api/v1/config", document, {"If-Match": tag}), 412, "conflict")
    expect(server.call("PUT", "/api/v1/volumes/more", {"size": "2MiB"}, {"If-Match": tag}), 412, "conflict")
    expect(server.call("PUT", "/api/v1/volumes/more", {"size": "2MiB"}, {"If-Match": "g"}), 412, "bad-if-match")
    document["colour"] = "red"
    answer = expect(server.call("PUT", "/api/v1/config", document), 422)
    check(answer.json["errors"][0]["pointer"] == "/colour", answer.text)
    planned = expect(server.call("PUT", "/api/v1/volumes/idea?dry_run=true", {"size": "1MiB"}), 200).json
    check(planned["status"] == "planned", f"{planned}")
    expect(server.call("GET", "/api/v1/volumes/idea"), 404)


def test_portals_are_listed(server):
    server.set_up()
    items = expect(server.call("GET", "/api/v1/portals"), 200).json["items"]
    check(items == [{"name": "default", "listen": f"127.0.0.1:{server.port}", "advertise": "auto", "group_tag": 1}],
          f"{items}")


def test_metrics_are_valid_and_open_on_this_machine_only(server):
    server.start()
    answer = expect(server.call("GET", "/metrics"), 200)
    check('lunaris_volume_size_bytes{volume="demo"} 1073741824' in answer.text, answer.text)
    check(f'lunaris_sessions{{target="{DEMO}"}} 0' in answer.text, answer.text)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True,
                              check=False)
        check(done.returncode == 0, done.stdout + done.stderr)
    else:
        print("# note: promtool is not there, the metrics were not linted")


def test_refusals_of_the_protocol(server):
    server.set_up()
    expect(server.call("GET", "/api/v1/nothing"), 404, "no-such-path")
    expect(server.call("GET", "/nothing.js"), 404, "no-such-path")
    answer = expect(server.call("POST", "/api/v1/volumes", {}), 405, "method-not-allowed")
    check(answer.headers["Allow"] == "GET, HEAD", f"Allow {answer.headers['Allow']}")
    expect(server.call("POST", "/app.js"), 405)
    expect(server.call("PUT", "/api/v1/volumes/x", raw="{}", headers={"Content-Type": "text/plain"}), 415, "not-json")
    expect(server.call("PUT", "/api/v1/volumes/x", raw='{"size": }'), 400, "bad-json")
    expect(server.call("PUT", "/api/v1/volumes/x", raw='{"size": 1, "size": 2}'), 400, "bad-json")
    expect(server.call("GET", "/api/v1/volumes/%zz"), 400, "bad-path")
    typo = expect(server.call("PUT", "/api/v1/volumes/x?dryrun=true", {"size": "1MiB"}), 400, "bad-query")
    check("dry_run" in typo.json["detail"], typo.text)
    expect(server.call("PUT", "/api/v1/volumes/x?dry_run=yes", {"size": "1MiB"}), 400, "bad-query")
    expect(server.call("PUT", "/api/v1/volumes/x", raw=" " * ((1 << 20) + 1)), 413, "too-large")
    check(server.call("GET", "/api/v1/volumes/x").status == 404, "a refused request made a volume")


def test_requests_that_are_none_end_the_connection(server):
    server.start()
    check(" 400 " in server.raw(b"no http at all\r\n\r\n").split("\r\n")[0], "400")
    check(" 431 " in server.raw(b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n").split("\r\n")[0], "431")
    long = b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    check(" 414 " in server.raw(long).split("\r\n")[0], "414")
    endless = b"PUT /api/v1/config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    check(" 413 " in server.raw(endless + chunk * 17).split("\r\n")[0], "413 of an endless body")
    two = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    check(server.raw(two).count("200 OK") == 2, "two requests in one piece")
    expect(server.call("GET", "/livez"), 200)


def test_too_many_connections_are_turned_away_and_the_rest_goes_on(server):
    import socket  # pylint: disable=import-outside-toplevel
    server.start()
    server.call("GET", "/livez")
    held = [socket.create_connection(("127.0.0.1", server.web_port), timeout=5) for _ in range(80)]
    try:
        wait_until(lambda: sum(b"503" in peek(one) for one in held) >= 80 - 64, 5, "nobody is turned away")
    finally:
        for one in held:
            one.close()
    wait_until(lambda: can_ask(server), 5, "the server does not recover")


def peek(connection):
    connection.setblocking(False)
    try:
        return connection.recv(4096, 2)  # MSG_PEEK
    except BlockingIOError:
        return b""
    except OSError:
        return b"503"


def can_ask(server):
    try:
        return server.call("GET", "/livez", checked=False).status == 200
    except OSError:
        return False


def test_the_dashboard_is_served_compressed_and_once(server):
    server.start()
    total = 0
    for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/app.css", "text/css"),
                       ("/favicon.svg", "image/svg+xml")):
        plain = expect(server.call("GET", path), 200)
        check(plain.headers["Content-Type"].startswith(kind), plain.headers["Content-Type"])
        tag = plain.headers["ETag"]
        expect(server.call("GET", path, headers={"If-None-Match": tag}), 304)
        head = server.call("HEAD", path, headers={"Accept-Encoding": "gzip"})
        check(head.headers["Content-Encoding"] == "gzip", "not compressed")
        total += int(head.headers["Content-Length"])
    check(total <= 60 * 1024, f"{total} bytes compressed")


def test_openapi_names_every_route(server):
    server.start()
    document = server.raw_json("/openapi.json")
    check(document["openapi"] == "3.1.0", "version")
    text = json.dumps(document)
    for name in [part.split('"')[0] for part in text.split("#/components/schemas/")[1:]]:
        check(name in document["components"]["schemas"], f"there is no schema {name}")
    check("put" in document["paths"]["/api/v1/targets/{name}/luns/{lun}"], "paths")
