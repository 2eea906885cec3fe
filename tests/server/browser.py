"""A browser without a window, driven by the Chrome DevTools Protocol over a pipe: JSON, each message ended by a NUL.

https://chromedevtools.github.io/devtools-protocol/"""
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

SECONDS = 60  # for an answer; for what a page is to become, half of it
CTRL = 2
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--window-size=1000,700", "--remote-debugging-pipe"]


class CannotRun(Exception):
    """There is no browser, or none that starts."""


class Browser:
    def __init__(self):
        executable = shutil.which("chromium")
        if not executable:
            raise CannotRun("no chromium")
        version = subprocess.run([executable, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=SECONDS)
        if version.returncode != 0:
            raise CannotRun(f"chromium --version: {version.stderr.strip() or version.returncode}")
        self.directory = tempfile.mkdtemp(prefix="stacyvm-browser-")
        self.log = os.path.join(self.directory, "log")
        self.buffer, self.last, self.events = b"", 0, []
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self.input, self.output = ours_in, ours_out
        # It reads from 3 and writes to 4: bash puts them there, from numbers that are neither.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]
        environment = {**os.environ, "HOME": self.directory, "XDG_CONFIG_HOME": self.directory, "XDG_CACHE_HOME": self.directory}
        try:
            with open(self.log, "wb") as log:
                self.process = subprocess.Popen(["bash", "-c", f'exec 3<&{high[0]} 4>&{high[1]} {high[0]}<&- {high[1]}>&-; exec "$@"', "bash", executable, *OPTIONS,
                                                 f"--user-data-dir={self.directory}/profile", "about:blank"],
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=high, start_new_session=True)
        finally:
            for fd in (theirs_in, theirs_out, *high):
                os.close(fd)
        try:
            page = self.page("data:text/html,<title>trivial</title>")
            page.until("document.title === 'trivial'")
            page.close()
        except (AssertionError, EOFError, OSError) as error:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                said = log.read().strip().splitlines()[-1:]
            self.close()
            raise CannotRun(f"chromium does not start: {error} {said}") from error

    def message(self, end):
        """The next one."""
        while b"\0" not in self.buffer:
            if not select.select([self.input], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser says nothing")
            got = os.read(self.input, 1 << 20)
            if not got:
                raise EOFError("the browser ended")
            self.buffer += got
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def ask(self, method, session=None, **parameters):
        self.last += 1
        request = {"id": self.last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        end = time.monotonic() + SECONDS
        while (message := self.message(end)).get("id") != self.last:
            if "method" in message:
                self.events.append(message)
        assert "error" not in message, (method, message["error"])
        return message["result"]

    def page(self, address):
        return Page(self, address)

    def close(self):
        try:
            self.ask("Browser.close")
            self.process.wait(SECONDS)
        except (AssertionError, EOFError, OSError, subprocess.TimeoutExpired):
            pass  # killed, then
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # with its helpers, which outlive it for a moment
            except ProcessLookupError:
                pass
            self.process.wait()
            os.close(self.input)
            os.close(self.output)
            shutil.rmtree(self.directory, ignore_errors=True)


class Page:
    def __init__(self, browser, address):
        self.browser = browser
        self.target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.ask("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        self.ask("Runtime.enable")
        self.ask("Page.enable")
        assert "errorText" not in (went := self.ask("Page.navigate", url=address)), went
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def ask(self, method, **parameters):
        return self.browser.ask(method, self.session, **parameters)

    def run(self, script):
        """Its value."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, condition):
        """Waits for what a change of the document makes true."""
        came = self.run(f"""new Promise(resolve => {{
            const look = () => {{ if ({condition}) finish(true); }};
            const observer = new MutationObserver(look), timer = setTimeout(() => finish(false), {SECONDS * 1000 // 2});
            const finish = came => {{ observer.disconnect(); removeEventListener("load", look); clearTimeout(timer); resolve(came); }};
            observer.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
            addEventListener("load", look);
            look();
        }})""")
        assert came, (condition, self.run("document.body.innerText.slice(-2000)"))

    def key(self, name, text="", modifiers=0, code=0):
        common = {"key": name, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        """As on a keyboard; the line's end is the key for it."""
        for character in text:
            if character == "\n":
                self.key("Enter", "\r", code=13)
            else:
                self.key(character, character)

    def resize(self, width, height):
        """The browser's window."""
        window = self.browser.ask("Browser.getWindowForTarget", targetId=self.target)["windowId"]
        self.browser.ask("Browser.setWindowBounds", windowId=window, bounds={"width": width, "height": height})

    def errors(self):
        """What its scripts threw and nobody caught."""
        return [event["params"]["exceptionDetails"] for event in self.browser.events if event.get("sessionId") == self.session and event["method"] == "Runtime.exceptionThrown"]

    def close(self):
        self.browser.ask("Target.closeTarget", targetId=self.target)
