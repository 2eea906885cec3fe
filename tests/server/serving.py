"""A server of the test's own: on a free port, with a state directory that goes with it.

Arguments of a test: EXECUTABLE LIBRARY [user] [TEST...]. With `user` the server runs as an ordinary user, from a copy that such a user may read."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from wire import Wire

EXECUTABLE, LIBRARY = map(os.path.abspath, sys.argv[1:3])
AS_USER = "user" in sys.argv[3:4]
NOBODY = 65534
START_SECONDS, END_SECONDS = 30, 40
LISTENING = re.compile(r"^stacyvm: listening on (https?)://(\S+):(\d+), state in ")


class Serving:
    def __init__(self, config="", arguments=(), environment=None, prefix=(), tls=None, directory=None, state=None):
        self.directory = directory or tempfile.mkdtemp(prefix="stacyvm-serve-")
        self.state = state or os.path.join(self.directory, "state")
        self.config = os.path.join(self.directory, "stacyvm.yaml")
        self.tls, self.arguments, self.prefix = tls, list(arguments), list(prefix)
        self.executable, self.identity = EXECUTABLE, {}
        if AS_USER:
            os.chmod(self.directory, 0o755)
            self.executable = shutil.copy(EXECUTABLE, self.directory)
            shutil.copy(LIBRARY, os.path.join(self.directory, "libstacyvm.so.1"))
            self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.makedirs(self.state, exist_ok=True)
            os.chown(self.state, NOBODY, NOBODY)
            environment = {"LD_LIBRARY_PATH": self.directory, "HOME": self.state, "XDG_RUNTIME_DIR": self.state, **(environment or {})}
        self.environment = {**{key: value for key, value in os.environ.items() if not key.startswith("STACYVM_")}, **(environment or {})}
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)
        self.headers = []
        self.log = []
        self.process = None
        self.ending = False  # was told to, and has not been waited for
        self.start()

    def start(self, port=0):
        self.process = subprocess.Popen([*self.prefix, self.executable, "serve", "--config", self.config, "--port", str(port), "--state-dir", self.state, *self.arguments],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.directory, env=self.environment, text=True, errors="replace", **self.identity)
        listening = threading.Event()

        def read(process):
            for line in process.stderr:
                self.log.append(line)
                if found := LISTENING.match(line):
                    self.address = (found[2].strip("[]"), int(found[3]))
                    listening.set()
            listening.set()

        self.reader = threading.Thread(target=read, args=(self.process,), daemon=True)
        self.reader.start()
        if not listening.wait(START_SECONDS) or self.process.poll() is not None:
            self.process.kill()
            raise RuntimeError("the server did not start: " + "".join(self.log))

    def wire(self, timeout=30):
        return Wire(self.address, self.tls, timeout)

    def ask(self, method, target, body=None, headers=()):
        """One request on a connection of its own."""
        with self.wire() as wire:
            return wire.ask(method, target, body, [*self.headers, *headers])

    def spawn(self, **fields):
        answer = self.ask("POST", "/api/v1/sandboxes", {"image": "host", **fields})
        assert answer.status == 201, answer
        return Sandbox(self, answer.json()["id"])

    def tell(self, how):
        self.ending = True
        self.process.send_signal(how)

    def end(self, how=signal.SIGTERM):
        """The exit status."""
        self.tell(how)
        return self.wait()

    def wait(self):
        self.ending = False
        status = self.process.wait(END_SECONDS)
        self.reader.join(END_SECONDS)
        self.process.stderr.close()
        return status

    def usage(self, key):
        """VmRSS, VmHWM: in KiB; Threads."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{key}:\s*(\d+)", file.read(), re.MULTILINE)[1])

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        """Sandboxes outlive their server: they are thrown away first."""
        try:
            if self.process.poll() is None:
                sandboxes = None
                while sandboxes is None:  # connections of before may still be counted
                    answer = self.ask("GET", "/api/v1/sandboxes")
                    assert answer.status in (200, 503), answer
                    sandboxes = answer.json() if answer.status == 200 else None
                for sandbox in sandboxes:
                    self.ask("DELETE", f"/api/v1/sandboxes/{sandbox['id']}")
                self.end()
        finally:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sandbox:
    def __init__(self, server, id_):
        self.server, self.id, self.path = server, id_, f"/api/v1/sandboxes/{id_}"

    def ask(self, method, target="", body=None, headers=()):
        return self.server.ask(method, self.path + target, body, headers)

    def run(self, command, **fields):
        """stdout of a command that must succeed."""
        answer = self.ask("POST", "/exec", {"command": command, **fields})
        assert answer.status == 200 and answer.json()["exit_code"] == 0, answer
        return answer.json()["stdout"]

    def has(self, command):
        """Whether a process of that command line runs."""
        return self.run(f"pgrep -fx '{command}' > /dev/null && echo yes || echo no") == "yes\n"

    def destroy(self):
        return self.ask("DELETE")


def arguments():
    """For unittest."""
    if AS_USER and os.getuid() != 0:
        print("SKIPPED: only root can become another user")
        sys.exit(77)
    return [sys.argv[0], "-v", *sys.argv[4 if AS_USER else 3:]]


def refused(config="", arguments=(), environment=None):
    """What a server that does not start says."""
    with tempfile.TemporaryDirectory(prefix="stacyvm-serve-") as directory:
        file = os.path.join(directory, "stacyvm.yaml")
        with open(file, "w", encoding="utf-8") as out:
            out.write(config)
        plain = {key: value for key, value in os.environ.items() if not key.startswith("STACYVM_")}
        for option, value in (("--port", "0"), ("--state-dir", os.path.join(directory, "state"))):
            if option not in arguments and "STACYVM_SERVER_PORT" not in (environment or {}):
                arguments = (*arguments, option, value)
        done = subprocess.run([EXECUTABLE, "serve", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=START_SECONDS, cwd=directory, env={**plain, **(environment or {})}, text=True)
        return done.returncode, done.stderr


def eventually(what, seconds=20):
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
