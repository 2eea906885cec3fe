"""A server's sandboxes through the library: the same handles, over HTTP. What every provider must do is asked of them (tests/contract), over TLS and with a key;
then what only a server can do wrong. Arguments: EXECUTABLE LIBRARY CONTRACT, the last one being that test."""
import ctypes
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from serving import EXECUTABLE, LIBRARY, Serving, eventually
from tls_test import make_certificate

CONTRACT = os.path.abspath(sys.argv.pop(3))
KEY = "the-key-of-the-test"
OK, INVALID, UNAUTHORIZED, NOT_FOUND, TIMEOUT, CANCELLED, UNAVAILABLE, UNSUPPORTED, CLOSED, AGAIN, END, IO = 0, -1, -2, -4, -7, -8, -9, -10, -11, -13, -14, -15
# Whole files of cases; then those that need what a server's client has not: paths of its host, a server of its own, or what came before on a connection.
FILES = ("background", "events", "exec", "files", "lifecycle", "ports", "sandbox", "system", "templates", "terminal", "trees")
NOT_OVER_HTTP = ("*every bound of a spawn*", "*an upload goes on in a next stream*", "*killed for want of memory*")


class Remote:
    """As much of stacyvm.h as these cases need."""

    class Options(ctypes.Structure):
        _fields_ = [("struct_size", ctypes.c_uint32), ("reserved0", ctypes.c_uint32), ("state_dir", ctypes.c_char_p), ("flags", ctypes.c_uint64), ("log_fd_plus1", ctypes.c_int32),
                    ("log_level", ctypes.c_uint32), ("settings", ctypes.c_char_p)]

    class SessionOptions(ctypes.Structure):
        _fields_ = [("struct_size", ctypes.c_uint32), ("reserved0", ctypes.c_uint32), ("source", ctypes.c_char_p), ("request_id", ctypes.c_char_p), ("flags", ctypes.c_uint64),
                    ("actor", ctypes.c_char_p), ("owner", ctypes.c_char_p), ("api_key", ctypes.c_char_p)]

    class Chunk(ctypes.Structure):
        _fields_ = [("struct_size", ctypes.c_uint32), ("kind", ctypes.c_int32), ("data", ctypes.c_void_p), ("size", ctypes.c_uint64), ("position", ctypes.c_int64), ("exit_code", ctypes.c_int32),
                    ("signal", ctypes.c_int32), ("more", ctypes.c_uint64)]

    class Failed(Exception):
        def __init__(self, code, message, details):
            super().__init__(f"{code}: {message}")
            self.code, self.message, self.details = code, message, details

    lib = ctypes.CDLL(LIBRARY)
    for name in ("stacyvm_error_message", "stacyvm_error_details"):
        getattr(lib, name).restype = ctypes.c_char_p
        getattr(lib, name).argtypes = [ctypes.c_void_p]

    @classmethod
    def do(cls, function, *arguments):
        error = ctypes.c_void_p()
        code = getattr(cls.lib, function)(*arguments, ctypes.byref(error))
        if code in (OK, AGAIN, END):
            return code
        message, details = cls.lib.stacyvm_error_message(error).decode(), json.loads(cls.lib.stacyvm_error_details(error))
        cls.lib.stacyvm_error_free(error)
        raise cls.Failed(code, message, details)

    def __init__(self, address, key=None, settings=None, **session):
        self.vm, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = self.Options(ctypes.sizeof(self.Options), state_dir=address.encode(), settings=json.dumps(settings).encode() if settings else None)
        self.do("stacyvm_open", ctypes.byref(options), ctypes.byref(self.vm))
        who = self.SessionOptions(ctypes.sizeof(self.SessionOptions), api_key=key.encode() if key else None, **{name: text.encode() for name, text in session.items()})
        self.do("stacyvm_session_open", self.vm, ctypes.byref(who), ctypes.byref(self.session))

    def close(self):
        self.lib.stacyvm_session_close(self.session)
        self.lib.stacyvm_close(self.vm)

    def call(self, operation, **body):
        out, text = ctypes.c_void_p(), json.dumps(body).encode()
        self.do("stacyvm_call", self.session, operation.encode(), None, ctypes.c_uint32(0), text, ctypes.c_uint64(len(text)), ctypes.byref(out))
        answer = json.loads(ctypes.string_at(out))
        self.lib.stacyvm_free(out)
        return answer

    def begin(self, operation, **body):
        op, text = ctypes.c_void_p(), json.dumps(body).encode()
        self.do("stacyvm_call_begin", self.session, operation.encode(), None, ctypes.c_uint32(0), text, ctypes.c_uint64(len(text)), ctypes.byref(op))
        return op

    def stream(self, operation, **body):
        out, text = ctypes.c_void_p(), json.dumps(body).encode()
        self.do("stacyvm_call_stream", self.session, operation.encode(), None, ctypes.c_uint32(0), text, ctypes.c_uint64(len(text)), ctypes.byref(out))
        return out

    def read(self, stream, timeout=20_000):
        """The next chunk's bytes; None at the end."""
        chunk = self.Chunk(48)
        code = self.do("stacyvm_stream_next", stream, ctypes.c_int64(timeout), ctypes.byref(chunk))
        if code == AGAIN:
            raise TimeoutError("nothing comes")
        return None if code == END else ctypes.string_at(chunk.data, chunk.size)

    def write(self, stream, data):
        taken = ctypes.c_uint64()
        code = self.do("stacyvm_stream_write", stream, data, ctypes.c_uint64(len(data)), ctypes.c_int64(0), ctypes.byref(taken))
        return taken.value if code == OK else 0


def failure(action):
    try:
        action()
    except Remote.Failed as failed:
        return failed
    raise AssertionError("it went well")


def contract(*arguments):
    done = subprocess.run([CONTRACT, "--provider=native", "-sf=" + ",".join(f"*{name}_test.cpp" for name in FILES), "-tce=" + ",".join(NOT_OVER_HTTP), *arguments],
                          capture_output=True, text=True, errors="replace", timeout=280)
    if done.returncode != 0 or "0 failed" not in done.stdout:
        raise AssertionError(done.stdout[-8000:] + done.stderr[-2000:])


class TheSameHandles(unittest.TestCase):
    def test_over_http(self):
        server = Serving()
        try:
            contract(f"--server=http://127.0.0.1:{server.address[1]}")
        finally:
            server.close()

    def test_over_tls_with_a_key(self):
        directory = tempfile.mkdtemp(prefix="stacyvm-remote-")
        certificate, key = make_certificate(directory, "server")
        server = Serving(f"server:\n  tls:\n    cert_file: {certificate}\n    key_file: {key}\nauth:\n  api_key: {KEY}\n", tls=ssl.create_default_context(cafile=certificate))
        try:
            server.headers = [("X-API-Key", KEY)]
            address, settings = f"https://localhost:{server.address[1]}", {"remote": {"ca_file": certificate}}
            contract(f"--server={address}", f"--ca-file={certificate}", f"--api-key={KEY}", "-sf=*exec_test.cpp,*terminal_test.cpp,*trees_test.cpp")
            remote = Remote(address, KEY, settings, owner="somebody", request_id="r-1")
            self.assertEqual(remote.call("sandbox.spawn")["owner_id"], "somebody")
            remote.close()
            for wrong in (None, KEY + "x"):
                remote = Remote(address, wrong, settings)
                self.assertEqual(failure(lambda: remote.call("sandbox.list")).code, UNAUTHORIZED)
                self.assertEqual(failure(lambda: remote.stream("event.follow")).code, UNAUTHORIZED)
                remote.close()
            # Whoever it is, it is not who the certificates that we trust speak of.
            for untrusting in (Remote(address, KEY), Remote(address, KEY, {"remote": {"ca_file": make_certificate(directory, "other")[0]}})):
                for failed in (failure(lambda: untrusting.call("sandbox.list")), failure(lambda: untrusting.stream("event.follow"))):
                    self.assertEqual(failed.code, UNAVAILABLE)
                    self.assertIn("certificate", failed.message)
                    self.assertNotIn(KEY, failed.message)
                untrusting.close()
        finally:
            server.close()
            shutil.rmtree(directory)


class WhatIsRefused(unittest.TestCase):
    """Before anything is sent."""

    def test_addresses_and_options(self):
        for address, code in (("ftp://a", UNSUPPORTED), ("http://", INVALID), ("http://a?b", INVALID), ("http://u:p@a", INVALID)):
            failed = failure(lambda: Remote(address))
            self.assertEqual((failed.code, failed.details["field"]), (code, "state_dir"), address)
        for settings in ({"defaults": {"ttl": "1h"}}, {"images": {"aliases": {"a": "host"}}}, {"remote": {"ca_file": "relative"}}, {"remote": {"connect_timeout": "-1s"}}, {"remote": {"connect_timeout": "601s"}},
                         {"remote": {"other": 1}}):
            self.assertEqual(failure(lambda: Remote("http://127.0.0.1:1", settings=settings)).code, INVALID, settings)
        for field, text in (("api_key", "a b"), ("api_key", "x" * 4097), ("request_id", "a b"), ("request_id", "x" * 129), ("source", "1.2.3.4"), ("actor", "me")):
            failed = failure(lambda: Remote("http://127.0.0.1:1", text if field == "api_key" else None, **({} if field == "api_key" else {field: text})))
            self.assertEqual((failed.code, failed.details["field"]), (INVALID, field), field)
        Remote("http://127.0.0.1:1", "x" * 4096, request_id="x" * 128).close()

    def test_a_key_is_for_a_server(self):
        directory = tempfile.mkdtemp(prefix="stacyvm-remote-")
        self.assertEqual(failure(lambda: Remote(directory, KEY)).code, UNSUPPORTED)
        self.assertEqual(failure(lambda: Remote(directory, settings={"remote": {"ca_file": "/x"}})).code, INVALID)
        shutil.rmtree(directory)


class OneServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Serving()
        cls.remote = Remote(f"http://127.0.0.1:{cls.server.address[1]}")

    @classmethod
    def tearDownClass(cls):
        cls.remote.close()
        cls.server.close()

    def test_operations_that_there_are_not(self):
        self.assertEqual(failure(lambda: self.remote.call("no.such")).code, NOT_FOUND)
        self.assertEqual(failure(lambda: self.remote.call("../sandboxes")).code, NOT_FOUND)
        self.assertEqual(failure(lambda: self.remote.stream("no.such")).code, NOT_FOUND)
        self.assertEqual(failure(lambda: self.remote.stream("sandbox.list")).code, INVALID)
        self.assertEqual(failure(lambda: self.remote.call("event.follow")).code, INVALID)

    def test_a_cancelled_call_ends_here_and_there(self):
        sandbox = self.remote.call("sandbox.spawn")["id"]
        op = self.remote.begin("exec.run", id=sandbox, command="exec sleep 12371")
        running = lambda: "sleep 12371" in json.dumps(self.remote.call("exec.processes", id=sandbox))
        self.assertTrue(eventually(running))
        start = time.monotonic()
        self.remote.lib.stacyvm_op_cancel(op)
        self.assertEqual(failure(lambda: self.remote.do("stacyvm_op_wait", op, ctypes.c_int64(20_000))).code, CANCELLED)
        self.assertLess(time.monotonic() - start, 1)
        self.assertTrue(eventually(lambda: not running()))
        self.remote.lib.stacyvm_op_close(op)
        self.remote.call("sandbox.destroy", id=sandbox)

    def test_a_closed_stream_ends_its_command(self):
        sandbox = self.remote.call("sandbox.spawn")["id"]
        stream = self.remote.stream("exec.start", id=sandbox, command="echo up; exec sleep 12372")
        self.assertEqual(self.remote.read(stream), b"up\n")
        self.remote.lib.stacyvm_stream_close(stream)
        self.assertTrue(eventually(lambda: "sleep 12372" not in json.dumps(self.remote.call("exec.processes", id=sandbox))))
        self.remote.call("sandbox.destroy", id=sandbox)

    def test_what_nobody_reads_or_takes_is_held_up(self):
        sandbox = self.remote.call("sandbox.spawn")["id"]
        stream = self.remote.stream("exec.start", id=sandbox, command="cat /dev/zero")
        time.sleep(1)
        before = self.memory()
        time.sleep(1)
        self.assertLess(self.memory() - before, 4 << 20)
        total = 0
        while total < 64 << 20:
            total += len(self.remote.read(stream))
        self.remote.lib.stacyvm_stream_close(stream)
        stream = self.remote.stream("exec.start", id=sandbox, command="exec sleep 1000", use_stdin=True)
        taken, piece = 0, bytes(1 << 20)
        for _ in range(200):
            taken += self.remote.write(stream, piece)
            time.sleep(0.005)
        self.assertLess(taken, 32 << 20)  # ours, the kernel's of two connections and a pipe
        self.remote.lib.stacyvm_stream_close(stream)
        self.remote.call("sandbox.destroy", id=sandbox)

    @staticmethod
    def memory():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def test_many_streams_and_calls_take_one_thread_and_few_connections(self):
        sandbox = self.remote.call("sandbox.spawn")["id"]
        threads = len(os.listdir("/proc/self/task"))
        streams = [self.remote.stream("exec.start", id=sandbox, command="read x; echo $x", use_stdin=True) for _ in range(100)]
        self.assertLessEqual(len(os.listdir("/proc/self/task")) - threads, 1)
        for number, stream in enumerate(streams):
            self.assertGreater(self.remote.write(stream, b"%d\n" % number), 0)
        for number, stream in enumerate(streams):
            self.assertEqual(self.remote.read(stream), b"%d\n" % number)
            self.remote.lib.stacyvm_stream_close(stream)
        self.remote.call("sandbox.destroy", id=sandbox)


class WithoutAServer(unittest.TestCase):
    def test_nobody_listens(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            remote = Remote(f"http://127.0.0.1:{taken.getsockname()[1]}")  # opening asks nobody
            for act in (lambda: remote.call("sandbox.list"), lambda: remote.stream("event.follow")):
                failed = failure(act)
                self.assertEqual(failed.code, UNAVAILABLE)
                self.assertIn("cannot be reached", failed.message)
            remote.close()

    def test_a_proxy_is_not_asked_for_this_machine(self):
        server = Serving()
        os.environ["http_proxy"] = "http://127.0.0.1:1"
        try:
            remote = Remote(f"http://127.0.0.1:{server.address[1]}")
            self.assertEqual(remote.call("sandbox.list"), [])
            remote.lib.stacyvm_stream_close(remote.stream("event.follow"))
            remote.close()
        finally:
            del os.environ["http_proxy"]
            server.close()

    def test_a_server_that_ends_and_one_that_dies(self):
        for end in ("terminate", "kill"):
            server = Serving()
            remote = Remote(f"http://127.0.0.1:{server.address[1]}")
            sandbox = remote.call("sandbox.spawn")["id"]
            stream = remote.stream("exec.start", id=sandbox, command="echo up; exec sleep 100")
            self.assertEqual(remote.read(stream), b"up\n")
            getattr(server.process, end)()
            self.assertEqual(failure(lambda: remote.read(stream)).code, CLOSED)
            remote.lib.stacyvm_stream_close(stream)
            server.process.wait(40)
            self.assertEqual(failure(lambda: remote.call("sandbox.list")).code, UNAVAILABLE)
            server.start(server.address[1])
            self.assertEqual(remote.call("sandbox.get", id=sandbox)["state"], "running")
            remote.close()
            server.close()


class Impostor:
    """No stacyvm server (a fake, for faults that a real one does not have): answers every connection with the same bytes."""

    def __init__(self, answer, hold=False):
        self.answer, self.hold, self.asked = answer, hold, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        kept = []
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(65536)):
                    break
                head += more
            self.asked += 1
            connection.sendall(self.answer(head) if callable(self.answer) else self.answer)
            kept.append(connection) if self.hold else connection.close()

    def close(self):
        self.listener.close()


def upgraded(*frames):
    """The answer to an upgrade, and what is said behind it."""
    import base64
    import hashlib

    def answer(head):
        nonce = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(nonce + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n" + b"".join(frames)

    return answer


def frame(text, opcode=1):
    return bytes([0x80 | opcode, len(text)]) + text


class AnImpostor(unittest.TestCase):
    def fails(self, answer, act, hold=False):
        impostor = Impostor(answer, hold)
        remote = Remote(impostor.address)
        try:
            return failure(lambda: act(remote))
        finally:
            remote.close()
            impostor.close()

    def test_answers_to_a_call(self):
        call = lambda remote: remote.call("sandbox.list")
        page = b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
        self.assertEqual(self.fails(page % b"502 Bad Gateway", call).code, UNAVAILABLE)
        self.assertEqual(self.fails(page % b"401 Unauthorized", call).code, UNAUTHORIZED)
        self.assertEqual(self.fails(page % b"302 Found\r\nLocation: http://127.0.0.1:1/", call).code, UNAVAILABLE)
        for broken in (b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"):
            self.assertEqual(self.fails(broken, call).code, UNAVAILABLE, broken)

    def test_an_answer_that_is_no_answer(self):
        sandbox = lambda remote: remote.do("stacyvm_sandbox_get", remote.session, b"sb-x", ctypes.byref(ctypes.c_void_p()))
        for body in (b"[]", b"x", b"{}", b'{"id":1}'):
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            self.assertEqual(self.fails(answer, sandbox).code, IO, body)

    def test_answers_to_an_upgrade(self):
        stream = lambda remote: remote.stream("event.follow")
        for answer, code in ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", UNAVAILABLE), (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", UNAVAILABLE), (b"", UNAVAILABLE),
                             (b"x\r\n\r\n", IO), (b"x" * 70_000, IO), (upgraded(), UNAVAILABLE), (upgraded(frame(b"x")), IO), (upgraded(frame(b'{"type":"end"}')), IO), (upgraded(b"\xff\xff"), IO)):
            self.assertEqual(self.fails(answer, stream).code, code, answer)

    def test_words_on_a_stream(self):
        started = frame(b'{"type":"started"}')
        for rest, code in ((b"", CLOSED), (frame(b"", 8), CLOSED), (frame(b"x"), IO), (frame(b"\1", 2), IO), (started, IO), (b"\x83\x00", IO), (frame(b'{"type":"exit"}'), IO),
                           (frame(b'{"type":"error","code":"TIMEOUT","message":"late"}'), TIMEOUT)):
            self.assertEqual(self.fails(upgraded(started, rest), lambda remote: remote.read(remote.stream("exec.start", id="sb-x", command="true"))).code, code, rest)

    def test_closing_ends_what_waits_for_an_answer(self):
        call, stream = lambda remote: remote.call("sandbox.list"), lambda remote: remote.stream("event.follow")
        for act, answer in ((call, b""), (stream, b""), (stream, upgraded())):
            impostor = Impostor(answer, hold=True)
            remote, failed = Remote(impostor.address), []
            waiting = threading.Thread(target=lambda: failed.append(failure(lambda: act(remote))))
            waiting.start()
            self.assertTrue(eventually(lambda: impostor.asked))
            op = remote.begin("exec.run", id="sb-x", command="true")
            start = time.monotonic()
            remote.lib.stacyvm_close(remote.vm)
            waiting.join(10)
            self.assertLess(time.monotonic() - start, 2)
            self.assertEqual(failed[0].code, CLOSED)
            self.assertEqual(failure(lambda: remote.do("stacyvm_op_wait", op, ctypes.c_int64(0))).code, CLOSED)
            self.assertEqual(failure(lambda: remote.call("sandbox.list")).code, CLOSED)
            remote.lib.stacyvm_op_close(op)
            remote.lib.stacyvm_session_close(remote.session)
            impostor.close()

    def test_silence(self):
        # A connection that is made and not answered is the caller's to end.
        impostor = Impostor(b"", hold=True)
        remote = Remote(impostor.address)
        op = remote.begin("sandbox.list")
        self.assertEqual(remote.do("stacyvm_op_wait", op, ctypes.c_int64(200)), AGAIN)
        start = time.monotonic()
        remote.lib.stacyvm_op_cancel(op)
        self.assertEqual(failure(lambda: remote.do("stacyvm_op_wait", op, ctypes.c_int64(5_000))).code, CANCELLED)
        remote.lib.stacyvm_op_close(op)
        remote.close()
        self.assertLess(time.monotonic() - start, 5)
        impostor.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
