"""How stacyvm serve ends, and what the next one finds. Arguments: see serving.py."""
import json
import signal
import threading
import unittest

from serving import Serving, arguments, eventually
from wire import Closed, Events, WebSocket

LIST = "/api/v1/sandboxes"
EVENTS = "/api/v1/events"


class Ends(unittest.TestCase):
    def setUp(self):
        self.server = Serving()
        self.addCleanup(self.close)

    def close(self):
        if self.server.ending:
            self.server.wait()
        if self.server.process.poll() is not None:
            self.server.start()
        self.server.close()

    def run_in_thread(self, function):
        result = []
        thread = threading.Thread(target=lambda: result.append(function()))
        thread.start()
        return thread, result

    def test_a_command_under_way_is_answered_before_the_server_ends(self):
        sandbox = self.server.spawn()
        with self.server.wire() as running, self.server.wire() as idle:
            running.request("POST", f"{sandbox.path}/exec", {"command": "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo done"})
            self.assertTrue(eventually(lambda: sandbox.run("ls -d begun || true") == "begun\n"))
            streamed = self.server.wire()
            self.addCleanup(streamed.close)
            streamed.request("POST", f"{sandbox.path}/exec", {"command": "echo a; while [ ! -e go ]; do sleep 0.02; done; echo b", "stream": True})
            streamed.head()
            lines = (json.loads(line) for line in streamed.lines() if line)
            self.assertEqual(next(lines)["data"], "a\n")
            self.assertEqual(idle.ask("GET", LIST).status, 200)
            # On this connection the server will let the commands go on.
            last = self.server.wire()
            self.addCleanup(last.close)
            last.send(f"POST {sandbox.path}/exec HTTP/1.1\r\nHost: localhost\r\nContent-Length: 23\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(last.head().status, 100)
            self.server.tell(signal.SIGTERM)
            self.assertTrue(idle.is_closed(), "an idle connection ends at once")
            with self.assertRaises(OSError):
                self.server.wire(2).ask("GET", LIST)
            last.send('{"command":"touch go"} ')
            self.assertEqual(last.answer().status, 200)
            answer = running.answer()
            self.assertEqual((answer.status, answer.json()["stdout"]), (200, "done\n"))
            rest = list(lines)
            self.assertEqual((rest[0]["data"], rest[-1]["exit_code"]), ("b\n", 0))
        self.assertEqual(self.server.wait(), 0)

    def test_under_load_every_request_is_answered_or_refused(self):
        """None is cut off: what was taken is answered, and nothing else is."""
        sandbox = self.server.spawn()
        counts = {"answered": 0}
        lock = threading.Lock()

        def load():
            while True:
                try:
                    with self.server.wire() as wire:
                        while True:
                            wire.request("POST", f"{sandbox.path}/exec", {"command": "true"})
                            answer = wire.answer()
                            if answer.status != 200:
                                return answer
                            with lock:
                                counts["answered"] += 1
                            if answer.header("Connection") == "close":
                                break
                except ConnectionRefusedError:
                    return None
                except Closed as error:
                    if error.args[0]:
                        return error  # half an answer
                except OSError:
                    pass
        threads = [self.run_in_thread(load) for _ in range(8)]
        self.assertTrue(eventually(lambda: counts["answered"] > 50))
        self.assertEqual(self.server.end(), 0)
        for thread, result in threads:
            thread.join(30)
            self.assertEqual(result, [None])

    def test_streams_end_at_once_and_say_so(self):
        sandbox = self.server.spawn()
        with self.server.wire() as events_wire, self.server.wire() as socket_wire:
            events = Events(events_wire, EVENTS)
            next(events.lines)
            client = WebSocket(socket_wire, f"{sandbox.path}/exec/ws")
            client.say(type="start", command="echo on; exec sleep 12380")
            client.output_until("on")
            self.server.tell(signal.SIGTERM)
            list(events.lines)  # to its last chunk
            self.assertIsNone(client.next())
            self.assertEqual(client.closed[0], 1001)
            client.close(1001)
            self.assertEqual(self.server.wait(), 0)

    def test_what_takes_too_long_is_cut_off(self):
        self.server.close()
        self.server = Serving("server:\n  shutdown_timeout: 300ms\n")
        sandbox = self.server.spawn()
        with self.server.wire() as wire:
            wire.request("POST", f"{sandbox.path}/exec", {"command": "touch begun; exec sleep 12381"})
            self.assertTrue(eventually(lambda: sandbox.has("sleep 12381")))
            self.assertEqual(self.server.end(), 0)
            with self.assertRaises((Closed, OSError)):
                wire.answer()
        self.assertTrue([line for line in self.server.log if "cut off" in line])

    def test_an_interrupt_ends_it_too(self):
        self.assertEqual(self.server.end(signal.SIGINT), 0)

    def test_the_next_server_has_everything_again(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how):
                sandbox = self.server.spawn(metadata={"of": str(how)})
                sandbox.ask("POST", "/files", {"path": "/workspace/kept", "content": "kept"})
                id_ = sandbox.ask("POST", "/processes", {"command": "echo before; while [ ! -e go ]; do sleep 0.02; done; echo after; exit 6"}).json()["exec_id"]
                with self.server.wire() as wire:
                    events = Events(wire, f"{EVENTS}?after=0")
                    known = [id for id, _ in events.until(lambda data: data["type"].startswith("exec") and data["sandbox_id"] == sandbox.id)]
                self.server.end(how)
                self.server.start()
                self.assertEqual([one["id"] for one in self.server.ask("GET", LIST).json()], [sandbox.id])
                self.assertEqual(sandbox.run("cat kept"), "kept")
                self.assertEqual([one["state"] for one in sandbox.ask("GET", "/processes").json() if one["exec_id"] == id_], ["running"])
                sandbox.run("touch go")
                with self.server.wire() as wire:
                    wire.request("GET", f"{sandbox.path}/processes/{id_}/output?from_offset=0")
                    self.assertEqual(wire.head().status, 200)
                    lines = [json.loads(line) for line in wire.lines() if line]
                self.assertEqual(("".join(line["data"] for line in lines), lines[-1]["exit_code"]), ("before\nafter\n", 6))
                # Events go on with ids that were never given before, and those of before are still there.
                with self.server.wire() as wire:
                    events = Events(wire, EVENTS, headers=[("Last-Event-ID", known[0])])
                    self.server.ask("PATCH", sandbox.path, {"metadata": {"a": "b"}})
                    sandbox.run("true")
                    sandbox.destroy()
                    seen = [id for id, _ in events.until(lambda data: data["type"] == "sandbox.destroyed" and data["sandbox_id"] == sandbox.id)]
                self.assertEqual(seen[: len(known) - 1], known[1:])
                numbers = [int(id.removeprefix("evt-")) for id in seen]
                self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))

    def test_a_kill_in_the_middle_of_everything(self):
        sandbox = self.server.spawn()
        with self.server.wire() as upload, self.server.wire() as command, self.server.wire() as other:
            upload.send(f"PUT {sandbox.path}/files?path=/workspace/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode() + bytes(300_000))
            command.request("POST", f"{sandbox.path}/exec", {"command": "exec sleep 12382"})
            client = WebSocket(other, f"{sandbox.path}/exec/ws")
            client.say(type="start", command="exec sleep 12383", tty=True)
            self.assertTrue(eventually(lambda: sandbox.has("sleep 12382") and sandbox.has("sleep 12383")))
            self.server.end(signal.SIGKILL)
        self.server.start()
        self.assertTrue(eventually(lambda: not sandbox.has("sleep 12382") and not sandbox.has("sleep 12383")), "commands whose client has gone run on")
        self.assertTrue(eventually(lambda: sandbox.run("ls -A /workspace") == ""))


if __name__ == "__main__":
    unittest.main(argv=arguments())
