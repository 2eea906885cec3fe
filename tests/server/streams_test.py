"""What stacyvm serve sends as it happens: output of commands (NDJSON), events (SSE) and conversations (WebSocket). Arguments: see serving.py."""
import base64
import hashlib
import json
import random
import signal
import threading
import time
import unittest

from serving import Serving, arguments, eventually
from wire import Closed, Events, WebSocket

LIST = "/api/v1/sandboxes"
EVENTS = "/api/v1/events"
WS_BYTES = 1 << 20

server = sandbox = None


def setUpModule():
    global server, sandbox
    server = Serving()
    sandbox = server.spawn()


def tearDownModule():
    server.close()


def stream(wire, command, **fields):
    """The lines of a command's output, as they come."""
    wire.request("POST", f"{sandbox.path}/exec", {"command": command, "stream": True, **fields})
    answer = wire.head()
    assert (answer.status, answer.header("Content-Type")) == (200, "application/x-ndjson"), answer
    return (json.loads(line) for line in wire.lines() if line)


def python(code):
    """A command that runs it."""
    return f"python3 -c 'import base64; exec(base64.b64decode(\"{base64.b64encode(code.encode()).decode()}\"))'"


class Output(unittest.TestCase):
    def test_lines_and_the_end(self):
        with server.wire() as wire:
            lines = list(stream(wire, "echo out; echo err >&2; exit 3"))
            self.assertEqual([line["data"] for line in lines if line["stream"] == "stderr"], ["err\n"])
            self.assertEqual("".join(line["data"] for line in lines if line["stream"] == "stdout"), "out\n")
            end = lines[-1]
            self.assertEqual((end["stream"], end["data"], end["exit_code"], end["signal"], end["reason"]), ("stdout", "", 3, 0, "exited"))
            self.assertTrue(all("exit_code" not in line for line in lines[:-1]))
            # The connection serves on.
            self.assertEqual(list(stream(wire, "true"))[-1]["exit_code"], 0)

    def test_lines_come_when_they_are_written(self):
        with server.wire() as wire:
            lines = stream(wire, "echo a; while [ ! -e go ]; do sleep 0.01; done; echo b")
            self.assertEqual(next(lines)["data"], "a\n")
            sandbox.run("touch go")
            self.assertEqual(next(lines)["data"], "b\n")
            self.assertEqual(next(lines)["exit_code"], 0)

    def test_how_it_ended(self):
        for command, fields, reason, number in (("kill -KILL $$", {}, "signalled", 9), ("sleep 60", {"timeout": "200ms"}, "timeout", None)):
            with server.wire() as wire:
                end = list(stream(wire, command, **fields))[-1]
                self.assertEqual(end["reason"], reason, end)
                if number:
                    self.assertEqual(end["signal"], number)

    def test_what_does_not_start_is_an_ordinary_error(self):
        for body, status in (({"command": "no-such-program", "mode": "argv"}, 422), ({"command": ""}, 400), ({"command": "true", "workdir": "/none"}, 422), ({"command": "true", "timeout": "soon"}, 400)):
            answer = sandbox.ask("POST", "/exec", {**body, "stream": True})
            self.assertEqual((answer.status, set(answer.json())), (status, {"code", "message", "details", "request_id"}), answer)
        self.assertEqual(server.ask("POST", f"{LIST}/sb-none/exec", {"command": "true", "stream": True}).status, 404)

    def test_characters_are_never_cut(self):
        text = "".join(random.choice("aé€😀\n") for _ in range(20_000))
        code = f"""
import os, random, sys
data = {text!r}.encode()
while data:
    size = random.randint(1, 50)
    os.write(1, data[:size])
    data = data[size:]
"""
        sandbox.ask("POST", "/files", {"path": "/workspace/split.py", "content": code})
        with server.wire() as wire:
            lines = list(stream(wire, "python3 split.py"))
        self.assertTrue(all("data_b64" not in line and "\ufffd" not in line["data"] for line in lines))
        self.assertEqual("".join(line["data"] for line in lines), text)

    def test_bytes_that_are_no_text(self):
        with server.wire() as wire:
            lines = list(stream(wire, r"printf 'a\377b'; sleep 0.1; printf '\303'"))
        raw = b"".join(base64.b64decode(line["data_b64"]) if "data_b64" in line else line["data"].encode() for line in lines)
        self.assertEqual(raw, b"a\xffb\xc3")

    def test_line_separators_do_not_end_a_line(self):
        with server.wire() as wire:
            wire.request("POST", f"{sandbox.path}/exec", {"command": r"printf 'a\342\200\250b\342\200\251c\302\205'", "stream": True})
            self.assertEqual(wire.head().status, 200)
            lines = list(wire.lines())
        self.assertEqual(json.loads(lines[0])["data"], "a\u2028b\u2029c\x85")
        self.assertNotIn("\u2028".encode(), lines[0])
        self.assertNotIn("\u2029".encode(), lines[0])

    def test_much_output_with_a_slow_reader(self):
        with server.wire() as wire:
            size = 0
            for line in stream(wire, "head -c 20000000 /dev/zero | tr '\\0' x"):
                size += len(line["data"])
        self.assertEqual((size, line["exit_code"]), (20_000_000, 0))

    def test_a_client_that_goes_takes_its_command_along(self):
        for streamed in (True, False):
            name = "12341" if streamed else "12342"
            with self.subTest(streamed=streamed):
                with server.wire() as wire:
                    wire.request("POST", f"{sandbox.path}/exec", {"command": f"exec sleep {name}", "stream": streamed})
                    self.assertTrue(eventually(lambda: sandbox.has(f"sleep {name}")))
                self.assertTrue(eventually(lambda: not sandbox.has(f"sleep {name}")))

    def test_a_client_that_goes_while_much_is_written(self):
        with server.wire() as wire:
            lines = stream(wire, "yes 12343")
            next(lines)
            self.assertTrue(sandbox.has("yes 12343"))
        self.assertTrue(eventually(lambda: not sandbox.has("yes 12343")))

    def test_head_of_what_goes_on_starts_nothing_that_stays(self):
        with server.wire() as wire:
            self.assertEqual(wire.ask("HEAD", f"{sandbox.path}/console").status, 200)
            self.assertEqual(wire.ask("GET", LIST).status, 200)


class Background(unittest.TestCase):
    def start(self, command, **fields):
        answer = sandbox.ask("POST", "/processes", {"command": command, **fields})
        self.assertEqual(answer.status, 201, answer)
        return answer.json()["exec_id"]

    def test_output_is_there_again(self):
        id_ = self.start("echo a; while [ ! -e on ]; do sleep 0.01; done; echo b; exit 4")
        with server.wire() as wire:
            wire.request("GET", f"{sandbox.path}/processes/{id_}/output")
            self.assertEqual(wire.head().status, 200)
            lines = (json.loads(line) for line in wire.lines() if line)
            self.assertEqual(next(lines)["data"], "a\n")
        # Whoever attached has gone: it goes on.
        with server.wire() as wire:
            wire.request("GET", f"{sandbox.path}/processes/{id_}/output?from_offset=0")
            wire.head()
            lines = (json.loads(line) for line in wire.lines() if line)
            self.assertEqual(next(lines)["data"], "a\n")
            sandbox.run("touch on")
            rest = list(lines)
            self.assertEqual(("".join(line["data"] for line in rest), rest[-1]["exit_code"]), ("b\n", 4))

    def test_a_socket_attaches_from_an_offset_and_leaves_it_running(self):
        id_ = self.start("echo 0123456789; while [ ! -e further ]; do sleep 0.01; done; cat; exit 5", use_stdin=True)
        path = f"{sandbox.path}/processes/{id_}/ws"
        with server.wire() as wire:
            self.assertEqual(WebSocket(wire, path).output_until("9\n"), "0123456789\n")
        self.assertEqual([one["state"] for one in sandbox.ask("GET", "/processes").json() if one["exec_id"] == id_], ["running"])
        with server.wire() as wire:
            client = WebSocket(wire, f"{path}?from_offset=5")
            self.assertEqual(client.output_until("9\n"), "56789\n")
            sandbox.run("touch further")
            client.say(type="stdin", data="in", eof=True)
            messages = client.rest()
            self.assertEqual("".join(message.get("data", "") for message in messages), "in")
            self.assertEqual((messages[-1]["type"], messages[-1]["exit_code"], client.closed[0]), ("exit", 5, 1000))


class Conversation(unittest.TestCase):
    def talk(self, wire, **start):
        client = WebSocket(wire, f"{sandbox.path}/exec/ws")
        self.assertEqual(client.answer.status, 101, client.answer)
        if start:
            client.say(type="start", **start)
        return client

    def test_pipes(self):
        with server.wire() as wire:
            client = self.talk(wire, command="read -r line; echo \"got $line\"; echo err >&2; exit 7")
            client.say(type="stdin", data="é\n")
            messages = client.rest()
            self.assertEqual([m["data"] for m in messages if m["type"] == "stdout"], ["got é\n"])
            self.assertEqual([m["data"] for m in messages if m["type"] == "stderr"], ["err\n"])
            end = messages[-1]
            self.assertEqual((end["type"], end["exit_code"], end["reason"], end["signal"]), ("exit", 7, "exited", 0))
            self.assertEqual(client.closed, (1000, ""))
            client.close()
            self.assertTrue(wire.is_closed())

    def test_input_that_is_no_text_and_its_end(self):
        data = bytes(range(256)) * 4096
        with server.wire() as wire:
            client = self.talk(wire, command="sha256sum; wc -c < /dev/null")
            client.binary(data[: WS_BYTES // 2])
            client.say(type="stdin", data_base64=base64.b64encode(data[WS_BYTES // 2:]).decode())
            client.say(type="stdin", eof=True)
            self.assertIn(hashlib.sha256(data).hexdigest(), "".join(m.get("data", "") for m in client.rest()))

    def test_output_that_is_no_text(self):
        with server.wire() as wire:
            messages = self.talk(wire, command=r"printf '\377'").rest()
            self.assertEqual(messages[0], {"type": "stdout", "data_base64": "/w=="})

    def test_a_terminal(self):
        with server.wire() as wire:
            client = self.talk(wire, command="trap 'stty size' WINCH; trap 'echo interrupted' INT; stty size; while :; do sleep 0.02; done", tty=True, rows=11, cols=22)
            client.output_until("11 22")
            client.say(type="resize", rows=33, cols=44)
            client.output_until("33 44")
            client.say(type="stdin", data="\x03")
            client.output_until("interrupted")
            client.say(type="signal", signal="SIGKILL")
            end = client.rest()[-1]
            self.assertEqual((end["type"], end["signal"], end["reason"]), ("exit", 9, "signalled"))

    def test_a_terminal_takes_lines(self):
        with server.wire() as wire:
            client = self.talk(wire, command="tty > /dev/null && exec cat", tty=True)
            client.say(type="stdin", data="é\n")
            self.assertEqual(client.output_until("é\r\né\r\n"), "é\r\né\r\n")
            client.say(type="stdin", data="\x04")
            self.assertEqual(client.rest()[-1]["exit_code"], 0)

    def test_ctrl_c_ends_what_runs_in_a_terminal(self):
        with server.wire() as wire:
            client = self.talk(wire, command="echo on; exec sleep 12350", tty=True)
            client.output_until("on")
            self.assertTrue(eventually(lambda: sandbox.has("sleep 12350")))
            client.say(type="stdin", data="\x03")
            end = client.rest()[-1]
            self.assertEqual((end["type"], end["signal"]), ("exit", signal.SIGINT))

    def test_signals_by_any_of_their_names(self):
        for name in ("SIGTERM", "TERM", "15"):
            with server.wire() as wire:
                client = self.talk(wire, command="trap 'exit 42' TERM; echo on; while :; do sleep 0.01; done")
                client.output_until("on")
                client.say(type="signal", signal=name)
                self.assertEqual(client.rest()[-1]["exit_code"], 42)

    def refused(self, code, send, start=True):
        """What the server says before it closes."""
        with server.wire() as wire:
            client = self.talk(wire, **({"command": "exec sleep 12360"} if start else {}))
            send(client)
            messages = client.rest()
            self.assertEqual((messages[-1]["type"], client.closed[0]), ("error", code), messages)
            self.assertTrue(messages[-1]["message"])
        self.assertTrue(eventually(lambda: not sandbox.has("sleep 12360")))
        return messages[-1]

    def test_first_frames_that_are_none(self):
        self.refused(1007, lambda client: client.text("x"), start=False)
        self.refused(1007, lambda client: client.text("[]"), start=False)
        self.refused(1008, lambda client: client.text("{}"), start=False)
        self.refused(1008, lambda client: client.say(type="stdin", data="x"), start=False)
        self.assertEqual(self.refused(1008, lambda client: client.say(type="start"), start=False)["code"], "BAD_REQUEST")
        self.refused(1008, lambda client: client.say(type="start", command="true", timeout="soon"), start=False)
        # Well-formed, and there is no such program.
        self.assertEqual(self.refused(1011, lambda client: client.say(type="start", command="no-such-program", mode="argv"), start=False)["code"], "FILE_NOT_FOUND")

    def test_later_frames_that_are_none(self):
        self.refused(1007, lambda client: client.text("x"))
        for frame in ({}, {"type": "none"}, {"type": "start", "command": "true"}, {"type": "resize", "rows": 0, "cols": 1}, {"type": "resize", "rows": 1, "cols": 4097}, {"type": "resize", "rows": -1, "cols": 1},
                      {"type": "resize"}, {"type": "signal"}, {"type": "signal", "signal": "SIGNONE"}, {"type": "signal", "signal": 65}, {"type": "stdin", "data_base64": "%"}):
            with self.subTest(frame):
                self.refused(1008, lambda client: client.say(**frame))

    def test_frames_that_break_the_protocol(self):
        for code, send in ((1002, lambda client: client.send_frame(1, b'{"type":"signal"}', masked=False)), (1002, lambda client: client.send_frame(3, b"x")), (1007, lambda client: client.send_frame(1, b"\xff")),
                           (1002, lambda client: client.send_frame(9, b"x" * 126)), (1002, lambda client: client.send_frame(0, b"x")), (1002, lambda client: client.send_frame(0x41, b"x")),
                           (1002, lambda client: client.send_frame(9, b"", final=False)), (1002, lambda client: client.send_frame(8, b"x")), (1002, lambda client: client.close(1005)),
                           (1007, lambda client: client.send_frame(8, b"\x03\xe8\xff")), (1002, lambda client: client.wire.send(b"GET / HTTP/1.1\r\n\r\n"))):
            with self.subTest(code), server.wire() as wire:
                client = self.talk(wire, command="exec sleep 12361")
                send(client)
                self.assertEqual(client.rest(), [])
                self.assertEqual(client.closed[0], code)
                self.assertTrue(client.closed[1], "it does not say why")
                self.assertTrue(wire.is_closed())
            self.assertTrue(eventually(lambda: not sandbox.has("sleep 12361")))

    def test_the_largest_message_and_one_beyond(self):
        with server.wire() as wire:
            client = self.talk(wire, command="wc -c")
            client.binary(bytes(WS_BYTES))
            client.say(type="stdin", eof=True)
            self.assertEqual(client.next()["data"], f"{WS_BYTES}\n")
        with server.wire() as wire:
            client = self.talk(wire, command="exec sleep 12362")
            client.binary(bytes(WS_BYTES + 1))
            self.assertEqual(client.rest(), [])
            self.assertEqual(client.closed[0], 1009)
        self.assertTrue(eventually(lambda: not sandbox.has("sleep 12362")))

    def test_fragments_and_pings(self):
        with server.wire() as wire:
            client = self.talk(wire)
            text = b'{"type":"start","command":"cat"}'
            client.send_frame(1, text[:10], final=False)
            client.send_frame(9, b"ping")
            client.send_frame(0, text[10:20], final=False)
            client.send_frame(0, text[20:])
            first, second = wire.exactly(2)
            self.assertEqual((first, wire.exactly(second)), (0x8A, b"ping"))
            client.say(type="stdin", data="x", eof=True)
            self.assertEqual([m["type"] for m in client.rest()], ["stdout", "exit"])

    def test_a_frame_that_comes_byte_by_byte(self):
        with server.wire() as wire:
            client = self.talk(wire, command="wc -c")
            sent = []
            client.wire, whole = type("", (), {"send": staticmethod(sent.append)}), client.wire
            for size in (1, 200, 70_000):
                client.binary(bytes(size))
            client.say(type="stdin", eof=True)
            client.wire = whole
            for frame in sent:
                for byte in frame[:14]:  # the head: what is read together is not always what was sent together
                    wire.send(bytes([byte]))
                    time.sleep(0.01)
                wire.send(frame[14:])
            self.assertEqual(client.next()["data"], "70201\n")

    def test_a_close_is_answered_with_its_code(self):
        for code in (1000, 3000, None):
            with self.subTest(code), server.wire() as wire:
                client = self.talk(wire, command="exec sleep 12363")
                client.close(code) if code else client.send_frame(8, b"")
                self.assertEqual(client.rest(), [])
                self.assertEqual(client.closed[0], code or 1005)
        self.assertTrue(eventually(lambda: not sandbox.has("sleep 12363")))

    def test_a_client_that_goes_takes_its_command_along(self):
        for tty in (False, True):
            for polite in (False, True):
                with self.subTest(tty=tty, polite=polite):
                    with server.wire() as wire:
                        client = self.talk(wire, command="exec sleep 12370", tty=tty)
                        self.assertTrue(eventually(lambda: sandbox.has("sleep 12370")))
                        if polite:
                            client.close()
                            self.assertIsNone(client.next())
                    self.assertTrue(eventually(lambda: not sandbox.has("sleep 12370")))

    def test_a_client_that_reads_nothing_and_goes(self):
        with server.wire() as wire:
            self.talk(wire, command="exec yes 12371")
            self.assertTrue(eventually(lambda: sandbox.has("yes 12371")))
        self.assertTrue(eventually(lambda: not sandbox.has("yes 12371")))

    def test_a_command_that_reads_nothing(self):
        """More input than anybody takes does not keep the output or a signal away."""
        with server.wire() as wire:
            client = self.talk(wire, command="echo on; exec sleep 12372")
            client.output_until("on")
            feeder = threading.Thread(target=self.feed, args=(client,), daemon=True)
            feeder.start()
            self.assertTrue(eventually(lambda: sandbox.has("sleep 12372")))
            sandbox.run("pkill -fx 'sleep 12372' || true")
        self.assertTrue(eventually(lambda: not sandbox.has("sleep 12372")))
        feeder.join(30)
        self.assertFalse(feeder.is_alive())

    @staticmethod
    def feed(client):
        try:
            for _ in range(64):
                client.binary(bytes(WS_BYTES))
        except OSError:
            pass

    def test_what_is_no_websocket(self):
        answer = sandbox.ask("GET", "/exec/ws")
        self.assertEqual(answer.status, 426)
        with server.wire() as wire:
            self.assertEqual(WebSocket(wire, LIST).answer.status, 400)

    def test_a_port_both_ways(self):
        sandbox.ask("POST", "/processes", {"command": python("""
import socket
s = socket.create_server(('127.0.0.1', 8123))
while True:
    c, _ = s.accept()
    while data := c.recv(65536):
        c.sendall(data.upper())
    c.sendall(b'.')
    c.close()
""")})
        self.assertEqual(sandbox.ask("POST", "/ports/wait", {"port": 8123, "timeout": "10s"}).status, 200)
        path = f"{sandbox.path}/ports/8123/ws"
        with server.wire() as wire:
            client = WebSocket(wire, path)
            client.binary(b"abc\x00\xff")
            self.assertEqual(client.next(), b"ABC\x00\xff")
            client.text("text")
            self.assertEqual(client.next(), b"TEXT")
            much = b"x" * WS_BYTES
            client.binary(much)
            got = b""
            while len(got) < len(much):
                got += client.next()
            self.assertEqual(got, much.upper())
        with server.wire() as wire:
            client = WebSocket(wire, f"{sandbox.path}/ports/8124/ws")
            self.assertEqual((client.rest()[-1]["type"], client.closed[0]), ("error", 1011))


class Happenings(unittest.TestCase):
    """Server-sent events."""

    def numbers(self, events):
        return [int(id_.removeprefix("evt-")) for id_, _ in events]

    def last(self):
        """The newest event's id, once something has happened."""
        with server.wire() as wire:
            events = Events(wire, f"{EVENTS}?after=0")
            other = server.spawn()
            seen = events.until(lambda data: data["type"] == "sandbox.running" and data["sandbox_id"] == other.id)
            other.destroy()
            return seen[-1][0]

    def test_events_have_ids_and_types(self):
        with server.wire() as wire:
            events = Events(wire, EVENTS)
            self.assertEqual((events.answer.status, events.answer.header("Content-Type")), (200, "text/event-stream"))
            other = server.spawn()
            other.run("true")
            other.destroy()
            seen = events.until(lambda data: data["type"] == "sandbox.destroyed" and data["sandbox_id"] == other.id)
        mine = [data["type"] for _, data in seen if data.get("sandbox_id") == other.id]
        self.assertEqual((mine[:2], mine[-1]), (["sandbox.created", "sandbox.running"], "sandbox.destroyed"))
        for id_, data in seen:
            self.assertEqual(id_, data["id"])

    def test_a_stream_that_is_cut_goes_on_where_it_was(self):
        last = start = self.last()
        seen = []
        stop = threading.Event()

        def make_events():
            while not stop.is_set():
                sandbox.run("true")
        maker = threading.Thread(target=make_events)
        maker.start()
        try:
            while len(seen) < 60:
                with server.wire() as wire:
                    events = Events(wire, EVENTS, headers=[("Last-Event-ID", last)])
                    count = random.randint(1, 10)
                    for id_, _ in events:
                        seen.append(id_)
                        last = id_
                        if (count := count - 1) == 0:
                            break
        finally:
            stop.set()
            maker.join()
        numbers = [int(id_.removeprefix("evt-")) for id_ in seen]
        with server.wire() as wire:
            all_ = self.numbers(Events(wire, f"{EVENTS}?after={start.removeprefix('evt-')}").until(lambda data: data["id"] == last))
        self.assertEqual(numbers, all_)

    def test_ids_that_are_not_ours(self):
        for given in ("evt-999999999", "nonsense", "-1", "evt-", "9" * 100):
            with self.subTest(given), server.wire() as wire:
                events = Events(wire, EVENTS, headers=[("Last-Event-ID", given)])
                self.assertEqual(events.answer.status, 200)
                self.assertEqual(next(iter(events))[0], "evt-1")  # all that is known
        for given, status in (("x", 400), ("0", 200)):
            with server.wire() as wire:
                self.assertEqual(Events(wire, f"{EVENTS}?after={given}").answer.status, status)

    def test_a_watch_tells_of_files(self):
        with server.wire() as wire:
            sandbox.run("mkdir -p watched")
            events = Events(wire, f"{sandbox.path}/files/watch?path=/workspace/watched")
            self.assertEqual(events.answer.status, 200, events.answer)
            sandbox.run("echo a > watched/new")
            seen = events.until(lambda data: "new" in data["path"])
            self.assertEqual((seen[0][1]["type"], {id_ for id_, _ in seen}), ("watching", {None}))

    def test_clients_that_go_leave_nothing(self):
        threads = server.usage("Threads")
        for _ in range(20):
            with server.wire() as wire:
                self.assertEqual(Events(wire, EVENTS).answer.status, 200)
        self.assertTrue(eventually(lambda: server.usage("Threads") <= threads + 1))


if __name__ == "__main__":
    unittest.main(argv=arguments())
