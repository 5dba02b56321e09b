"""Who may do what, and how somebody becomes somebody."""
import json
import os
import stat

from client import PASSWORD, check, expect, harness


def test_setup_is_possible_once_and_only_with_the_token(server):
    server.start()
    state = expect(server.call("GET", "/api/v1/session"), 200).json
    check(state == {"authenticated": False, "setup_required": True}, f"session: {state}")
    expect(server.call("GET", "/api/v1/system"), 401, "not-logged-in")
    wish = {"token": "0" * 32, "username": "admin", "password": PASSWORD}
    expect(server.call("POST", "/api/v1/setup", wish), 403, "wrong-setup-token")
    wish["token"] = server.setup_token()
    short = expect(server.call("POST", "/api/v1/setup", {**wish, "password": "short"}), 422)
    check(short.json["errors"][0]["pointer"] == "/password", short.text)
    answer = expect(server.call("POST", "/api/v1/setup", wish), 204)
    check("HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Strict" in answer.headers["Set-Cookie"],
          "the cookie can be read or sent by other pages")
    expect(server.call("POST", "/api/v1/setup", wish), 410, "setup-done")


def test_the_accounts_file_holds_no_secret_and_is_private(server):
    server.set_up()
    token = server.token("viewer")
    path = server.folder / "data/state/accounts.json"
    text = path.read_text()
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "others can read it")
    check(PASSWORD not in text and token not in text and token.split("_")[2] not in text, "a secret is in it")
    check(PASSWORD not in server.output() and token.split("_")[2] not in server.output(), "a secret is in the log")


def test_accounts_outlive_a_restart_and_logins_do_not(server):
    server.set_up()
    server.bearer = None
    check(server.stop() == 0, "stop")
    server.start()
    check("setup?token" not in server.output().split("stopped")[-1], "a second setup is offered")
    expect(server.call("GET", "/api/v1/system"), 401)
    server.cookie = None
    answer = expect(server.call("POST", "/api/v1/session", {"username": "admin", "password": PASSWORD}), 204)
    server.cookie = answer.headers["Set-Cookie"].split(";")[0]
    expect(server.call("GET", "/api/v1/system"), 200)


def test_login_and_logout(server):
    server.set_up()
    who = expect(server.call("GET", "/api/v1/session"), 200).json
    check(who["name"] == "admin" and who["role"] == "admin", f"who: {who}")
    expect(server.call("DELETE", "/api/v1/session"), 204)
    expect(server.call("GET", "/api/v1/volumes"), 401)
    server.cookie = "lunaris_session=made-up"
    expect(server.call("GET", "/api/v1/volumes"), 401)
    expect(server.call("POST", "/api/v1/session", {"username": "admin"}), 422)
    expect(server.call("POST", "/api/v1/session", {"username": "nobody", "password": PASSWORD}), 401, "wrong-password")


def test_passwords_cannot_be_tried_often(server):
    server.set_up()
    server.cookie = None
    wrong = {"username": "admin", "password": "not this one"}
    for _ in range(5):
        expect(server.call("POST", "/api/v1/session", wrong), 401)
    answer = expect(server.call("POST", "/api/v1/session", wrong), 429, "too-many-attempts")
    check(1 <= int(answer.headers["Retry-After"]) <= 61, f"Retry-After {answer.headers['Retry-After']}")
    expect(server.call("POST", "/api/v1/session", {**wrong, "username": "other"}), 401)


def test_a_foreign_page_changes_nothing(server):
    server.set_up()
    for headers in ({"X-Requested-With": None}, {"Origin": "http://evil.example"}, {"Origin": None}):
        expect(server.call("PUT", "/api/v1/volumes/x", {"size": "1MiB"}, headers), 403, "foreign-page")
        expect(server.call("DELETE", "/api/v1/volumes/demo?drain=true", headers=headers), 403, "foreign-page")
    login = {"username": "admin", "password": PASSWORD}
    expect(server.call("POST", "/api/v1/session", login, {"Origin": "http://evil.example"}), 403, "foreign-page")
    expect(server.call("GET", "/api/v1/volumes/demo"), 200)


def test_tokens_have_roles_and_can_be_taken_back(server):
    server.set_up()
    tokens = {role: server.token(role) for role in ("viewer", "operator", "admin")}
    allowed = {"viewer": (200, 403, 403), "operator": (200, 201, 403), "admin": (200, 200, 200)}
    for role, (read, write, administer) in allowed.items():
        server.bearer = tokens[role]
        expect(server.call("GET", "/api/v1/volumes"), read)
        expect(server.call("PUT", "/api/v1/volumes/t", {"size": "1MiB", "backend": {"type": "memory"}}), write)
        expect(server.call("GET", "/api/v1/tokens"), administer)
    server.bearer = tokens["operator"]
    for path in ("/etc/hostname", "../x.img"):
        body = {"size": "1MiB", "backend": {"type": "file", "path": path}}
        expect(server.call("PUT", "/api/v1/volumes/other", body), 403, "not-allowed")
    inside = {"size": "1MiB", "backend": {"type": "file", "path": "o.img"}}
    expect(server.call("PUT", "/api/v1/volumes/other", inside), 201)
    server.bearer = tokens["admin"]
    listed = server.call("GET", "/api/v1/tokens")
    check(len(listed.json["items"]) == 3 and "secret" not in listed.text, listed.text)
    mine = next(one for one in listed.json["items"] if one["role"] == "viewer")
    expect(server.call("DELETE", f"/api/v1/tokens/{mine['id']}"), 204)
    expect(server.call("DELETE", f"/api/v1/tokens/{mine['id']}"), 404)
    server.bearer = tokens["viewer"]
    expect(server.call("GET", "/api/v1/volumes"), 401)
    server.bearer = tokens["operator"][:-1] + "x"
    expect(server.call("GET", "/api/v1/volumes"), 401)


def test_a_token_needs_a_name_a_role_and_a_time_to_come(server):
    server.set_up()
    for body, pointer in (({"role": "admin"}, "/name"), ({"name": "a", "role": "root"}, "/role"),
                          ({"name": "a", "role": "admin", "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
                          ({"name": "a", "role": "admin", "colour": 1}, "/colour")):
        answer = expect(server.call("POST", "/api/v1/tokens", body), 422)
        check(pointer in {one["pointer"] for one in answer.json["errors"]}, answer.text)
    made = expect(server.call("POST", "/api/v1/tokens", {"name": "a", "role": "viewer",
                                                         "expires_at": "2099-01-01T00:00:00Z"}), 201)
    check(made.json["expires_at"] == "2099-01-01T00:00:00Z", made.text)


def test_an_address_that_others_can_reach_is_refused_without_tls(server):
    web = ["--web-listen", f"0.0.0.0:{server.web_port}"]
    arguments = server.arguments()[:-2]
    server.spawn(*arguments, *web)
    server.ends_with(1, "there is no TLS yet")
    server.start(*arguments, *web, "--insecure-http")
    expect(server.call("GET", "/livez"), 200)


def test_a_web_address_that_is_taken_is_said_at_the_start(server):
    server.start()
    second = harness.Server(server.folder / "second")
    second.folder.mkdir()
    try:
        second.spawn("--data", str(second.folder / "data"), "--socket", str(second.socket), "--listen",
                     f"127.0.0.1:{second.port}", "--web-listen", f"127.0.0.1:{server.web_port}")
        second.ends_with(1, "choose another address with --web-listen")
    finally:
        second.kill()


def test_a_file_managed_server_has_no_web_unless_asked_and_then_refuses_changes(server):
    server.write(server.document())
    server.start("--config", str(server.file), "--data", str(server.folder / "data"), "--socket", str(server.socket))
    check(not harness.can_connect(server.web_port), "there is a web server")
    server.stop()
    document = server.document()
    document["server"]["web"] = {"listen": f"127.0.0.1:{server.web_port}"}
    server.write(json.dumps(document))
    server.process = None
    harness.Server.start(server, "--config", str(server.file), "--data", str(server.folder / "data"), "--socket",
                         str(server.socket))
    answer = server.call("POST", "/api/v1/setup",
                         {"token": server.setup_token(), "username": "admin", "password": PASSWORD})
    server.cookie = answer.headers["Set-Cookie"].split(";")[0]
    expect(server.call("PUT", "/api/v1/volumes/x", {"size": "1MiB"}), 409, "managed-by-file")
    expect(server.call("GET", "/api/v1/volumes"), 200)
