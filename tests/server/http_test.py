"""stacyvm serve under clients that are malformed, hostile, slow or many. Arguments: see serving.py."""
import concurrent.futures
import json
import os
import re
import resource
import select
import socket
import time
import unittest

from serving import Serving, arguments, eventually
from wire import Closed, Events, WebSocket, Wire

LIST = "/api/v1/sandboxes"
HEAD_BYTES, FIELDS, FIELD_BYTES, TARGET_BYTES = 64 << 10, 100, 8_000, 8_000
JSON_BYTES, JSON_BODIES, SMALL_JSON_BYTES = 64 << 20, 512 << 20, 64 << 10
HEAD_SECONDS, SILENCE_SECONDS = 10, 10
REQUEST_ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")  # RFC 9562 version 4

server = None


def setUpModule():
    global server
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    server = Serving()


def tearDownModule():
    server.close()


def head_of(first="GET /api/v1/sandboxes HTTP/1.1", *fields, host="Host: localhost"):
    return "\r\n".join([first, *([host] if host else []), *fields, "", ""])


class Malformed(unittest.TestCase):
    def refuse(self, data, status):
        """It is answered with this status, in our form, and nothing that follows is read as a request."""
        data = data if isinstance(data, bytes) else data.encode("latin-1")
        with self.subTest(data[:120]), server.wire() as wire:
            wire.send(data + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = wire.answer()
            self.assertEqual(answer.status, status)
            self.assertEqual(set(answer.json()), {"code", "message", "request_id"})
            self.assertEqual(answer.header("Connection"), "close")
            self.assertRegex(answer.json()["request_id"], REQUEST_ID)
            self.assertEqual(answer.json()["request_id"], answer.header("X-Request-ID"))
            self.assertTrue(wire.is_closed())

    def test_bodies_of_two_lengths(self):
        post = f"POST {LIST} HTTP/1.1"
        body = "0\r\n\r\n"
        for fields in (["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"], ["Content-Length: 5", "Content-Length: 5"],
                       ["Content-Length: 5", "Content-Length: 6"], ["Content-Length: 5, 5"], ["Content-Length: +5"], ["Content-Length: -5"], ["Content-Length: 0x5"], ["Content-Length: 5 5"],
                       ["Content-Length:"], ["Content-Length: 18446744073709551621"], ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], ["content-length: 5", "CONTENT-LENGTH: 5"]):
            self.refuse(head_of(post, *fields) + body, 400)
        for coding in ("identity", "gzip, chunked", "chunked, identity", "xchunked", "chunked, chunked", "chunked;q=1"):
            self.refuse(head_of(post, f"Transfer-Encoding: {coding}") + body, 501)
        self.refuse(head_of(f"POST {LIST} HTTP/1.0", "Transfer-Encoding: chunked") + body, 400)

    def test_chunks(self):
        post = head_of(f"POST {LIST} HTTP/1.1", "Transfer-Encoding: chunked")
        for chunks in ("g\r\n", "-1\r\n{\r\n", "+1\r\n{\r\n", "0x2\r\n{}\r\n0\r\n\r\n", " 2\r\n{}\r\n0\r\n\r\n", "2 \r\n{}\r\n0\r\n\r\n", "2\n{}\n0\n\n", "2\r\n{}0\r\n\r\n", "2\r\n{}\n0\r\n\r\n",
                       "\r\n", ";x\r\n", "10000000000000002\r\n{}\r\n0\r\n\r\n", "0000000000000000000002\r\n{}\r\n0\r\n\r\n", "2;\x00\r\n{}\r\n0\r\n\r\n", "2\r\n{}\r\n0\r\nA: b\n\r\n\r\n",
                       "0;" + "x" * 5000 + "\r\n\r\n", "0\r\n" + "A: b\r\n" * 1100 + "\r\n"):
            self.refuse(post + chunks, 400)

    def test_heads(self):
        for head in (head_of(f"GET {LIST} HTTP/1.1", "A : b"), head_of(f"GET {LIST} HTTP/1.1", " A: b"), head_of(f"GET {LIST} HTTP/1.1", "A: b", " folded"),
                     head_of(f"GET {LIST} HTTP/1.1", "A: b\nC: d"), head_of(f"GET {LIST} HTTP/1.1", "A: b\rC: d"), head_of(f"GET {LIST} HTTP/1.1", "A: \x00"), head_of(f"GET {LIST} HTTP/1.1", "A"),
                     head_of(f"GET {LIST} HTTP/1.1", ": b"), head_of(f"GET {LIST}\r HTTP/1.1"), head_of(f"GET {LIST}\n HTTP/1.1"), head_of(f"GET {LIST}\x00 HTTP/1.1"), head_of(f"GET {LIST} x HTTP/1.1"),
                     head_of(f"GET  {LIST} HTTP/1.1"), head_of(f"GET {LIST}"), head_of(f"GET\t{LIST}\tHTTP/1.1"), head_of(f"GET http://localhost{LIST} HTTP/1.1"), head_of("GET localhost HTTP/1.1"),
                     head_of(f"GET {LIST}\xe9 HTTP/1.1"), head_of(host=None), head_of(f"GET {LIST} HTTP/1.1", "Host: other"), head_of(f"GET {LIST} HTTP/1.1", "Upgrade: h2c"),
                     head_of(f"GET {LIST} HTTP/1.1", "Content-Length: 2") + "{}", head_of(f"GET {LIST} HTTP/1.1", "Transfer-Encoding: chunked") + "0\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"):
            self.refuse(head, 400)
        self.refuse(head_of(f"GET {LIST} HTTP/2.0"), 505)
        for method in ("get", "TRACE", "CONNECT", "PROPFIND"):
            self.refuse(head_of(f"{method} {LIST} HTTP/1.1"), 405)

    def test_lines_that_end_in_lf_alone_are_none(self):
        with server.wire() as wire:
            wire.send(f"GET {LIST} HTTP/1.1\nHost: localhost\n\n")
            wire.socket.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                wire.answer()

    def test_paths_and_queries(self):
        for target in (f"{LIST}/a%00b", f"{LIST}/%zz", f"{LIST}/%", f"{LIST}/a/files?path=%00", f"{LIST}/a/files?path=%2", f"{LIST}/a/files?%00=a"):
            answer = server.ask("GET", target)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "BAD_REQUEST"), target)


class Limits(unittest.TestCase):
    def status(self, data):
        with server.wire() as wire:
            wire.send(data)
            return wire.answer().status

    def test_target(self):
        for size, status in ((TARGET_BYTES, 200), (TARGET_BYTES + 1, 414)):
            target = f"{LIST}?a=".ljust(size, "x")
            self.assertEqual(self.status(head_of(f"GET {target} HTTP/1.1")), status, size)

    def test_field(self):
        for size, status in ((FIELD_BYTES, 200), (FIELD_BYTES + 1, 431)):
            self.assertEqual(self.status(head_of(f"GET {LIST} HTTP/1.1", "A: ".ljust(size, "x"))), status, size)

    def test_fields(self):
        for count, status in ((FIELDS, 200), (FIELDS + 1, 431)):
            self.assertEqual(self.status(head_of(f"GET {LIST} HTTP/1.1", *["A: b"] * (count - 1))), status, count)

    def test_head(self):
        for size, status in ((HEAD_BYTES, 200), (HEAD_BYTES + 1, 431)):
            fields = ["A: ".ljust(FIELD_BYTES, "x")] * 8
            rest = size - len(head_of(f"GET {LIST} HTTP/1.1", *fields, "B: "))
            self.assertEqual(self.status(head_of(f"GET {LIST} HTTP/1.1", *fields, "B: " + "x" * rest)), status, size)

    def test_json_body(self):
        for size, statuses in ((JSON_BYTES, {201}), (JSON_BYTES + 1, {413})):
            for chunked in (False, True):
                with self.subTest(size=size, chunked=chunked), server.wire(60) as wire:
                    body = b'{"image":"host"}'.ljust(size)
                    if chunked:
                        wire.send(head_of(f"POST {LIST} HTTP/1.1", "Transfer-Encoding: chunked").encode() + b"%x\r\n" % size + body + b"\r\n0\r\n\r\n")
                    else:
                        wire.request("POST", LIST, body)
                    answer = wire.answer()
                    self.assertIn(answer.status, statuses)
                    if answer.status == 413:
                        self.assertIn("64 MiB", answer.json()["message"])

    def test_large_bodies_at_a_time(self):
        """Together they have room, and small ones always have."""
        begun = []
        self.addCleanup(lambda: [wire.close() for wire in begun])
        for _ in range(JSON_BODIES // JSON_BYTES + 1):
            begun.append(server.wire(60))
            begun[-1].send(head_of(f"POST {LIST}/none/exec HTTP/1.1", f"Content-Length: {JSON_BYTES}"))
            begun[-1].send(bytes(JSON_BYTES - 1))
        refused, _, _ = select.select([wire.socket for wire in begun], [], [], 60)
        self.assertTrue(refused)
        answer = next(wire for wire in begun if wire.socket is refused[0]).answer()
        self.assertEqual((answer.status, answer.json()["code"], answer.header("Retry-After")), (503, "UNAVAILABLE", "1"))

        def ask(size):
            with server.wire(60) as wire:
                wire.request("POST", f"{LIST}/none/exec", b"{}".ljust(size))
                return wire.answer().status

        self.assertEqual(ask(SMALL_JSON_BYTES), 400)
        for wire in begun:
            wire.close()
        self.assertTrue(eventually(lambda: ask(JSON_BYTES) == 400))

    def test_a_further_connection_takes_the_place_of_an_idle_one_of_its_address(self):
        with Serving("server:\n  max_connections_per_address: 3\n") as small:
            wires = [small.wire() for _ in range(3)]
            self.addCleanup(lambda: [wire.close() for wire in wires])
            for wire in wires:
                self.assertEqual(wire.ask("GET", LIST).status, 200)
            self.assertTrue(eventually(lambda: small.ask("GET", LIST).status == 200))
            self.assertTrue(wires[0].is_closed(), "it is idle longest")

    def test_a_body_that_is_much_too_large_is_answered_before_it_has_come(self):
        with server.wire() as wire:
            wire.send(head_of(f"POST {LIST} HTTP/1.1", f"Content-Length: {100 << 30}"))
            piece = b" " * (1 << 20)
            for _ in range(100):
                wire.send(piece)
            self.assertEqual(wire.answer().status, 413)
            self.assertTrue(wire.is_closed())
            end = time.monotonic() + 10
            with self.assertRaises(OSError, msg="it is read over for ever"):
                while time.monotonic() < end:
                    wire.send(piece)

    def test_connections(self):
        config = "server:\n  max_connections: 6\n  max_connections_per_address: 4\n"
        made_wires = []
        with Serving(config) as small:
            def connect(source):
                made = Wire.__new__(Wire)
                made.socket = socket.create_connection(small.address, timeout=30, source_address=(source, 0))
                made.host, made.buffer = "localhost", b""
                made_wires.append(made)
                return made

            def busy(source):
                """A connection that is none of the idle ones: it is being answered."""
                made = connect(source)
                self.assertEqual(Events(made, "/api/v1/events").answer.status, 200)
                return made

            def refusal(source):
                wire = connect(source)
                answer = wire.answer()
                self.assertEqual((answer.status, answer.json()["code"]), (503, "UNAVAILABLE"))
                self.assertTrue(wire.is_closed())
                return answer.json()["message"]

            for _ in range(4):
                busy("127.0.0.1")
            self.assertIn("this address", refusal("127.0.0.1"))
            idle = connect("127.0.0.2")
            self.assertEqual(idle.ask("GET", LIST).status, 200)
            busy("127.0.0.3")
            # Six: a further one takes the place of the one that is idle, as soon as it is.
            last = []
            self.assertTrue(eventually(lambda: last.append(connect("127.0.0.4")) or last[-1].ask("GET", LIST).status == 200))
            self.assertTrue(idle.is_closed())
            last[-1].request("GET", "/api/v1/events")
            self.assertEqual(last[-1].head().status, 200)
            # None is idle now.
            self.assertNotIn("this address", refusal("127.0.0.5"))
            for wire in made_wires:
                wire.close()
            self.assertTrue(eventually(lambda: small.ask("GET", LIST).status == 200))


class Connections(unittest.TestCase):
    def test_requests_that_come_together_are_answered_in_order(self):
        with server.wire() as wire:
            for number in range(100):
                wire.request("GET", LIST if number % 3 else "/none", headers=[("X-Request-ID", f"r{number}")])
            for number in range(100):
                answer = wire.answer()
                self.assertEqual((answer.status, answer.header("X-Request-ID")), (200 if number % 3 else 404, f"r{number}"))

    def test_a_request_in_single_bytes(self):
        with server.wire() as wire:
            for byte in head_of(f"POST {LIST}/none/exec HTTP/1.1", "Transfer-Encoding: chunked").encode() + b"2\r\n{}\r\n0\r\n\r\n":
                wire.send(bytes([byte]))
            self.assertEqual(wire.answer().status, 400)
            self.assertEqual(wire.ask("GET", LIST).status, 200)

    def test_a_body_that_nobody_wanted_is_not_the_next_request(self):
        inner = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for method, target, status in (("POST", "/none", 404), ("PUT", LIST, 405), ("DELETE", LIST, 400)):
            with self.subTest(target=target), server.wire() as wire:
                wire.request(method, target, inner)
                wire.request("GET", LIST, headers=[("X-Request-ID", "next")])
                self.assertEqual(wire.answer().status, status)
                try:
                    self.assertEqual(wire.answer().header("X-Request-ID"), "next")
                except Closed:
                    pass  # as good: nothing of it was read as a request

    def test_a_client_may_wait_before_it_sends_its_body(self):
        with server.wire() as wire:
            wire.send(head_of(f"POST {LIST}/none/exec HTTP/1.1", "Expect: 100-continue", "Content-Length: 2"))
            self.assertEqual(wire.head().status, 100)
            wire.send("{}")
            self.assertEqual(wire.answer().status, 400)
            self.assertEqual(wire.ask("GET", LIST).status, 200)

    def test_nobody_is_asked_for_a_body_that_is_not_wanted(self):
        for line, *fields in (("POST /none HTTP/1.1", "Content-Length: 2"), (f"POST {LIST}/none/exec HTTP/1.0", "Content-Length: 2"), (f"GET {LIST} HTTP/1.1",)):
            with self.subTest(line), server.wire() as wire:
                wire.send(head_of(line, "Expect: 100-continue", *fields) + ("{}" if "1.0" in line else ""))
                self.assertIn(wire.answer().status, (200, 400, 404))

    def test_a_client_that_sends_on_reads_why_it_is_not_heard(self):
        """It is not reset while it sends: it may look for an answer only afterwards."""
        size = 16 << 20
        for line, status in ((f"PUT {LIST}/none/files?path=/workspace/a HTTP/1.1", 404), (f"PUT {LIST} HTTP/1.1", 405), (f"GET {LIST} HTTP/1.1", 400)):
            with self.subTest(line), server.wire() as wire:
                wire.send(head_of(line, f"Content-Length: {size}"))
                wire.send(bytes(size))
                self.assertEqual(wire.answer().status, status)
                self.assertTrue(wire.is_closed())

    def test_connections_end_when_the_client_says_so(self):
        for version, *fields in (("HTTP/1.1", "Connection: close"), ("HTTP/1.1", "Connection: x, Close"), ("HTTP/1.1", "Connection: keep-alive", "Connection: close"), ("HTTP/1.0", "A: b")):
            with self.subTest(version=version, fields=fields), server.wire() as wire:
                wire.send(head_of(f"GET {LIST} {version}", *fields))
                answer = wire.answer()
                self.assertEqual((answer.status, answer.header("Connection")), (200, "close"))
                self.assertTrue(wire.is_closed())

    def test_empty_lines_before_a_request(self):
        with server.wire() as wire:
            wire.send("\r\n\r\n" + head_of())
            self.assertEqual(wire.answer().status, 200)

    def test_a_client_that_shuts_its_side_down_is_answered(self):
        with server.wire() as wire:
            wire.send(head_of())
            wire.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.answer().status, 200)

    def test_clients_that_go_at_any_moment_cost_nothing(self):
        whole = head_of(f"POST {LIST}/none/exec HTTP/1.1", "Content-Length: 2").encode() + b"{}"
        before = server.descriptors()
        for end in range(0, len(whole), 3):
            with server.wire() as wire:
                wire.send(whole[:end])
                if end % 2:
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        self.assertTrue(eventually(lambda: server.descriptors() <= before), (before, server.descriptors()))


class Fields(unittest.TestCase):
    """What a field says is what its bytes say, and one that means nothing here changes nothing."""

    def test_values_are_not_percent_decoded(self):
        with server.wire() as wire:
            answer = wire.ask("GET", LIST, headers=["Connection: %63lose", "X-Request-ID: a%41%0d%0a"])
            self.assertEqual((answer.header("Connection"), answer.header("X-Request-ID")), ("keep-alive", "a%41%0d%0a"))

    def test_one_that_is_there_twice_is_neither(self):
        answer = server.ask("GET", LIST, headers=["X-Request-ID: a", "X-Request-ID: b"])
        self.assertNotIn(answer.header("X-Request-ID"), ("a", "b"))

    def test_what_a_client_would_like_best_is_no_reason_to_refuse_it(self):
        for field in ("Accept: ;;;", "Accept: a/b;q=2", "Accept: */*;q=abc", "Range: lines=1-2", "Range: bytes=x", "Range: bytes=-0", "Expect: something"):
            self.assertEqual(server.ask("GET", LIST, headers=[field]).status, 200, field)

    def test_an_old_client_gets_no_chunks(self):
        with server.wire() as wire:
            wire.send(head_of("GET /api/v1/events HTTP/1.0"))
            answer = wire.head()
            self.assertEqual((answer.status, answer.header("Transfer-Encoding"), answer.header("Connection")), (200, None, "close"))
            self.assertEqual(wire.until(b"\n\n"), b": connected")

    def test_an_upgrade_that_is_none_is_told_what_would_be_one(self):
        fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
        for line, version in (("HTTP/1.1", "8"), ("HTTP/1.0", "13")):  # for HTTP/1.0 there are no upgrades
            with self.subTest(line), server.wire() as wire:
                wire.send(head_of(f"GET {LIST}/none/exec/ws {line}", *fields, f"Sec-WebSocket-Version: {version}"))
                answer = wire.answer()
                self.assertEqual((answer.status, answer.header("Upgrade"), answer.header("Sec-WebSocket-Version")), (426, "websocket", "13"))
                self.assertIn("Upgrade", answer.header("Connection"))


class Answers(unittest.TestCase):
    def test_head_is_get_without_the_body(self):
        with server.wire() as wire:
            got = wire.ask("GET", LIST)
            self.assertEqual(got.body, b"[]\n" if got.body == b"[]\n" else json.dumps(got.json(), separators=(",", ":")).encode() + b"\n")
            head = wire.ask("HEAD", LIST)
            self.assertEqual((head.status, head.header("Content-Length"), head.header("Content-Type")), (200, str(len(got.body)), "application/json"))
            self.assertEqual(wire.ask("HEAD", "/none").status, 404)
            # What has no end has none of its own either.
            self.assertEqual(wire.ask("HEAD", "/api/v1/events").status, 200)
            self.assertEqual(wire.ask("GET", LIST).status, 200)

    def test_methods_that_a_path_does_not_have(self):
        answer = server.ask("PATCH", LIST)
        self.assertEqual((answer.status, answer.header("Allow")), (405, "POST, GET, HEAD, DELETE, OPTIONS"))
        self.assertEqual(set(answer.json()), {"code", "message", "request_id"})
        answer = server.ask("HEAD", f"{LIST}/sb-1/exec")
        self.assertEqual((answer.status, answer.header("Allow")), (405, "POST, OPTIONS"))

    def test_what_is_not_there(self):
        for target in ("/none", "/", f"{LIST}/sb-1/none", f"{LIST}//", "/api/v2/sandboxes"):
            answer = server.ask("GET", target)
            self.assertEqual((answer.status, answer.json()["code"]), (404, "NOT_FOUND"), target)
        self.assertEqual(server.ask("GET", f"{LIST}/").status, 200)

    def test_request_ids(self):
        for given in ("abc-1", "x" * 128, "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"):
            answer = server.ask("GET", "/none", headers=[("X-Request-ID", given)])
            self.assertEqual((answer.header("X-Request-ID"), answer.json()["request_id"]), (given, given))
        seen = set()
        for given in (None, "", "a b", "x" * 129, "a\xe9", "a\tb"):
            answer = server.ask("GET", "/none", headers=[("X-Request-ID", given)] if given is not None else [])
            self.assertRegex(answer.header("X-Request-ID"), REQUEST_ID)
            self.assertEqual(answer.json()["request_id"], answer.header("X-Request-ID"))
            seen.add(answer.header("X-Request-ID"))
        self.assertEqual(len(seen), 6)

    def test_errors_have_one_form(self):
        for method, target, body, status, code in (("GET", f"{LIST}/sb-1", None, 404, "NOT_FOUND"), ("POST", LIST, b"{", 400, "BAD_REQUEST"), ("POST", LIST, b"[]", 400, "BAD_REQUEST"),
                                                   ("POST", LIST, {"ttl": "soon"}, 400, "BAD_REQUEST"), ("POST", LIST, {"memory_mb": -1}, 400, "BAD_REQUEST"),
                                                   ("POST", LIST, {"image": "none"}, 422, "UNSUPPORTED"), ("POST", LIST, {"image": "/etc"}, 403, "FORBIDDEN"), ("GET", f"{LIST}/sb-1/exec/ws", None, 426, "BAD_REQUEST")):
            with self.subTest(target=target, body=body):
                answer = server.ask(method, target, body)
                self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer)
                self.assertEqual(set(answer.json()) - {"details"}, {"code", "message", "request_id"})
                self.assertIsInstance(answer.json().get("details", {}), dict)
                self.assertEqual(answer.header("Content-Type"), "application/json")
                self.assertTrue(answer.body.endswith(b"}\n"))

    def test_every_answer_says_what_it_is_not(self):
        for target in (LIST, "/none"):
            answer = server.ask("GET", target)
            self.assertEqual((answer.header("X-Content-Type-Options"), answer.header("Cache-Control")), ("nosniff", "no-store"))


class Log(unittest.TestCase):
    STAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "

    def line(self, server, words):
        """The one line of the log with these words: it is written after the answer."""
        eventually(lambda: any(words in line for line in server.log))
        found = [line for line in server.log if words in line]
        self.assertEqual(len(found), 1, server.log)
        return found[0]

    def test_every_request_has_a_line_at_debug(self):
        with Serving("logging:\n  level: debug\n") as server:
            sandbox = server.spawn()
            server.ask("GET", "/api/v1/health?token=secret-1", headers=[("X-Request-ID", "log-1"), ("X-API-Key", "secret-2")])
            self.assertRegex(self.line(server, "log-1"), self.STAMP + r"debug GET /api/v1/health 200 \d+\.\d{3}ms 127\.0\.0\.1 log-1\n$")
            server.ask("GET", f"{LIST}/sb-1", headers=[("X-Request-ID", "log-2")])
            self.assertRegex(self.line(server, "log-2"), self.STAMP + rf"debug GET {LIST}/sb-1 404 \d+\.\d{{3}}ms 127\.0\.0\.1 log-2\n$")
            with server.wire() as wire:
                wire.send("GET / HTTP/1.1\r\n\r\n")
                id_ = wire.answer().header("X-Request-ID")
            self.assertRegex(self.line(server, id_), self.STAMP + rf"debug - - 400 0\.000ms 127\.0\.0\.1 {id_}\n$")
            with server.wire() as wire:
                socket_ = WebSocket(wire, f"{sandbox.path}/exec/ws", ["X-Request-ID: log-3"])
                socket_.say(type="start", command="cat")
                socket_.say(type="stdin", data="secret-3", eof=True)
                socket_.rest()
            self.assertRegex(self.line(server, "log-3"), self.STAMP + rf"debug GET {sandbox.path}/exec/ws 101 \d+\.\d{{3}}ms 127\.0\.0\.1 log-3\n$")
        self.assertNotIn("secret", "".join(server.log))

    def test_else_none_that_was_served(self):
        with Serving() as server:
            self.assertEqual(server.ask("GET", "/api/v1/health").status, 200)
            self.assertEqual(server.ask("GET", "/none").status, 404)
        self.assertEqual(len(server.log), 1, server.log)  # where it listens


class Slow(unittest.TestCase):
    """Each takes its ten seconds: all at once."""

    def trickled_head(self):
        with server.wire(HEAD_SECONDS * 2) as wire:
            start = time.monotonic()
            wire.socket.settimeout(0.5)
            wire.send("GET ")
            while True:
                try:
                    answer = wire.answer()
                    break
                except TimeoutError:
                    wire.send("x")
                self.assertLess(time.monotonic() - start, HEAD_SECONDS + 5)
            took = time.monotonic() - start
            self.assertEqual((answer.status, answer.json()["code"]), (408, "TIMEOUT"))
            self.assertGreater(took, HEAD_SECONDS - 0.5)
            self.assertLess(took, HEAD_SECONDS + 2)
            self.assertTrue(wire.is_closed())

    def silent_head(self):
        with server.wire(HEAD_SECONDS * 2) as wire:
            self.assertEqual(wire.ask("GET", LIST).status, 200)
            wire.send("GET ")
            start = time.monotonic()
            self.assertEqual(wire.answer().status, 408)
            self.assertLess(time.monotonic() - start, HEAD_SECONDS + 2)

    def trickled_body(self):
        """Slow, and never silent: it has its time."""
        with server.wire(HEAD_SECONDS * 3) as wire:
            body = b'{"ttl": "x"}'
            wire.send(head_of(f"POST {LIST} HTTP/1.1", f"Content-Length: {len(body)}"))
            for byte in body:
                wire.send(bytes([byte]))
                time.sleep(1)
            self.assertEqual(wire.answer().status, 400)

    def silent_events(self):
        with server.wire(SILENCE_SECONDS * 2) as wire:
            events = Events(wire, "/api/v1/events")
            start = time.monotonic()
            while "keep-alive" not in [line for line in (next(events.lines).decode().removeprefix(": ") for _ in range(2))]:
                self.assertLess(time.monotonic() - start, SILENCE_SECONDS + 5)

    def silent_command(self):
        sandbox = server.spawn()
        with server.wire(SILENCE_SECONDS * 2) as wire:
            wire.request("POST", f"{sandbox.path}/exec", {"command": f"echo a; sleep {SILENCE_SECONDS + 3}; echo b", "stream": True})
            self.assertEqual(wire.head().status, 200)
            lines = list(wire.lines())
        self.assertEqual([json.loads(line)["data"] for line in lines if line], ["a\n", "b\n", ""])
        self.assertEqual(lines[1], b"", "no sign of life within ten seconds")

    def test_all(self):
        scenarios = [self.trickled_head, self.silent_head, self.trickled_body, self.silent_events, self.silent_command]
        with concurrent.futures.ThreadPoolExecutor(len(scenarios)) as pool:
            for scenario, future in [(scenario, pool.submit(scenario)) for scenario in scenarios]:
                with self.subTest(scenario.__name__):
                    future.result()


class Many(unittest.TestCase):
    def fresh(self):
        """Seconds that one request takes on a connection of its own."""
        start = time.monotonic()
        self.assertEqual(server.ask("GET", LIST).status, 200)
        return time.monotonic() - start

    def test_400_idle_connections_cost_nothing(self):
        wires = [server.wire() for _ in range(400)]
        try:
            for wire in wires:
                self.assertEqual(wire.ask("GET", LIST).status, 200)
            before, start = server.cpu_seconds(), time.monotonic()
            time.sleep(3)
            used = (server.cpu_seconds() - before) / (time.monotonic() - start)
            self.assertLess(used, 0.01 + 1 / os.sysconf("SC_CLK_TCK") / 3)  # a tick is what can be measured
            self.assertLess(self.fresh(), 0.5)
            self.assertEqual(wires[0].ask("GET", LIST).status, 200)
        finally:
            for wire in wires:
                wire.close()

    def test_64_open_streams_leave_room_for_others(self):
        wires = [server.wire() for _ in range(64)]
        try:
            for wire in wires:
                self.assertEqual(Events(wire, "/api/v1/events").answer.status, 200)
            self.assertLess(min(self.fresh() for _ in range(5)), 0.1)
        finally:
            for wire in wires:
                wire.close()

    def test_without_descriptors_it_waits_and_goes_on(self):
        with Serving(prefix=("sh", "-c", 'ulimit -Hn 48; ulimit -Sn 48; exec "$0" "$@"')) as few:
            self.assertEqual(few.ask("GET", LIST).status, 200)
            wires = []
            for _ in range(100):
                wire = few.wire(2)
                wire.send("GET ")  # not idle: nobody's place to take
                wires.append(wire)
            before, start = few.cpu_seconds(), time.monotonic()
            time.sleep(1)
            self.assertLess((few.cpu_seconds() - before) / (time.monotonic() - start), 0.1)
            for wire in wires:
                wire.close()
            self.assertTrue(eventually(lambda: few.ask("GET", LIST).status == 200))
            with few.wire() as wire:
                self.assertEqual(wire.ask("POST", LIST, {"image": "host"}).status, 201)

    def test_without_descriptors_idle_connections_make_room(self):
        with Serving(prefix=("sh", "-c", 'ulimit -Hn 48; ulimit -Sn 48; exec "$0" "$@"')) as few:
            wires = []
            for _ in range(100):
                wires.append(few.wire())
                self.assertEqual(wires[-1].ask("GET", LIST).status, 200)
            for wire in wires:
                wire.close()


if __name__ == "__main__":
    unittest.main(argv=arguments())
