"""Sandboxes and commands over HTTP: what is accepted, every limit and one beyond, and the form of answers. Arguments: see serving.py."""
import json
import re
import unittest

from serving import Sandbox, Serving, arguments, eventually

LIST = "/api/v1/sandboxes"
CONFIG = """defaults:
  ttl: 20m
  max_ttl: 1h
  default_exec_timeout: 1s
  max_exec_timeout: 5s
  max_sandboxes: 6
  max_sandboxes_per_owner: 2
"""
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Serving(CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def tearDown(self):
        for one in self.server.ask("GET", LIST).json():
            self.server.ask("DELETE", f"{LIST}/{one['id']}")

    def spawn(self, fields, owner=None):
        return self.server.ask("POST", LIST, {"image": "host", **fields}, [("X-User-ID", owner)] if owner else [])

    def expect(self, answer, status, code, word):
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer)
        self.assertIn(word, answer.json()["message"])

    def test_what_a_sandbox_may_ask_for(self):
        self.assertEqual(self.spawn({"ttl": "1h"}).status, 201)
        for fields, status, code in (({"ttl": "1h1ms"}, 429, "RESOURCE_LIMIT"), ({"ttl": "-5m"}, 400, "BAD_REQUEST"), ({"ttl": "soon"}, 400, "BAD_REQUEST"), ({"ttl": "5"}, 400, "BAD_REQUEST"), ({"ttl": 5}, 400, "BAD_REQUEST"),
                                     ({"memory_mb": -1}, 400, "BAD_REQUEST"), ({"memory_mb": 15}, 400, "BAD_REQUEST"), ({"memory_mb": 1.5}, 400, "BAD_REQUEST"), ({"memory_mb": "64"}, 400, "BAD_REQUEST"),
                                     ({"memory_mb": 1 << 63}, 400, "BAD_REQUEST"), ({"vcpus": 0.0001}, 400, "BAD_REQUEST"), ({"vcpus": -1}, 400, "BAD_REQUEST"), ({"image": 5}, 400, "BAD_REQUEST"),
                                     ({"metadata": {"a": 1}}, 400, "BAD_REQUEST"), ({"metadata": []}, 400, "BAD_REQUEST"), ({"owner_id": "a/b"}, 400, "BAD_REQUEST"), ({"provider": "none"}, 404, "NOT_FOUND")):
            with self.subTest(fields):
                self.expect(self.spawn(fields), status, code, next(iter(fields)).removesuffix("_id"))
        for owner in ("a b", "a/b", "a\\b", "x" * 129):
            self.expect(self.spawn({}, owner), 400, "BAD_REQUEST", "owner")
        self.assertEqual(len(self.server.ask("GET", LIST).json()), 1)

    def test_how_many(self):
        for _ in range(2):
            self.assertEqual(self.spawn({}, "one").status, 201)
        self.expect(self.spawn({}, "one"), 429, "RESOURCE_LIMIT", "2")
        for owner in ("two", "two", "three", "four"):
            self.assertEqual(self.spawn({}, owner).status, 201)
        self.expect(self.spawn({}, "five"), 429, "RESOURCE_LIMIT", "6")
        decision = self.server.ask("POST", f"{LIST}/admission", {}).json()
        self.assertEqual((decision["allowed"], decision["reason"], decision["active_sandboxes"], decision["max_sandboxes"]), (False, "max_sandboxes", 6, 6))
        self.assertFalse({"selected_worker_id", "eligible_workers", "worker_reason"} & set(decision), "the Python SDK fails on these")
        some = self.server.ask("GET", LIST).json()[0]
        self.server.ask("DELETE", f"{LIST}/{some['id']}")
        self.assertEqual(self.spawn({}, "five").status, 201)

    def test_how_long_a_life_is_made(self):
        sandbox = Sandbox(self.server, self.spawn({}).json()["id"])
        self.assertEqual(sandbox.ask("POST", "/extend", {"ttl": "1h"}).status, 200)
        self.expect(sandbox.ask("POST", "/extend", {"ttl": "1h1ms"}), 429, "RESOURCE_LIMIT", "ttl")
        for body in ({"ttl": "-1m"}, {"ttl": "0s"}, {"ttl": "soon"}, {}):
            self.expect(sandbox.ask("POST", "/extend", body), 400, "BAD_REQUEST", "ttl")

    def test_how_long_a_command_runs(self):
        sandbox = Sandbox(self.server, self.spawn({}).json()["id"])
        for fields in ({}, {"timeout": "0s"}, {"timeout": "300ms"}):
            answer = sandbox.ask("POST", "/exec", {"command": "sleep 20", **fields})
            self.assertEqual((answer.status, answer.json()["code"], answer.json()["reason"]), (408, "TIMEOUT", "timeout"), answer)
        look_alike = ',"reason":"timeout"'
        answer = sandbox.ask("POST", "/exec", {"command": f"echo '{look_alike}'; sleep 60", "timeout": "300ms"})
        self.assertEqual((answer.status, answer.json()["stdout"], answer.json()["exit_code"]), (408, look_alike + "\n", 137))
        answer = sandbox.ask("POST", "/exec", {"command": f"echo '{look_alike}'"})
        self.assertEqual((answer.status, answer.json()["stdout"]), (200, look_alike + "\n"))
        self.assertEqual(sandbox.ask("POST", "/exec", {"command": "true", "timeout": "5s"}).status, 200)
        for stream in (False, True):
            self.expect(sandbox.ask("POST", "/exec", {"command": "true", "timeout": "5001ms", "stream": stream}), 429, "RESOURCE_LIMIT", "timeout")
            for timeout in ("-1s", "soon", "5"):
                self.expect(sandbox.ask("POST", "/exec", {"command": "true", "timeout": timeout, "stream": stream}), 400, "BAD_REQUEST", "timeout")

    def test_a_life_ends_by_itself(self):
        sandbox = Sandbox(self.server, self.spawn({"ttl": "500ms"}).json()["id"])
        other = Sandbox(self.server, self.spawn({}).json()["id"])
        self.assertTrue(eventually(lambda: sandbox.ask("GET").status == 404))
        self.assertEqual([one["id"] for one in self.server.ask("GET", LIST).json()], [other.id])


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Serving()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_a_sandbox(self):
        for body in (None, {}, {"image": "host", "unknown": [1, {"a": None}]}):
            answer = self.server.ask("POST", LIST, body)
            self.assertEqual((answer.status, answer.header("Content-Type")), (201, "application/json"), answer)
            self.assertEqual(answer.body, json.dumps(answer.json(), separators=(",", ":"), ensure_ascii=False).encode() + b"\n", "compact, and one line")
            one = answer.json()
            self.assertRegex(one["id"], "^sb-[a-z0-9]+$")
            self.assertRegex(one["created_at"], TIME)
            self.assertRegex(one["expires_at"], TIME)
            self.assertEqual(one["state"], "running")
            self.assertNotIn("metadata", one)
        newest = self.server.spawn(metadata={"é": "€"})
        all_ = self.server.ask("GET", LIST).json()
        self.assertEqual((all_[0]["id"], all_[0]["metadata"]), (newest.id, {"é": "€"}))
        made = [(text if "." in text else text + ".").ljust(30, "0") for text in (one["created_at"][:-1] for one in all_)]  # so that texts compare as times
        self.assertEqual(sorted(made, reverse=True), made, "newest first")

    def test_what_is_gone_is_not_found(self):
        sandbox = self.server.spawn()
        for _ in range(2):
            self.assertEqual((sandbox.destroy().json(), sandbox.ask("GET").status), ({"status": "destroyed"}, 404))
        self.assertNotIn(sandbox.id, [one["id"] for one in self.server.ask("GET", LIST).json()])
        for method, target, body in (("POST", "/exec", {"command": "true"}), ("POST", "/extend", {"ttl": "1m"}), ("GET", "/files?path=/", None), ("GET", "/logs", None), ("GET", "/stats", None)):
            answer = sandbox.ask(method, target, body)
            self.assertEqual((answer.status, answer.json()["code"]), (404, "NOT_FOUND"), target)

    def test_a_command(self):
        sandbox = self.server.spawn()
        answer = sandbox.ask("POST", "/exec", {"command": "echo out; echo err >&2; exit 42"}).json()
        self.assertEqual((answer["exit_code"], answer["stdout"], answer["stderr"], answer["reason"]), (42, "out\n", "err\n", "exited"))
        self.assertRegex(answer["duration"], r"^[0-9.]+(µs|ms|s)$")
        self.assertEqual(sandbox.run("echo", args=["$A", "b c"], mode="argv"), "$A b c\n")
        self.assertEqual(sandbox.run("echo $A; pwd", env={"A": "é"}, workdir="/tmp"), "é\n/tmp\n")
        self.assertEqual(sandbox.run("pwd; touch mine"), "/workspace\n")
        self.assertEqual(sandbox.run("echo empty", args=None, env=None, mode="", workdir="", timeout=""), "empty\n")
        for line in (r"printf 'é\377'", r"printf 'é\377' >&2", r"printf 'é\377'; sleep 30"):
            answer = sandbox.ask("POST", "/exec", {"command": line, **({"timeout": "300ms"} if "sleep" in line else {})})
            stream = "stderr" if ">&2" in line else "stdout"
            self.assertEqual((answer.status, answer.json()[stream], answer.json()[stream + "_b64"]), (408 if "sleep" in line else 200, "é\ufffd", "w6n/"), line)
        self.assertEqual(sandbox.run(r"""printf '%s' ',"stdout_b64":"YQ=="'"""), ',"stdout_b64":"YQ=="')
        for body, word in (({}, "command"), ({"command": ""}, "command"), ({"command": "true", "mode": "other"}, "mode"), ({"command": 5}, "command"), ({"command": "true", "args": "a"}, "args"),
                           ({"command": "true", "env": {"A=B": "c"}}, "env"), ({"command": "a\0b"}, "command")):
            answer = sandbox.ask("POST", "/exec", body)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "BAD_REQUEST"), body)
            self.assertIn(word, answer.json()["message"])

    def test_bodies_that_are_no_object(self):
        for body in (b"{", b"[]", b"null", b"5", b'"a"', b"{} {}", b"\xff", b'{"image":"\xff"}', b"\xef\xbb\xbf{}", b"[" * 100_000):
            answer = self.server.ask("POST", LIST, body)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "BAD_REQUEST"), body[:20])


if __name__ == "__main__":
    unittest.main(argv=arguments())
