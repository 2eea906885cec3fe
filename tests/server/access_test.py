"""Who may use stacyvm serve, and with what it starts. Arguments: see serving.py."""
import base64
import unittest

from serving import Serving, arguments, refused
from wire import WebSocket

LIST = "/api/v1/sandboxes"
KEY, ADMIN = "ordinary-0123456789", "administrator+/-0123456789"
KEYS = f"auth:\n  api_key: {KEY}\n  admin_api_key: {ADMIN}\n"


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Serving(KEYS + "logging:\n  level: debug\n")
        cls.server.headers = [("X-API-Key", KEY)]
        cls.plain = cls.server.wire()
        cls.sandbox = cls.server.spawn()

    @classmethod
    def tearDownClass(cls):
        cls.plain.close()
        cls.server.close()
        log = "".join(cls.server.log)
        assert KEY not in log and ADMIN not in log, log

    def status(self, *headers, method="GET", target=LIST):
        answer = self.plain.ask(method, target, headers=headers)
        if answer.status >= 400:
            self.assertEqual(set(answer.json()), {"code", "message", "request_id"})
            self.assertNotIn(KEY, answer.body.decode())
            self.assertNotIn(ADMIN, answer.body.decode())
        return answer.status

    def test_right_wrong_and_missing(self):
        for headers, status in (((), 401), ((("X-API-Key", KEY),), 200), ((("X-API-Key", ADMIN),), 200), ((("X-Admin-API-Key", ADMIN),), 200), ((("x-api-key", KEY),), 200),
                                ((("X-API-Key", ""),), 401), ((("X-API-Key", KEY[:-1]),), 401), ((("X-API-Key", KEY + "0"),), 401), ((("X-API-Key", KEY.upper()),), 401),
                                ((("X-API-Key", "x" * 7000),), 401), ((("Authorization", f"Bearer {KEY}"),), 401)):
            self.assertEqual(self.status(*headers), status, headers)
        self.assertEqual(self.status(target=f"{LIST}?api_key={KEY}"), 401)

    def test_without_a_key_nobody_learns_which_paths_there_are(self):
        for method, target in (("GET", "/none"), ("PATCH", LIST), ("GET", f"{LIST}/{self.sandbox.id}"), ("POST", f"{LIST}/{self.sandbox.id}/exec"), ("GET", "/api/v1/events"), ("HEAD", LIST)):
            answer = self.plain.ask(method, target)
            self.assertEqual((answer.status, answer.header("Allow")), (401, None), target)

    def test_a_body_is_not_read_before_the_key(self):
        with self.server.wire() as wire:
            wire.send(f"PUT {LIST}/{self.sandbox.id}/files?path=/workspace/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
            self.assertEqual(wire.answer().status, 401)
            self.assertTrue(wire.is_closed())

    def test_a_websocket_takes_the_key_as_a_protocol(self):
        def offer(key, before="stacyvm, "):
            return f"Sec-WebSocket-Protocol: {before}stacyvm-key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")

        target = f"{LIST}/{self.sandbox.id}/exec/ws"
        for key in (KEY, ADMIN):
            with self.server.wire() as wire:
                client = WebSocket(wire, target, [offer(key)])
                self.assertEqual((client.answer.status, client.answer.header("Sec-WebSocket-Protocol")), (101, "stacyvm"))
                client.say(type="start", command="echo in")
                self.assertEqual([message["type"] for message in client.rest()], ["stdout", "exit"])
        for field in (offer(KEY + "x"), offer(""), "Sec-WebSocket-Protocol: stacyvm", "Sec-WebSocket-Protocol: stacyvm, stacyvm-key.%%%", f"Sec-WebSocket-Protocol: stacyvm-key.{KEY}", "A: b"):
            with self.server.wire() as wire:
                self.assertEqual(WebSocket(wire, target, [field]).answer.status, 401, field)
        with self.server.wire() as wire:  # of any other request it is none
            self.assertEqual(wire.ask("GET", LIST, headers=[offer(KEY)]).status, 401)
        with self.server.wire() as wire:
            self.assertEqual(WebSocket(wire, target, [f"X-API-Key: {KEY}"]).answer.status, 101)

    def test_a_page_asks_before_it_has_a_key(self):
        answer = self.plain.ask("OPTIONS", LIST, headers=[("Origin", f"http://{self.plain.host}"), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-api-key")])
        self.assertEqual(answer.status, 204)
        self.assertIn("X-API-Key", answer.header("Access-Control-Allow-Headers"))
        self.assertIn("PATCH", answer.header("Access-Control-Allow-Methods"))

    def test_a_page_of_another_origin_needs_the_key_as_everybody(self):
        origin = ("Origin", "https://any.example")
        answer = self.plain.ask("OPTIONS", LIST, headers=[origin, ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "x-api-key")])
        self.assertEqual((answer.status, answer.header("Access-Control-Allow-Origin")), (204, origin[1]))
        answer = self.plain.ask("GET", LIST, headers=[origin])
        self.assertEqual((answer.status, answer.header("Access-Control-Allow-Origin")), (401, origin[1]))
        self.assertEqual(self.status(origin, ("X-API-Key", KEY)), 200)
        with Serving(f"server:\n  cors_allowed_origins: []\nauth:\n  api_key: {KEY}\n") as closed:
            self.assertEqual(closed.ask("OPTIONS", LIST, headers=[origin]).status, 403)
            closed.headers = [("X-API-Key", KEY)]

    def test_with_keys_any_name_will_do(self):
        self.assertEqual(self.status(("Host", "sandboxes.example"), ("X-API-Key", KEY)), 200)


class OneKey(unittest.TestCase):
    def test_the_administrators_alone(self):
        with Serving(f"auth:\n  admin_api_key: {ADMIN}\n") as server:
            self.assertEqual(server.ask("GET", LIST).status, 401)
            server.headers = [("X-Admin-API-Key", ADMIN)]
            self.assertEqual(server.ask("GET", LIST).status, 200)


class OddKeys(unittest.TestCase):
    def test_a_key_is_bytes_and_nothing_else(self):
        with Serving("auth:\n  api_key: 'a%41=b'\n") as server:
            for wrong in (["X-API-Key: aA=b"], ["X-API-Key: a%2541=b"], ["X-API-Key: wrong", "X-API-Key: a%41=b"], ["X-API-Key: a%41=b", "X-API-Key: wrong"]):
                self.assertEqual(server.ask("GET", LIST, headers=wrong).status, 401, wrong)
            self.assertEqual(server.ask("GET", f"{LIST}?api_key=a%2541=b&X-API-Key=a%2541=b").status, 401)
            server.headers = [("X-API-Key", "a%41=b")]
            self.assertEqual(server.ask("GET", LIST).status, 200)


class Pages(unittest.TestCase):
    ALLOWED = "https://app.example"

    @classmethod
    def setUpClass(cls):
        cls.server = Serving(f"server:\n  cors_allowed_origins: [{cls.ALLOWED}]\n")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def ask(self, *headers, method="GET"):
        return self.server.ask(method, LIST, headers=headers)

    def test_origins(self):
        own = "http://{}:{}".format(*self.server.address)
        for origin, allowed in ((self.ALLOWED, True), (own, True), ("https://evil.example", False), ("http://app.example", False), (self.ALLOWED + ":444", False), (self.ALLOWED + ".evil.example", False),
                                ("null", False), ("http://127.0.0.1:1", False), (own.replace("http", "https"), False), ("https://APP.example", False)):
            with self.subTest(origin):
                for method in ("GET", "OPTIONS"):
                    answer = self.ask(("Origin", origin), method=method)
                    self.assertEqual(answer.header("Access-Control-Allow-Origin"), origin if allowed else None)
                    self.assertEqual(answer.status, (200 if method == "GET" else 204) if allowed else 403)
                    self.assertEqual(answer.header("Vary"), "Origin")
                    self.assertIsNone(answer.header("Access-Control-Allow-Credentials"))

    def test_a_page_of_another_origin_does_nothing(self):
        answer = self.server.ask("POST", LIST, {"image": "host"}, headers=[("Origin", "https://evil.example")])
        self.assertEqual((answer.status, answer.json()["code"]), (403, "FORBIDDEN"))
        self.assertEqual(self.ask().json(), [])
        with self.server.wire() as wire:
            self.assertEqual(WebSocket(wire, f"{LIST}/sb-1/exec/ws", ["Origin: https://evil.example"]).answer.status, 403)

    def test_a_name_that_points_here_is_none_of_ours(self):
        port = self.server.address[1]
        for host, status in ((f"127.0.0.1:{port}", 200), ("localhost", 200), (f"localhost:{port}", 200), ("a.localhost", 200), ("[::1]", 200), (f"[::1]:{port}", 200), ("127.9.9.9", 200),
                             ("evil.example", 403), (f"evil.example:{port}", 403), ("127.0.0.1.evil.example", 403), ("127.evil.example", 403), ("localhost.evil.example", 403), ("evillocalhost", 403),
                             ("0.0.0.0", 403), ("192.0.2.1", 403), ("[::2]", 403), ("[::1].evil.example", 403), ("", 200)):
            self.assertEqual(self.ask(("Host", host)).status, status, host)
        self.assertEqual(self.ask(("Host", "evil.example"), ("Origin", "http://evil.example")).status, 403)

    def test_any_origin_where_it_is_asked_for(self):
        with Serving("server:\n  cors_allowed_origins: ['*']\n") as server:
            answer = server.ask("GET", LIST, headers=[("Origin", "https://any.example")])
            self.assertEqual((answer.status, answer.header("Access-Control-Allow-Origin")), (200, "https://any.example"))


class Configuration(unittest.TestCase):
    def refusal(self, *rest, **more):
        status, text = refused(*rest, **more)
        self.assertEqual(status, 125, text)
        self.assertRegex(text, r"^stacyvm: [^\n]+\n$")
        return text

    def test_others_need_a_key(self):
        for host in ("0.0.0.0", "::", "127.example"):
            self.assertIn("auth.api_key", self.refusal(f"server:\n  host: '{host}'\n"))
        self.assertIn("auth.api_key", self.refusal(arguments=("--host", "0.0.0.0")))
        with Serving(KEYS, ("--host", "0.0.0.0")) as server:
            server.address = ("127.0.0.1", server.address[1])
            server.headers = [("X-API-Key", KEY)]
            self.assertEqual(server.ask("GET", LIST).status, 200)

    def test_errors_name_the_line_and_the_key(self):
        for port in ("0x1ED0", "+7", " 7", "7.0", "", "65536"):
            status, text = refused(arguments=("--port", port))
            self.assertEqual(status, 125, port)
            self.assertIn("--port", text)
        for config, words in (("server:\n  hots: a\n", "stacyvm.yaml:2: server.hots: no such key"), ("x: 1\n", "stacyvm.yaml:1: x: no such key"),
                              ("server:\n  max_connections: 0\n", "stacyvm.yaml:2: server.max_connections: "), ("server:\n\n  shutdown_timeout: soon\n", "stacyvm.yaml:3: server.shutdown_timeout: "),
                              ("server: [\n", "stacyvm.yaml:"), ("logging:\n  level: all\n", "stacyvm.yaml:2: logging.level: "), ("defaults:\n  vcpus: many\n", "stacyvm.yaml:2: defaults.vcpus: "),
                              ("server:\n  tls:\n    cert_file: /a\n", "server.tls"),
                              ("server:\n  tls: {cert_file: /none, key_file: /none}\n", "/none"), ("server:\n  host: 192.0.2.1\nauth: {api_key: a}\n", "192.0.2.1")):
            self.assertIn(words, self.refusal(config), config)
        self.assertIn("STACYVM_SERVER_PORT: server.port", self.refusal(environment={"STACYVM_SERVER_PORT": "x"}))
        self.assertIn("none.yaml", self.refusal(arguments=("--config", "none.yaml")))
        self.assertIn("--port", self.refusal(arguments=("--port", "65536")))

    def test_errors_do_not_tell_secrets(self):
        text = self.refusal("auth:\n  api_key: secret-word\nserver:\n  hots: a\n")
        self.assertNotIn("secret-word", text)

    def test_the_environment_goes_over_the_file(self):
        with Serving("auth:\n  api_key: file\n", environment={"STACYVM_AUTH_API_KEY": "environment", "STACYVM_AUTH_ADMIN_API_KEY": "", "STACYVM_URL": "x"}) as server:
            self.assertEqual(server.ask("GET", LIST, headers=[("X-API-Key", "file")]).status, 401)
            server.headers = [("X-API-Key", "environment")]
            self.assertEqual(server.ask("GET", LIST).status, 200)

    def test_two_servers_do_not_share_a_port_or_a_state(self):
        with Serving() as server:
            text = self.refusal(arguments=("--port", str(server.address[1])))
            self.assertIn(f"127.0.0.1:{server.address[1]}", text)
            self.assertIn(server.state, self.refusal(arguments=("--state-dir", server.state)))

    def test_what_the_library_refuses_names_the_key(self):
        for config, words in (("defaults:\n  ttl: soon\n", "defaults.ttl"), ("defaults:\n  memory_mb: 1\n", "defaults.memory_mb")):
            self.assertIn(words, self.refusal(config), config)

    def test_aliases_and_defaults_reach_the_sandbox(self):
        with Serving("defaults:\n  image: alpine:latest\n  memory_mb: 64\n  ttl: 5m\nimages:\n  aliases:\n    alpine:latest: host\n") as server:
            for body in (None, {}, {"image": "alpine:latest"}):
                answer = server.ask("POST", LIST, body)
                self.assertEqual((answer.status, answer.json()["memory_mb"]), (201, 64), answer)


if __name__ == "__main__":
    unittest.main(argv=arguments())
