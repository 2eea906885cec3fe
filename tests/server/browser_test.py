"""examples/browser/terminal.html in a browser: a terminal in a sandbox, and events. Arguments: see serving.py."""
import functools
import http.server
import os
import signal
import socket
import sys
import threading
import unittest

from browser import CTRL, Browser, CannotRun
from serving import Serving, arguments, eventually
from wire import Events

PAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "examples", "browser"))
CASE_SECONDS = 60
KEY = "browser+/-key"
COMMAND = "PS1='ready> ' exec bash --norc"
EVENTS = "/api/v1/events"

browser = pages = server = None


class Pages:
    """A web server, and so an origin."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(self.Handler, directory=PAGE))
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Cutting:
    """A way to the server that cuts event streams: each after one more of so many bytes, then none any more."""

    def __init__(self, address, *after):
        self.address, self.left = address, list(after)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        upstream = socket.create_connection(self.address)
        budget = []  # of the answer to an event stream's request

        def forward():
            try:
                while data := client.recv(1 << 16):
                    if data.startswith(f"GET {EVENTS} ".encode()) and self.left:
                        budget.append(self.left.pop(0))
                    upstream.sendall(data)
                upstream.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=forward, daemon=True).start()
        try:
            while data := upstream.recv(1 << 16):
                if budget:
                    data = data[:budget[0]]
                    budget[0] -= len(data)
                client.sendall(data)
                if budget and budget[0] == 0:
                    break
        except OSError:
            pass
        for end in (client, upstream):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def setUpModule():
    global pages, server
    pages = Pages()
    server = Serving(f"auth:\n  api_key: {KEY}\nserver:\n  cors_allowed_origins: ['{pages.origin}']\n")
    server.headers = [("X-API-Key", KEY)]


def tearDownModule():
    server.close()
    pages.close()


class Case(unittest.TestCase):
    def setUp(self):
        def late(*_):
            raise TimeoutError(f"not done in {CASE_SECONDS} s")
        signal.signal(signal.SIGALRM, late)
        signal.alarm(CASE_SECONDS)
        self.addCleanup(signal.alarm, 0)

    def open(self, origin=None, key=KEY, port=None, sandbox="", command=COMMAND):
        self.page = browser.page((origin or pages.origin) + "/terminal.html")
        self.addCleanup(self.page.close)
        for name, value in (("server", f"http://127.0.0.1:{port or server.address[1]}"), ("key", key), ("sandbox", sandbox), ("command", command)):
            self.page.run(f"at('{name}').value = {value!r}")
        return self.page

    def tearDown(self):
        self.assertEqual(self.page.errors(), [])

    def state(self, text):
        """Waits for what the page says of the terminal."""
        self.page.until(f"at('state').value.includes({text!r})")

    def shows(self, text):
        """Waits for it on the screen."""
        self.page.until(f"at('screen').textContent.includes({text!r})")

    def terminal(self, **fields):
        page = self.open(**fields)
        page.run("at('open').click()")
        self.shows("ready> ")
        return page


class Terminal(Case):
    def test_a_command_that_is_typed_shows_its_output_and_the_exit_code(self):
        page = self.terminal()
        page.type("echo $((6 * 7))é\n")
        self.shows("\n42é\nready> ")
        page.type("printf 'kept\\rK\\033[31m\\033]0;title\\007red\\010D\\n'\n")
        self.shows("\nKreD\n")
        page.type("exit 7\n")
        self.state("exit code 7")
        self.assertEqual(server.ask("DELETE", f"/api/v1/sandboxes/{page.run('at(`sandbox`).value')}").status, 200)

    def test_an_end_by_a_signal(self):
        page = self.terminal()
        page.type("kill -KILL $$\n")
        self.state("ended by signal 9")

    def test_the_window_gets_another_size(self):
        page = self.terminal()
        was = page.run("size()")
        page.type("stty size\n")
        self.shows(f"\n{was['rows']} {was['cols']}\n")
        # Without a key pressed: the program is told.
        page.type("trap 'echo now $(stty size)' WINCH; while :; do read -t 60 -n 1 && break; done\n")
        page.resize(640, 480)
        page.until(f"size().cols < {was['cols']} && size().rows < {was['rows']} && size().cols === told.cols && size().rows === told.rows")
        now = page.run("size()")
        self.shows(f"now {now['rows']} {now['cols']}\n")
        page.resize(1000, 700)
        self.shows(f"now {was['rows']} {was['cols']}\n")
        page.type("x")
        page.type("stty size; echo end\n")
        self.shows(f"\n{was['rows']} {was['cols']}\nend\n")

    def test_ctrl_c_ends_what_runs(self):
        page = self.terminal()
        sandbox = page.run("at('sandbox').value")
        running = functools.partial(self.has, sandbox, "sleep 1000")
        page.type("sleep 1000\n")
        self.assertTrue(eventually(running))
        page.key("c", modifiers=CTRL, code=67)
        self.shows("^C\nready> ")
        self.assertFalse(running())
        page.type("echo $?\n")
        self.shows("\n130\n")
        page.key("d", modifiers=CTRL, code=68)
        self.state("exit code 0")

    def has(self, sandbox, command):
        answer = server.ask("POST", f"/api/v1/sandboxes/{sandbox}/exec", {"command": f"pgrep -fx '{command}'"})
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["exit_code"] == 0

    def test_keys_that_are_no_characters_and_paste(self):
        page = self.terminal()
        page.type("echo ac")
        page.key("ArrowLeft", code=37)
        page.type("bX")
        page.key("Backspace", code=8)
        page.key("Enter", "\r", code=13)
        self.shows("\nabc\n")
        page.key("ArrowUp", code=38)
        page.key("Enter", "\r", code=13)
        self.shows("\nabc\nready> echo abc\nabc\n")
        page.type("cat > pasted; wc -c pasted\n")
        text = "line é😀\n" * 100_000
        page.run(f"""{{ const data = new DataTransfer(); data.setData("text/plain", {"line é😀"!r}.concat("\\n").repeat(100000));
                        at("keys").dispatchEvent(new ClipboardEvent("paste", {{clipboardData: data, cancelable: true}})); }}""")
        page.key("d", modifiers=CTRL, code=68)
        self.shows(f"\n{len(text.encode())} pasted\n")

    def test_a_sandbox_that_is_there(self):
        sandbox = server.spawn()
        sandbox.run("echo from before > file")
        page = self.terminal(sandbox=sandbox.id)
        page.type("cat file\n")
        self.shows("\nfrom before\n")
        page.run("at('destroy').click()")
        page.until("at('state').value !== 'running' && !at('destroy').disabled")
        self.assertEqual(page.run("at('sandbox').value"), "")
        self.assertEqual(sandbox.ask("GET").status, 404)


class Admission(Case):
    def asked(self, message):
        """Both panels say why."""
        self.page.run("at('open').click(); at('follow').click()")
        self.state(message)
        self.page.until(f"at('following').value.includes({message!r})")

    def test_another_origin(self):
        other = Pages()
        self.addCleanup(other.close)
        sandbox = server.spawn()
        self.open(origin=other.origin, sandbox=sandbox.id, command="echo ran > ran")
        self.asked("does not let pages of this origin in")
        # Nor is a socket let in, which a browser opens without asking first.
        code = self.page.run("""new Promise(resolve => { const socket = new WebSocket(api("sandboxes/" + at("sandbox").value + "/exec/ws").href.replace("http", "ws"),
                                    ["stacyvm", "stacyvm-key." + btoa(at("key").value).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")]);
                                    socket.onopen = () => resolve("open"); socket.onclose = ({code}) => resolve(code); })""")
        self.assertEqual(code, 1006)
        self.assertEqual(sandbox.run("ls"), "")

    def test_a_key_that_is_not_the_servers(self):
        self.open(key=KEY + "x")
        self.asked("the key is not valid")

    def test_a_page_that_is_a_file(self):
        """Its origin is "null": who has a key may, where nothing else is configured."""
        with Serving(f"auth:\n  api_key: {KEY}\n") as other:
            other.headers = server.headers
            self.terminal(origin=f"file://{PAGE}", port=other.address[1])
        with Serving() as other:
            self.open(origin=f"file://{PAGE}", port=other.address[1])
            self.asked("does not let pages of this origin in")

    def test_a_sandbox_that_is_not_there(self):
        self.open(sandbox="sb-none")
        self.page.run("at('open').click()")
        self.state("sandbox not found")


class Happenings(Case):
    def follow(self, **fields):
        page = self.open(**fields)
        page.run("at('follow').click()")
        page.until("at('following').value.startsWith('connected')")
        return page

    def happen(self):
        """Some events. The last one's id."""
        sandbox = server.spawn()
        sandbox.run("true")
        sandbox.destroy()
        with server.wire() as wire:
            seen = Events(wire, f"{EVENTS}?after=0", [("X-API-Key", KEY)]).until(lambda data: data["type"] == "sandbox.destroyed" and data["sandbox_id"] == sandbox.id)
        return seen[-1][0]

    def shown(self, last):
        """The page's events are those of the server, up to the last, in order."""
        self.page.until(f"at('events').querySelector('[data-id={last}]')")
        with server.wire() as wire:
            seen = Events(wire, f"{EVENTS}?after=0", [("X-API-Key", KEY)]).until(lambda data: data["id"] == last)
        self.assertEqual(self.page.run("Array.from(at('events').children, line => line.dataset.id)"), [id_ for id_, _ in seen][-500:])

    def test_events_appear(self):
        page = self.follow()
        self.shown(self.happen())
        self.assertIn("sandbox.destroyed", page.run("at('events').lastChild.textContent"))

    def test_the_server_is_started_again(self):
        sandbox = server.spawn()
        page = self.follow()
        self.shown(self.happen())
        self.assertEqual(server.end(signal.SIGTERM), 0)
        page.until("at('following').value.includes('once more')")
        server.start(server.address[1])
        self.assertEqual(sandbox.run("echo still"), "still\n")
        last = self.happen()
        page.until("at('following').value === 'connected (2)'")
        self.shown(last)
        self.shown(self.happen())

    def test_streams_that_are_cut_anywhere(self):
        for _ in range(6):
            last = self.happen()
        # Within the head and the first events: each is about 150 bytes.
        with server.wire() as wire:
            wire.request("GET", EVENTS, headers=[*server.headers, ("Origin", pages.origin)])
            head = len(wire.until(b"\r\n\r\n")) + 4
        way = Cutting(server.address, 1, head // 2, *range(head, head + 500, 43))
        self.addCleanup(way.close)
        self.follow(port=way.port)
        self.shown(last)
        self.assertEqual(way.left, [])
        self.shown(self.happen())


if __name__ == "__main__":
    try:
        browser = Browser()
    except CannotRun as error:
        print(f"SKIPPED: {error}")
        sys.exit(77)
    try:
        unittest.main(argv=arguments())
    finally:
        browser.close()
