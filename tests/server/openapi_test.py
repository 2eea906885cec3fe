"""What the server says of itself: valid OpenAPI 3.1, complete, and true, as schemathesis finds by trying.

Arguments: EXECUTABLE LIBRARY DIRECTORY; DIRECTORY gets the environment of schemathesis."""
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "python"))
import environment

environment.enter("schemathesis", sys.argv[3])

import openapi_spec_validator
from serving import LIBRARY, Serving

KEY = "openapi-key"
# Without an end of their own: streams_test and files_test have them.
ENDLESS = ["/api/v1/events", "/api/v1/sandboxes/{id}/console", "/api/v1/sandboxes/{id}/files/watch", "/api/v1/sandboxes/{id}/processes/{exec_id}/output"]
SLOW = ["/api/v1/sandboxes/{id}/ports/wait"]  # waits as long as it is told to
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
TRY_SECONDS = 240


def setUpModule():
    global SERVER, SPEC
    SERVER = Serving(f"auth:\n  api_key: {KEY}\ndefaults:\n  max_sandboxes: 20\n")
    SERVER.headers = [("X-API-Key", KEY)]
    answer = SERVER.ask("GET", "/api/v1/openapi.json")
    assert answer.status == 200, answer
    SPEC = answer.json()


def tearDownModule():
    SERVER.close()


def operations():
    library = ctypes.CDLL(LIBRARY)
    text = ctypes.c_char_p()
    assert library.stacyvm_operations(ctypes.byref(text), None) == 0
    return {operation["name"]: operation for operation in json.loads(text.value)}


def described():
    return [(method, path, operation) for path, methods in SPEC["paths"].items() for method, operation in methods.items()]


class Described(unittest.TestCase):
    def test_it_is_valid(self):
        self.assertEqual(SPEC["openapi"], "3.1.0")
        openapi_spec_validator.validate(SPEC)

    def test_every_operation_has_a_route_and_every_route_is_described(self):
        known, seen = operations(), {operation.get("x-stacyvm-operation") for _, _, operation in described()}
        self.assertEqual(set(known) - seen, set())
        for method, path, operation in described():
            with self.subTest(method=method, path=path):
                wire_method = "GET" if method == "get" else method.upper()
                concrete = path
                for name in ("id", "exec_id", "template", "port", "name", "operation"):
                    concrete = concrete.replace("{" + name + "}", "1")
                self.assertNotIn("{", concrete)
                # A method that a path does not have is 405: one that is described is there.
                answer = SERVER.ask("OPTIONS" if path in ENDLESS else wire_method, concrete, {} if wire_method in ("POST", "PUT", "PATCH") else None)
                self.assertNotEqual(answer.status, 405, answer)
                self.assertIn("responses", operation)
                self.assertTrue(operation["summary"])
                self.assertTrue(set(operation["tags"]) <= {tag["name"] for tag in SPEC["tags"]})
                self.assertEqual("426" in operation["responses"], path.endswith("/ws"))
                if "x-stacyvm-operation" in operation:
                    self.assertEqual(operation["summary"], known[operation["x-stacyvm-operation"]]["doc"])
                    self.assertIn("default", operation["responses"])
        for path, method in (("/api/v1/sandboxes", "PATCH"), ("/api/v1/sandboxes/1/exec", "GET")):
            answer = SERVER.ask(method, path)
            self.assertEqual(answer.status, 405)

    def test_fields_are_the_operations(self):
        for method, path, operation in described():
            if "x-stacyvm-operation" not in operation or method not in ("get", "delete") or path.endswith("/ws"):
                continue
            wanted = {name for name, schema in operations()[operation["x-stacyvm-operation"]]["request"]["properties"].items() if "object" not in schema["type"]}
            self.assertEqual(wanted - {parameter["name"] for parameter in operation.get("parameters", [])}, set(), path)

    def test_what_is_not_said_is_not_sent(self):
        # Clients that are made from schemas send a "default" as if they had been told to.
        def defaults(value, where):
            if isinstance(value, dict):
                for name, each in value.items():
                    self.assertFalse(name == "default" and not isinstance(each, dict), where)
                    defaults(each, f"{where}/{name}")
            elif isinstance(value, list):
                for each in value:
                    defaults(each, where)
        defaults(SPEC, "")
        self.assertIn("Default: 1024.", SPEC["components"]["schemas"]["SpawnRequest"]["properties"]["memory_mb"]["description"])

    def test_frames_are_described(self):
        for _, path, operation in described():
            if path.endswith("/ws") or path in ENDLESS or path.endswith("/exec"):
                self.assertIn("x-stacyvm-frames", operation, path)
        for name in ("CommandFrame", "SandboxFrame", "OutputLine", "Event", "FileEvent", "Error", "CommandStart", "ExitFrame", "ErrorFrame"):
            self.assertIn(name, SPEC["components"]["schemas"])

    def test_what_heads_say_is_described(self):
        download, events = SPEC["paths"]["/api/v1/sandboxes/{id}/files"]["get"], SPEC["paths"]["/api/v1/events"]["get"]
        asked = [{parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"} for operation in (download, events)]
        self.assertEqual(asked, [{"Range", "If-Range"}, {"Last-Event-ID"}])
        sandbox = SERVER.spawn(ttl="5m")
        for wanted, status in (("bytes=0-1", 206), ("bytes=0-1,3-4", 206), ("bytes=1000000-", 416), ("", 200)):
            answer = sandbox.ask("GET", "/files?path=/etc/passwd", headers=[("Range", wanted)] if wanted else [])
            self.assertEqual(answer.status, status)
            self.assertIn(answer.header("Content-Type").partition(";")[0], download["responses"][str(status)]["content"])
            for name in download["responses"][str(status)]["headers"]:
                self.assertTrue(answer.header(name) or "," in wanted, name)
        sandbox.ask("DELETE")

    def test_security_and_address_are_said(self):
        self.assertEqual((SPEC["security"], [server["url"] for server in SPEC["servers"]]), ([{"key": []}, {"admin_key": []}], ["/"]))
        with Serving() as open_server:
            spec = open_server.ask("GET", "/api/v1/openapi.json").json()
        openapi_spec_validator.validate(spec)
        self.assertEqual(spec["security"], [])
        self.assertNotIn("securitySchemes", spec["components"])

    def test_who_has_no_key_sees_the_page_and_not_the_description(self):
        with SERVER.wire() as wire:
            self.assertEqual(wire.ask("GET", "/api/v1/openapi.json").status, 401)
        with SERVER.wire() as wire:
            page = wire.ask("GET", "/docs")
        self.assertEqual(page.status, 200)
        self.assertIn("text/html", page.header("Content-Type"))
        self.assertIn("default-src 'none'", page.header("Content-Security-Policy"))
        self.assertNotIn(b"http://", page.body.replace(b"http://www.w3.org", b""))


class Tried(unittest.TestCase):
    def attempt(self, parameters, excluded, examples):
        with tempfile.TemporaryDirectory() as directory:
            spec, config = os.path.join(directory, "openapi.json"), os.path.join(directory, "schemathesis.toml")
            with open(spec, "w", encoding="utf-8") as file:
                json.dump(SPEC, file)
            with open(config, "w", encoding="utf-8") as file:
                file.write(parameters)
            command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file", config, "run", spec, "--url", f"http://127.0.0.1:{SERVER.address[1]}",
                       "-H", f"X-API-Key: {KEY}", "--checks", CHECKS, "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--request-timeout", "20",
                       "--exclude-path-regex", "/(ws|archive)$", "--warnings", "off", "--no-color", "--workers", "1", "--generation-database", "none"]
            for path in sorted({*ENDLESS, *SLOW, *excluded}):
                command += ["--exclude-path", path]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TRY_SECONDS, cwd=directory, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])

    def test_whatever_comes(self):
        self.attempt("", [], 8)

    def test_whatever_comes_for_a_sandbox_that_runs(self):
        sandbox = SERVER.spawn(ttl="20m")
        paths = [path for path in SPEC["paths"] if "/sandboxes/{id}/" not in path or path.endswith("/extend")]
        self.attempt(f'[parameters]\n"path.id" = "{sandbox.id}"\n', paths, 8)
        self.assertEqual(sandbox.ask("GET").status, 200)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[4:]])
