"""What the web tests share: a server with its web address, and an HTTP client that checks every answer."""
import http.client
import json
import pathlib
import re
import socket
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "integration"))
sys.path.insert(0, str(FOLDER))
import harness  # noqa: E402
from harness import check, support, wait_until  # noqa: E402,F401
import openapi  # noqa: E402

PASSWORD = "a long enough password"
DEMO = "iqn.2026-01.io.lunaris:demo"


class Answer:
    def __init__(self, response, text):
        self.status = response.status
        self.headers = response.headers
        self.text = text
        kind = response.headers.get("Content-Type", "")
        self.json = json.loads(text) if "json" in kind and text else None

    def fix(self):
        return self.json.get("fix", "")


class WebServer(harness.Server):
    """`lunaris serve --demo` with the dashboard on a free port."""

    def __init__(self, folder):
        super().__init__(folder)
        self.web_port = support.free_port()
        self.base = f"http://127.0.0.1:{self.web_port}"
        self.cookie = self.bearer = None
        self.schema = None

    def arguments(self):
        return ["--demo", "--data", str(self.folder / "data"), "--socket", str(self.socket), "--workers", "1",
                "--listen", f"127.0.0.1:{self.port}", "--web-listen", f"127.0.0.1:{self.web_port}"]

    def setup_token(self):
        """Of the newest start."""
        return re.findall(r"setup\?token=([0-9a-f]+)", self.output())[-1]

    def set_up(self):
        """Starts it and logs an administrator in."""
        self.start()
        answer = self.call("POST", "/api/v1/setup",
                           {"token": self.setup_token(), "username": "admin", "password": PASSWORD})
        check(answer.status == 204, f"setup: {answer.status} {answer.text}")
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        return self

    def token(self, role):
        answer = self.call("POST", "/api/v1/tokens", {"name": f"test-{role}", "role": role})
        check(answer.status == 201, f"tokens: {answer.text}")
        return answer.json["token"]

    def call(self, method, path, body=None, headers=None, raw=None, checked=True):
        """One request, with the login (or the token) of this object. `headers` with the value None are left out."""
        sent = {"X-Requested-With": "test", "Origin": self.base}
        if self.bearer:
            sent = {"Authorization": f"Bearer {self.bearer}"}
        elif self.cookie:
            sent["Cookie"] = self.cookie
        if body is not None:
            raw = json.dumps(body)
        if raw is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=20)
        connection.request(method, path, body=raw, headers={k: v for k, v in sent.items() if v is not None})
        response = connection.getresponse()
        answer = Answer(response, response.read().decode())
        connection.close()
        if checked:
            self.check_answer(method, path, answer)
        return answer

    def check_answer(self, method, path, answer):
        """What every answer has; and that it is what the OpenAPI document says."""
        check(answer.headers.get("X-Request-Id"), "no X-Request-Id")
        check("default-src 'none'" in answer.headers.get("Content-Security-Policy", ""), "no CSP")
        if answer.status >= 400:
            check(answer.headers["Content-Type"] == "application/problem+json", f"no problem: {answer.text}")
            check(answer.json["status"] == answer.status and answer.json["detail"], f"problem: {answer.text}")
        if self.schema is None:
            self.schema = openapi.Document(self.raw_json("/openapi.json"))
        if method != "HEAD":
            fault = self.schema.fault(method, path, answer.status, answer.json)
            check(not fault, f"{method} {path} {answer.status} is not as documented: {fault}")

    def raw_json(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=20)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def raw(self, data, seconds=20):
        """Bytes as they are; what comes back until the end."""
        with socket.create_connection(("127.0.0.1", self.web_port), timeout=seconds) as connection:
            connection.settimeout(seconds)
            try:
                connection.sendall(data)
            except OSError:
                pass
            received = b""
            try:
                while more := connection.recv(65536):
                    received += more
            except OSError:
                pass
            return received.decode(errors="replace")


def expect(answer, status, kind=None):
    check(answer.status == status, f"status {answer.status} and not {status}: {answer.text[:300]}")
    if kind:
        check(answer.json["type"] == f"/problems/{kind}", f"type {answer.json['type']} and not {kind}")
    return answer
