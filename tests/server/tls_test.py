"""stacyvm serve over TLS. Arguments: see serving.py."""
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest

from serving import Serving, arguments, eventually, refused
from wire import Closed, Events, WebSocket

LIST = "/api/v1/sandboxes"


def make_certificate(directory, name):
    """A self-signed one for localhost, and its key."""
    certificate, key = (os.path.join(directory, f"{name}.{kind}") for kind in ("crt", "key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="stacyvm-tls-")
        cls.certificate, cls.key = make_certificate(cls.directory, "server")
        cls.server = Serving(f"server:\n  tls:\n    cert_file: {cls.certificate}\n    key_file: {cls.key}\n", tls=ssl.create_default_context(cafile=cls.certificate))
        cls.sandbox = cls.server.spawn()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        shutil.rmtree(cls.directory)

    def test_it_says_so(self):
        self.assertTrue([line for line in self.server.log if "listening on https://" in line])

    def test_requests(self):
        with self.server.wire() as wire:
            self.assertIn(wire.socket.version(), ("TLSv1.2", "TLSv1.3"))
            for _ in range(3):
                self.assertEqual(wire.ask("GET", LIST).status, 200)
            for number in range(20):
                wire.request("GET", LIST, headers=[("X-Request-ID", str(number))])
            self.assertEqual([wire.answer().header("X-Request-ID") for _ in range(20)], [str(number) for number in range(20)])

    def test_uploads_and_downloads(self):
        data = os.urandom(20_000_000)
        path = f"{self.sandbox.path}/files?path=/workspace/data"
        with self.server.wire() as wire:
            self.assertEqual(wire.ask("PUT", path, data).json()["bytes"], len(data))
            self.assertEqual(wire.ask("GET", path).body, data)
            self.assertEqual(wire.ask("GET", path, headers=[("Range", "bytes=-5")]).body, data[-5:])

    def test_conversations_both_ways_at_once(self):
        with self.server.wire() as wire:
            client = WebSocket(wire, f"{self.sandbox.path}/exec/ws")
            client.say(type="start", command="exec cat")
            got = ""
            for number in range(200):
                client.say(type="stdin", data=f"{number}\n" * 100)
            client.say(type="stdin", eof=True)
            messages = client.rest()
            got = "".join(message.get("data", "") for message in messages)
            self.assertEqual(got, "".join(f"{number}\n" * 100 for number in range(200)))
            self.assertEqual((messages[-1]["type"], client.closed[0]), ("exit", 1000))

    def test_output_as_it_comes(self):
        with self.server.wire() as wire:
            wire.request("POST", f"{self.sandbox.path}/exec", {"command": "seq 100000", "stream": True})
            self.assertEqual(wire.head().status, 200)
            self.assertGreater(len(list(wire.lines())), 1)
            self.assertEqual(wire.ask("GET", LIST).status, 200)

    def test_pages_have_the_origin_of_their_scheme(self):
        host = "127.0.0.1:{}".format(self.server.address[1])
        self.assertEqual(self.server.ask("GET", LIST, headers=[("Origin", f"https://{host}")]).status, 200)
        self.assertEqual(self.server.ask("GET", LIST, headers=[("Origin", f"http://{host}")]).status, 403)

    def test_a_client_that_goes_takes_its_command_along(self):
        with self.server.wire() as wire:
            wire.request("POST", f"{self.sandbox.path}/exec", {"command": "exec sleep 12390"})
            self.assertTrue(eventually(lambda: self.sandbox.has("sleep 12390")))
        self.assertTrue(eventually(lambda: not self.sandbox.has("sleep 12390")))

    def test_old_versions_are_refused(self):
        for version in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
            done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:{}".format(self.server.address[1]), version, "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=30)
            self.assertEqual(b"Cipher is (NONE)" not in done.stdout and done.returncode == 0, version in ("-tls1_2", "-tls1_3"), (version, done))
            if version in ("-tls1", "-tls1_1"):
                self.assertIn(b"alert protocol version", done.stderr)  # by the server, and not by this client

    def test_a_client_that_speaks_no_tls(self):
        plain, self.server.tls = self.server.tls, None
        try:
            for data in (f"GET {LIST} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), b"\x16\x03\x01\xff\xff" + bytes(1000), b"\0" * 5000, b"\x16"):
                with self.server.wire() as wire:
                    wire.send(data)
                    if len(data) == 1:
                        continue
                    with self.assertRaises((Closed, OSError)):
                        while True:
                            wire.more()
                            self.assertNotIn(b"200 OK", wire.buffer)
        finally:
            self.server.tls = plain
        self.assertEqual(self.server.ask("GET", LIST).status, 200)

    def test_streams_leave_room_for_others(self):
        wires = [self.server.wire() for _ in range(32)]
        for wire in wires:
            self.assertEqual(Events(wire, "/api/v1/events").answer.status, 200)
        self.assertEqual(self.server.ask("GET", LIST).status, 200)
        for wire in wires:
            wire.close()

    def test_files_that_are_none(self):
        other, other_key = make_certificate(self.directory, "other")
        empty = os.path.join(self.directory, "empty")
        with open(empty, "wb"):
            pass
        for certificate, key in ((self.certificate, other_key), (empty, self.key), (self.certificate, empty), (self.key, self.certificate), ("/none", self.key), (other, "/none")):
            status, text = refused(f"server:\n  tls: {{cert_file: {certificate}, key_file: {key}}}\n")
            self.assertEqual(status, 125)
            self.assertRegex(text, r"^stacyvm: TLS: [^\n]+\n$")
            self.assertNotIn("PRIVATE KEY", text)
            if "/none" in (certificate, key):
                self.assertIn("/none: No such file or directory", text)


if __name__ == "__main__":
    if not shutil.which("openssl"):
        print("SKIPPED: no openssl to make a certificate with")
        sys.exit(77)
    unittest.main(argv=arguments())
