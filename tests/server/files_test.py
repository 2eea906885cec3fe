"""Files and trees through stacyvm serve: bytes of any kind and size, parts of them, and what is left of an upload that fails. Arguments: see serving.py."""
import hashlib
import io
import os
import re
import socket
import tarfile
import unittest
import urllib.parse

from serving import AS_USER, EXECUTABLE, Serving, arguments, eventually

SERVER_MEMORY_KIB = 64 << 10
GIGABYTE = 1 << 30
with open(EXECUTABLE, "rb") as executable_file:
    INSTRUMENTED = b"__asan_init" in (image := executable_file.read()) or b"__tsan_init" in image  # a sanitizer's shadow is memory, too

server = sandbox = None


def setUpModule():
    global server, sandbox
    server = Serving()
    sandbox = server.spawn(disk_mb=64)


def tearDownModule():
    server.close()


def at(path, **more):
    return "/files?" + urllib.parse.urlencode({"path": path, **more})


def available_memory():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"^MemAvailable:\s*(\d+)", file.read(), re.MULTILINE)[1]) << 10


class Files(unittest.TestCase):
    def put(self, path, data, **more):
        answer = sandbox.ask("PUT", at(path, **more), data)
        self.assertEqual((answer.status, answer.json()), (200, {"status": "written", "bytes": len(data)}), answer)

    def get(self, path, *headers):
        return sandbox.ask("GET", at(path), headers=headers)

    def exists(self, path):
        return sandbox.run(f"ls -a {path} 2> /dev/null || true")

    def test_bytes_of_any_kind(self):
        for data in (b"", b"\0", bytes(range(256)) * 1000, b"\r\n" * 70_000, "é€😀".encode()):
            self.put("/workspace/any", data)
            answer = self.get("/workspace/any")
            self.assertEqual((answer.status, answer.header("Content-Type"), answer.body), (200, "application/octet-stream", data))

    def test_text_as_json(self):
        answer = sandbox.ask("POST", "/files", {"path": "/workspace/text", "content": "é\u2028\0", "mode": "0600"})
        self.assertEqual((answer.status, answer.json()), (200, {"status": "written"}))
        self.assertEqual(self.get("/workspace/text").body, "é\u2028\0".encode())
        self.assertEqual(sandbox.run("stat -c %a text"), "600\n")

    def test_names(self):
        for name in ("a b", "a+b", "100%", "a?b#c&d=e", "é€😀", "a\nb", "-rf", "'\"$(x)"):
            self.put(f"/workspace/{name}", name.encode())
            self.assertEqual(self.get(f"/workspace/{name}").body, name.encode(), name)

    def test_what_is_no_file(self):
        for path, status, code in (("/workspace/none", 422, "FILE_NOT_FOUND"), ("/workspace", 400, "BAD_REQUEST"), ("", 400, "BAD_REQUEST")):
            answer = self.get(path)
            self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer)
        self.assertEqual(sandbox.ask("GET", "/files").status, 400)
        self.put("/workspace/plain", b"x")
        self.assertEqual(sandbox.ask("PUT", at("/workspace/plain/x"), b"x").status, 400)
        for path in ("/proc/self/status",) if AS_USER else ("/etc/x", "/proc/self/status"):  # a user's sandbox has one id
            self.assertEqual(sandbox.ask("PUT", at(path), b"x").json()["code"], "FORBIDDEN", path)
        self.assertEqual(server.ask("GET", "/api/v1/sandboxes/sb-none" + at("/x")).status, 404)

    def test_head(self):
        self.put("/workspace/head", b"x" * 1000)
        answer = sandbox.ask("HEAD", at("/workspace/head"))
        self.assertEqual((answer.status, answer.header("Content-Length"), answer.header("Accept-Ranges")), (200, "1000", "bytes"))

    def test_ranges(self):
        data = os.urandom(100_000)
        self.put("/workspace/ranges", data)
        for wanted, start, end in (("0-0", 0, 0), ("0-99", 0, 99), ("99999-", 99_999, 99_999), ("50000-", 50_000, 99_999), ("-1", 99_999, 99_999), ("-1000", 99_000, 99_999), ("0-", 0, 99_999),
                                   ("99990-200000", 99_990, 99_999), ("-200000", 0, 99_999), ("-99999999999999999999", 0, 99_999), ("0-99999999999999999999", 0, 99_999), ("100000-,5-6", 5, 6)):
            answer = self.get("/workspace/ranges", ("Range", f"bytes={wanted}"))
            self.assertEqual((answer.status, answer.header("Content-Range")), (206, f"bytes {start}-{end}/100000"), wanted)
            self.assertEqual(answer.body, data[start: end + 1], wanted)
        for wanted in ("100000-", "100000-100001", "200000-300000", "-0", "99999999999999999999-"):
            answer = self.get("/workspace/ranges", ("Range", f"bytes={wanted}"))
            self.assertEqual((answer.status, answer.header("Content-Range")), (416, "bytes */100000"), wanted)
            self.assertEqual(set(answer.json()), {"code", "message", "request_id"})
            self.assertEqual((answer.json()["request_id"], answer.header("Content-Type")), (answer.header("X-Request-ID"), "application/json"))
        # What is no range of bytes asks for nothing special (RFC 9110, section 14.2).
        for wanted in ("bytes=x-y", "bytes=5-1", "bytes=", "bytes", "lines=1-2", "bytes=%30-1"):
            answer = self.get("/workspace/ranges", ("Range", wanted))
            self.assertEqual((answer.status, answer.body == data), (200, True), wanted)

    def test_several_ranges(self):
        data = os.urandom(1_000)
        self.put("/workspace/several", data)
        answer = self.get("/workspace/several", ("Range", "bytes=0-9,500-509,-10"))
        self.assertEqual(answer.status, 206)
        boundary = answer.header("Content-Type").removeprefix("multipart/byteranges; boundary=").encode()
        parts = answer.body.split(b"--" + boundary)
        self.assertEqual((parts[0], parts[-1].strip()), (b"", b"--"))
        for part, (start, end) in zip(parts[1:-1], ((0, 9), (500, 509), (990, 999))):
            head, _, body = part.partition(b"\r\n\r\n")
            self.assertIn(b"content-range: bytes %d-%d/1000" % (start, end), head.lower())
            self.assertEqual(body, data[start: end + 1] + b"\r\n")
        # Many small ones of one file cost more than the file.
        many = self.get("/workspace/several", ("Range", "bytes=" + ",".join(["0-999"] * 500)))
        self.assertLess(len(many.body), 300_000, "an answer that is many times the file")

    def test_a_part_of_what_has_changed_is_not_sent(self):
        self.put("/workspace/changes", b"0123456789")
        etag = self.get("/workspace/changes").header("ETag")
        self.assertRegex(etag, r'^"[^"]+"$')
        answer = self.get("/workspace/changes", ("Range", "bytes=5-"), ("If-Range", etag))
        self.assertEqual((answer.status, answer.body), (206, b"56789"))
        self.put("/workspace/changes", b"abcdefghij")
        answer = self.get("/workspace/changes", ("Range", "bytes=5-"), ("If-Range", etag))
        self.assertEqual((answer.status, answer.body), (200, b"abcdefghij"))
        self.assertNotEqual(answer.header("ETag"), etag)

    def test_ranges_of_other_answers_are_none(self):
        answer = server.ask("GET", "/api/v1/sandboxes", headers=[("Range", "bytes=0-1")])
        self.assertEqual((answer.status, answer.json()[0]["state"]), (200, "running"))
        # None that is beyond its end either, and nothing promises any.
        for method in ("GET", "HEAD"):
            answer = server.ask(method, "/api/v1/health", headers=[("Range", "bytes=100000-")])
            self.assertEqual((answer.status, answer.header("Content-Range"), answer.header("Accept-Ranges")), (200, None, None), method)
        answer = sandbox.ask("GET", "/archive?path=/workspace", headers=[("Range", "bytes=100000000-")])
        self.assertEqual((answer.status, answer.header("Content-Range")), (200, None))

    def test_a_chunked_upload(self):
        with server.wire() as wire:
            wire.send(f"PUT {sandbox.path}{at('/workspace/chunked')} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            for size in (1, 10, 100_000, 65_536):
                wire.send(b"%x\r\n" % size + b"y" * size + b"\r\n")
            wire.send("0\r\n\r\n")
            self.assertEqual(wire.answer().json(), {"status": "written", "bytes": 165_547})
        self.assertEqual(sandbox.run("wc -c < chunked"), "165547\n")

    def test_an_upload_that_is_cut_leaves_nothing(self):
        sandbox.run("mkdir -p cut && echo old > cut/kept")
        before = self.exists("cut")
        for path in ("/workspace/cut/new", "/workspace/cut/kept"):
            for framing, piece in (("Content-Length: 1000000", b"x" * 500_000), ("Transfer-Encoding: chunked", b"7a120\r\n" + b"x" * 500_000 + b"\r\n"), ("Transfer-Encoding: chunked", b"5\r\nxxxxx\r\nzz")):
                with self.subTest(path=path, framing=framing), server.wire() as wire:
                    wire.send(f"PUT {sandbox.path}{at(path)} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode() + piece)
                    if piece.endswith(b"zz"):
                        self.assertEqual(wire.answer().status, 400)
                    else:
                        wire.socket.shutdown(socket.SHUT_WR)
                        self.assertEqual(wire.answer().status, 400)
                self.assertTrue(eventually(lambda: self.exists("cut") == before), self.exists("cut"))
        self.assertEqual(sandbox.run("cat cut/kept"), "old\n")

    def test_a_full_disk_is_an_error_and_leaves_nothing(self):
        small = server.spawn(disk_mb=4)
        try:
            before = small.run("ls -aR /workspace")
            with server.wire() as wire:
                wire.send(f"PUT {small.path}{at('/workspace/much')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {32 << 20}\r\n\r\n")
                try:
                    for _ in range(32):
                        wire.send(bytes(1 << 20))
                except OSError:
                    pass  # it had enough
                answer = wire.answer()
            self.assertGreaterEqual(answer.status, 400)
            self.assertRegex(answer.json()["message"], "(?i)space|disk|full|quota")
            self.assertTrue(eventually(lambda: small.run("ls -aR /workspace") == before))
            self.assertEqual(small.ask("PUT", at("/workspace/little"), b"x" * 1000).status, 200)
        finally:
            small.destroy()

    def test_trees_as_tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in (("tree/a", b"a"), ("tree/deep/b", bytes(200_000))):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        answer = sandbox.ask("PUT", "/archive?path=/workspace", out.getvalue())
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(sandbox.run("cat tree/a; wc -c < tree/deep/b"), "a200000\n")
        answer = sandbox.ask("GET", "/archive?path=/workspace/tree")
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, "application/x-tar"))
        with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
            sizes = {entry.name.rpartition("/")[2]: entry.size for entry in tar if entry.isfile()}
        self.assertEqual(sizes, {"a": 1, "b": 200_000})
        self.assertEqual(sandbox.ask("GET", "/archive?path=/workspace/none").status, 422)
        self.assertGreaterEqual(sandbox.ask("PUT", "/archive?path=/workspace", b"x" * 10_000).status, 400)

    def test_the_rest_of_the_calls(self):
        sandbox.run("mkdir -p calls && echo one > calls/one.txt && echo two > calls/two.log")
        self.assertEqual(sorted(entry["path"] for entry in sandbox.ask("GET", "/files/list?path=/workspace/calls").json()), ["/workspace/calls/one.txt", "/workspace/calls/two.log"])
        self.assertEqual(sandbox.ask("GET", "/files/stat?path=/workspace/calls/one.txt").json()["size"], 4)
        self.assertEqual(sandbox.ask("GET", "/files/glob?pattern=/workspace/calls/*.log").json(), ["/workspace/calls/two.log"])
        self.assertEqual(sandbox.ask("POST", "/files/move", {"old_path": "/workspace/calls/one.txt", "new_path": "/workspace/calls/1"}).json(), {"status": "moved"})
        self.assertEqual(sandbox.ask("POST", "/files/chmod", {"path": "/workspace/calls/1", "mode": "0640"}).json(), {"status": "chmod applied"})
        self.assertEqual(sandbox.ask("POST", "/files/chmod", {"path": "/workspace/calls/1", "owner": "1000", "group": "1000"}).json(), {"status": "chmod applied"})
        self.assertEqual(sandbox.ask("POST", "/files/copy", {"path": "/workspace/calls/1", "new_path": "/workspace/copied/1"}).json(), {"status": "copied"})
        self.assertEqual(sandbox.ask("POST", "/files/symlink", {"path": "/workspace/copied/l", "target": "1"}).json(), {"status": "created"})
        link = sandbox.ask("GET", "/files/stat?path=/workspace/copied/l&follow=false").json()
        self.assertEqual((link["type"], link["target"]), ("symlink", "1"))
        self.assertNotIn("target", sandbox.ask("GET", "/files/stat?path=/workspace/copied/1").json())
        self.assertEqual(sandbox.run("stat -c %a calls/1"), "640\n")
        self.assertEqual(sandbox.ask("POST", "/files/mkdir", {"path": "/workspace/calls/dir"}).status, 200)
        self.assertGreaterEqual(sandbox.ask("DELETE", at("/workspace/calls")).status, 400)
        self.assertEqual(sandbox.ask("DELETE", at("/workspace/calls", recursive="true")).json(), {"status": "deleted"})
        self.assertEqual(self.exists("calls"), "")


class Large(unittest.TestCase):
    def test_a_gigabyte_both_ways_with_flat_memory(self):
        if available_memory() < 4 * GIGABYTE:
            print("SKIP a gigabyte both ways: not enough memory for a disk of that size")
            self.skipTest("memory")
        with Serving() as own:
            big = own.spawn(disk_mb=1100, **({} if AS_USER else {"memory_mb": 2048}))  # a disk is memory
            piece = os.urandom(1 << 20)
            before = hashlib.sha256()
            with own.wire(60) as wire:
                wire.send(f"PUT {big.path}{at('/workspace/big')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GIGABYTE}\r\n\r\n")
                for _ in range(GIGABYTE // len(piece)):
                    wire.send(piece)
                    before.update(piece)
                answer = wire.answer()
                self.assertEqual((answer.status, answer.json()["bytes"]), (200, GIGABYTE), answer)
                wire.request("GET", big.path + at("/workspace/big"))
                answer = wire.head()
                self.assertEqual((answer.status, answer.header("Content-Length")), (200, str(GIGABYTE)))
                after = hashlib.sha256(wire.buffer)
                left = GIGABYTE - len(wire.buffer)
                while left > 0:
                    got = wire.socket.recv(min(left, 1 << 20))
                    self.assertTrue(got, "cut off")
                    after.update(got)
                    left -= len(got)
            self.assertEqual(after.digest(), before.digest())
            if not INSTRUMENTED:
                self.assertLess(own.usage("VmHWM"), SERVER_MEMORY_KIB)


if __name__ == "__main__":
    unittest.main(argv=arguments())
