"""The reference Python SDK (PyPI: stacyvm 0.1.1), unchanged, against this server: whatever it has, synchronous and not.

Arguments: EXECUTABLE LIBRARY DIRECTORY; DIRECTORY gets the SDK's environment."""
import asyncio
import inspect
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "python"))
import environment

environment.enter("sdk", sys.argv[3])

import stacyvm
from serving import Serving
from stacyvm import AsyncClient, Client
from stacyvm.models import Template

OWNER = "tester"


def setUpModule():
    global SERVER, URL
    SERVER = Serving("auth:\n  api_key: sdk-key\n")
    SERVER.headers = [("X-API-Key", "sdk-key")]
    URL = f"http://127.0.0.1:{SERVER.address[1]}"


def tearDownModule():
    SERVER.close()


class Same:
    """One of the two clients as coroutines, so that both run the same cases."""

    def __init__(self, thing):
        self._thing = thing

    def __getattr__(self, name):
        member = getattr(self._thing, name)
        if not callable(member):
            return member

        async def call(*args, **kwargs):
            result = member(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            return Same(result) if hasattr(result, "exec") and hasattr(result, "destroy") else result

        return call

    async def lines(self, *args, **kwargs):
        stream = self._thing.exec_stream(*args, **kwargs)
        if inspect.isawaitable(stream):
            stream = await stream
        if hasattr(stream, "__aiter__"):
            return [chunk async for chunk in stream]
        return list(stream)


class Surface:
    """The cases. make() gives the client."""

    def setUp(self):
        self.client = Same(self.make(URL, api_key="sdk-key", user_id=OWNER))

    def tearDown(self):
        self.go(self.client.close())

    def go(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    @classmethod
    def setUpClass(cls):
        cls.loop = asyncio.new_event_loop()

    @classmethod
    def tearDownClass(cls):
        cls.loop.close()

    def spawn(self, **fields):
        sandbox = self.go(self.client.spawn(**{"image": "host", "ttl": "5m", **fields}))
        self.addCleanup(lambda: SERVER.ask("DELETE", f"/api/v1/sandboxes/{sandbox.id}"))
        return sandbox

    def test_a_sandbox(self):
        sandbox = self.spawn(metadata={"purpose": "test"}, memory_mb=128, vcpus=1)
        self.assertTrue(sandbox.id.startswith("sb-"))
        listed = {info.id: info for info in self.go(self.client.list())}
        self.assertIn(sandbox.id, listed)
        info = listed[sandbox.id]
        self.assertEqual((info.state, info.image, info.memory_mb, info.vcpus, info.metadata), ("running", "host", 128, 1, {"purpose": "test"}))
        self.assertEqual(self.go(self.client.get(sandbox.id)).id, sandbox.id)
        whole = SERVER.ask("GET", f"/api/v1/sandboxes/{sandbox.id}").json()
        self.assertEqual(whole["owner_id"], OWNER, "X-User-ID says whose it is")
        self.go(sandbox.extend_ttl("20m"))
        self.assertGreater(SERVER.ask("GET", f"/api/v1/sandboxes/{sandbox.id}").json()["expires_at"], whole["expires_at"])
        self.go(sandbox.refresh())
        for _ in range(2):
            self.go(sandbox.destroy())
        with self.assertRaises(stacyvm.SandboxNotFound):
            self.go(self.client.get(sandbox.id))
        self.assertNotIn(sandbox.id, [other.id for other in self.go(self.client.list())])
        self.assertGreaterEqual(self.go(self.client.prune()), 0)

    def test_the_image_that_it_asks_for_by_itself(self):
        sandbox = self.go(self.client.spawn())
        self.addCleanup(lambda: SERVER.ask("DELETE", f"/api/v1/sandboxes/{sandbox.id}"))
        self.assertEqual(self.go(sandbox.exec("echo it runs")).stdout, "it runs\n")
        self.assertEqual(SERVER.ask("GET", f"/api/v1/sandboxes/{sandbox.id}").json()["image"], "alpine:latest")

    def test_commands(self):
        sandbox = self.spawn()
        result = self.go(sandbox.exec("echo out; echo err >&2; exit 42"))
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (42, "out\n", "err\n"))
        self.assertEqual(self.go(sandbox.exec("echo $0 $WHO; pwd", env={"WHO": "me"}, workdir="/tmp")).stdout.split("\n")[1], "/tmp")
        self.assertEqual(self.go(sandbox.exec("printf", args=["%s|", "a b", "$HOME", "'"], mode="argv")).stdout, "a b|$HOME|'|")
        self.assertEqual(self.go(sandbox.exec("printf %s", args=["it's"])).stdout, "it's")
        result = self.go(sandbox.exec(r"printf 'é\377'; printf '\376é' >&2"))
        self.assertEqual((result.stdout, result.stderr), ("é\ufffd", "\ufffdé"))
        with self.assertRaises(stacyvm.StacyVMError) as caught:
            self.go(sandbox.exec("sleep 30", timeout="200ms"))
        self.assertEqual(caught.exception.code, "TIMEOUT")
        with self.assertRaises(stacyvm.StacyVMError):
            self.go(sandbox.exec("true", timeout="soon"))

    def test_streams(self):
        sandbox = self.spawn()
        chunks = self.go(sandbox.lines("for i in 1 2 3; do echo line $i; done; echo warning >&2"))
        self.assertEqual("".join(chunk.data for chunk in chunks if chunk.stream == "stdout"), "line 1\nline 2\nline 3\n")
        self.assertEqual("".join(chunk.data for chunk in chunks if chunk.stream == "stderr"), "warning\n")
        text = "\u00fc\u2028\u65e5\U0001f600" * 5000  # more than one read, cut anywhere
        self.go(sandbox.write_file("/tmp/text", text))
        self.assertEqual("".join(chunk.data for chunk in self.go(sandbox.lines("cat /tmp/text"))), text)
        argv = self.go(sandbox.lines("printf", args=["%s", "$x"], mode="argv", env={"x": "y"}, workdir="/"))
        self.assertEqual("".join(chunk.data for chunk in argv), "$x")

    def test_files(self):
        sandbox = self.spawn()
        self.go(sandbox.write_file("/workspace/dir/a.log", "hello world"))
        self.go(sandbox.write_file("/workspace/dir/b.log", "", mode="0600"))
        self.assertEqual(self.go(sandbox.read_file("/workspace/dir/a.log")), "hello world")
        self.assertEqual(sorted(entry["path"] for entry in self.go(sandbox.list_files("/workspace/dir"))), ["/workspace/dir/a.log", "/workspace/dir/b.log"])
        info = self.go(sandbox.stat_file("/workspace/dir/a.log"))
        self.assertEqual((info["size"], info["is_dir"], info["mode"][-3:]), (11, False, "644"))
        self.assertEqual(self.go(sandbox.stat_file("/workspace/dir/b.log"))["mode"][-3:], "600")
        self.assertEqual(len(self.go(sandbox.glob_files("/workspace/dir/*.log"))), 2)
        self.assertEqual(self.go(sandbox.glob_files("/workspace/*.nothing")), [])
        self.go(sandbox.move_file("/workspace/dir/a.log", "/workspace/made/for/it.log"))
        self.go(sandbox.move_file("/workspace/made/for/it.log", "/workspace/c.log"))
        self.go(sandbox.delete_file("/workspace/made", recursive=True))
        self.go(sandbox.chmod_file("/workspace/c.log", "0755"))
        self.assertEqual(self.go(sandbox.stat_file("/workspace/c.log"))["mode"][-3:], "755")
        self.go(sandbox.delete_file("/workspace/c.log"))
        with self.assertRaises(stacyvm.StacyVMError) as caught:
            self.go(sandbox.read_file("/workspace/c.log"))
        self.assertNotIsInstance(caught.exception, stacyvm.SandboxNotFound, "the file is gone, not the sandbox")
        self.go(sandbox.write_file("/app/main.sh", "echo $((6 * 7))"))
        self.assertEqual(self.go(sandbox.exec("sh /app/main.sh")).stdout, "42\n")
        self.go(sandbox.delete_file("/workspace/dir", recursive=True))
        self.assertEqual(self.go(sandbox.list_files("/workspace")), [])
        self.assertTrue(self.go(sandbox.list_files()))

    def test_what_it_asks_before_a_spawn(self):
        decision = self.go(self.client.admission(image="host", memory_mb=64, ttl="1m", owner_id="somebody", metadata={"a": "b"}))
        self.assertTrue(decision.allowed)
        refusal = self.go(self.client.admission(ttl="48h1m"))
        self.assertEqual((refusal.allowed, refusal.reason), (False, "max_ttl"))

    def test_the_server(self):
        self.assertEqual(self.go(self.client.health())["status"], "ok")
        self.assertIn("enabled", self.go(self.client.pool_status()))
        providers = {entry["name"]: entry for entry in self.go(self.client.providers())}
        self.assertTrue(providers["native"]["healthy"])
        self.assertEqual(self.go(self.client.quota_summary()).total, 0)

    def test_errors(self):
        with self.assertRaises(stacyvm.SandboxNotFound):
            self.go(self.client.get("sb-deadbeef"))
        with self.assertRaises(stacyvm.StacyVMError) as caught:
            self.spawn(ttl="48h")
        self.assertEqual(caught.exception.code, "RESOURCE_LIMIT")
        stranger = Same(self.make(URL, api_key="wrong"))
        with self.assertRaises(stacyvm.StacyVMError) as caught:
            self.go(stranger.list())
        self.assertEqual(caught.exception.code, "UNAUTHORIZED")
        self.go(stranger.close())
        nobody = Same(self.make("http://127.0.0.1:1"))
        with self.assertRaises(stacyvm.ConnectionError):
            self.go(nobody.spawn())
        self.go(nobody.close())

    def test_template_of_a_spawn(self):
        template = {"name": f"of-{self.id().split('.')[-2].lower()}", "image": "host", "setup": ["echo ready > /workspace/ready"], "env": {"FROM": "template"}}
        self.assertEqual(SERVER.ask("POST", "/api/v1/templates", template).status, 201)
        self.addCleanup(lambda: SERVER.ask("DELETE", f"/api/v1/templates/{template['name']}"))
        for sandbox in (self.go(self.client.spawn_template(template["name"])), self.spawn(template=template["name"])):
            self.assertEqual(self.go(sandbox.exec("cat /workspace/ready; echo $FROM")).stdout, "ready\ntemplate\n")
            self.go(sandbox.destroy())


class Sync(Surface, unittest.TestCase):
    make = Client

    def test_context(self):
        with Client(URL, api_key="sdk-key") as client:
            with client.spawn(image="host") as sandbox:
                self.assertEqual(sandbox.exec("echo inside").stdout, "inside\n")
            with self.assertRaises(stacyvm.SandboxNotFound):
                client.get(sandbox.id)

    def test_templates(self):
        with Client(URL, api_key="sdk-key") as client:
            saved = client.templates.save(Template(name="small", image="host", memory_mb=64, vcpus=1, ttl="2m", metadata={"k": "v"}))
            self.addCleanup(lambda: SERVER.ask("DELETE", "/api/v1/templates/small"))
            self.assertEqual((saved.name, saved.image, saved.memory_mb), ("small", "host", 64))
            self.assertEqual(client.templates.get("small").image, "host")
            self.assertIn("small", [template.name for template in client.templates.list()])
            with client.spawn_template("small") as sandbox:
                info = SERVER.ask("GET", f"/api/v1/sandboxes/{sandbox.id}").json()
                self.assertEqual((info["memory_mb"], info["metadata"]["template"]), (64, "small"))
            client.templates.delete("small")
            with self.assertRaises(stacyvm.StacyVMError):
                client.templates.get("small")


class Async(Surface, unittest.TestCase):
    make = AsyncClient

    def test_context(self):
        async def use():
            async with AsyncClient(URL, api_key="sdk-key") as client:
                async with await client.spawn(image="host") as sandbox:
                    self.assertEqual((await sandbox.exec("echo inside")).stdout, "inside\n")
                results = await asyncio.gather(*(client.list() for _ in range(20)))
                self.assertEqual(len(results), 20)
                with self.assertRaises(stacyvm.SandboxNotFound):
                    await client.get(sandbox.id)

        self.go(use())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[4:]])
