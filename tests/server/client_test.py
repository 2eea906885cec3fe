"""The client verbs of the command line, against every kind of place that has sandboxes. Arguments: see serving.py."""
import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

import terminal
from serving import AS_USER, EXECUTABLE, LIBRARY, NOBODY, Serving, arguments, eventually, free_port

TIMEOUT = 60
ID = re.compile(r"^sb-[a-z0-9]+$")


class Client:
    """Calls stacyvm, as the user that the test is for, in a directory that this user has."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="stacyvm-client-")
        self.executable, self.identity = EXECUTABLE, {}
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("STACYVM_")}
        if AS_USER:
            os.chmod(self.directory, 0o755)
            self.executable = shutil.copy(EXECUTABLE, self.directory)
            shutil.copy(LIBRARY, os.path.join(self.directory, "libstacyvm.so.1"))
            self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            self.environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": self.directory, "HOME": self.directory, "XDG_RUNTIME_DIR": self.directory}
        self.work = os.path.join(self.directory, "work")
        os.mkdir(self.work)
        self.give(self.work)

    def give(self, path):
        """Makes it the user's."""
        if AS_USER:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def command(self, *words):
        return [self.executable, *words]

    def call(self, *words, env=None, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*words), capture_output=True, timeout=TIMEOUT, cwd=self.work, env={**self.environment, **(env or {})}, **self.identity, **options)

    def begin(self, *words, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.work, env=self.environment, **self.identity, **options)

    def close(self):
        subprocess.run(["chmod", "-R", "u+rwx", self.directory], check=False)
        shutil.rmtree(self.directory)


class Directory:
    """A state directory, and no server."""

    shared = False  # one command at a time
    def __init__(self, client):
        self.location = os.path.join(client.directory, "work", "state")

    def close(self):
        pass


class Server:
    """stacyvm serve, by its address."""

    shared = True

    def __init__(self, _):
        self.serving = Serving()
        self.location = "http://{}:{}".format(*self.serving.address)

    def close(self):
        self.serving.close()


PLACES = [Directory, Server]  # each runs every case below


class Case:
    """What every case has: a place of its own, and one sandbox in it, named "box"."""

    place_kind = None

    @classmethod
    def setUpClass(cls):
        cls.client = Client()
        cls.addClassCleanup(cls.client.close)
        cls.place = cls.place_kind(cls.client)
        cls.addClassCleanup(cls.place.close)
        cls.client.environment["STACYVM_URL"] = cls.place.location
        done = cls.client.call("spawn", "--name", "box", "--label", "kind=box")
        assert done.returncode == 0, done
        cls.box = done.stdout.decode().strip()
        cls.addClassCleanup(cls.client.call, "kill", "--all")

    def call(self, *words, status=0, **options):
        """What it wrote to standard output."""
        done = self.client.call(*words, **options)
        self.assertEqual(done.returncode, status, (words, done))
        if status == 0:
            self.assertEqual(done.stderr, b"", words)
        return done.stdout

    def json(self, *words, **options):
        return json.loads(self.call(*words, **options))

    def fails(self, *words, status=125, **options):
        """What it says, in one line."""
        done = self.client.call(*words, **options)
        self.assertEqual((done.returncode, done.stdout), (status, b""), (words, done))
        self.assertRegex(done.stderr, rb"^stacyvm: [^\n]+\n$", words)
        return done.stderr.decode()

    def inside(self, text, **options):
        return self.call("exec", "box", "--", "sh", "-c", text, **options)

    def path(self, *parts):
        return os.path.join(self.client.work, *parts)

    def write(self, name, content=b"", mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        parent = path
        while parent != self.client.work:
            self.client.give(parent)
            parent = os.path.dirname(parent)
        return path

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()


class Spawning(Case):
    def test_it_prints_the_id_alone_and_the_sandbox_stays(self):
        identity = self.call("spawn").decode()
        self.assertTrue(identity.endswith("\n"))
        self.assertRegex(identity.strip(), ID)
        self.assertEqual(self.call("exec", identity.strip(), "--", "echo", "here"), b"here\n")
        self.assertEqual(self.call("kill", identity.strip()).decode(), identity)

    def test_options_reach_the_sandbox(self):
        info = self.json("spawn", "--name", "made", "--label", "a=1", "--label", "b=x=y", "--owner", "me", "--ttl", "10m", "--timeout", "7s", "-e", "WORD=a b", "--json",
                         "--user", "user", "--profile", "build")
        self.assertEqual((info["name"], info["metadata"], info["owner_id"], info["timeout"], info["profile"]), ("made", {"a": "1", "b": "x=y"}, "me", "7s", "build"))
        lives = [time.mktime(time.strptime(info[key][:19], "%Y-%m-%dT%H:%M:%S")) for key in ("created_at", "expires_at")]
        self.assertAlmostEqual(lives[1] - lives[0], 600, delta=2)
        self.assertEqual(self.call("exec", "made", "--", "sh", "-c", 'echo "$WORD"'), b"a b\n")
        self.call("kill", "made")

    def test_a_name_is_taken_or_shared(self):
        self.assertIn("box", self.fails("spawn", "--name", "box"))
        self.assertEqual(self.call("spawn", "--name", "box", "--get-or-create").decode().strip(), self.box)
        self.assertIn("--name", self.fails("spawn", "--get-or-create"))

    def test_an_idempotency_key(self):
        first = self.call("spawn", "--idempotency-key", "k1")
        self.assertEqual(self.call("spawn", "--idempotency-key", "k1"), first)
        self.fails("spawn", "--idempotency-key", "k1", "--name", "other")
        self.call("kill", first.decode().strip())

    def test_what_cannot_be(self):
        for words in (["--memory", "lots"], ["--ttl", "0s"], ["--ttl", "25h"], ["--label", "a"], ["--label", "=a"], ["--env", "a"], ["--image", "/no/such/image"],
                      ["--template", "none"], ["--name", "-"], ["--timeout", "5"], ["--", "true"]):
            self.fails("spawn", *words)

    def test_it_is_refused_as_json(self):
        done = self.client.call("spawn", "--json", "--template", "none")
        error = json.loads(done.stderr)
        self.assertEqual((done.returncode, done.stdout, error["code"]), (125, b"", "NOT_FOUND"))
        self.assertTrue(error["message"])
        self.assertIn("details", error)
        self.assertEqual(json.loads(self.client.call("spawn", "--json", "--ttl", "never").stderr)["code"], "BAD_REQUEST")


class Executing(Case):
    def test_output_and_exit_status_pass_through(self):
        done = self.client.call("exec", "box", "--", "sh", "-c", "printf 'out\\377'; echo err >&2; exit 3")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"out\xff", b"err\n"))
        self.assertEqual(self.call("exec", self.box, "true"), b"")

    def test_exit_statuses_of_a_shell(self):
        self.inside("kill -TERM $$", status=128 + signal.SIGTERM)
        self.fails("exec", "box", "--", "no-such-program", status=127)
        self.fails("exec", "box", "--", "/etc/passwd", status=126)
        self.fails("exec", "-w", "/no/such", "box", "--", "true", status=126)
        self.fails("exec", "--timeout", "200ms", "box", "--", "sleep", "20", status=124)

    def test_input_only_where_it_is_asked_for(self):
        self.assertEqual(self.call("exec", "box", "--", "cat", input=b"words"), b"")
        self.assertEqual(self.call("exec", "-i", "box", "--", "cat", input=b"words"), b"words")

    def test_ten_megabytes_both_ways_unchanged(self):
        data = os.urandom(10_000_000)
        self.assertTrue(self.call("exec", "-i", "box", "--", "cat", input=data) == data, "bytes were changed on the way")

    def test_environment_user_and_directory(self):
        self.assertEqual(self.call("exec", "-e", "A=1", "-e", "B=2=3", "-e", "A=4", "-w", "/tmp", "box", "--", "sh", "-c", 'echo "$A$B"; pwd'), b"42=3\n/tmp\n")
        if not AS_USER and os.getuid() == 0:
            self.assertEqual(self.call("exec", "-u", "root", "box", "id", "-u"), b"0\n")

    def test_words_reach_the_command_unchanged(self):
        words = ["", "[a,b]", "{}", "--", "--help", "-m", "a b", "'", "\\", "\xe9\u20ac"]
        self.assertEqual(self.call("exec", "box", "--", "printf", "%s\\n", *words), "".join(word + "\n" for word in words).encode())
        self.assertEqual(self.call("exec", "box", "printf", "%s\\n", *words), "".join(word + "\n" for word in words).encode())

    def test_json(self):
        done = self.client.call("exec", "--json", "box", "--", "sh", "-c", "echo hi; printf '\\377' >&2; exit 4")
        answer = json.loads(done.stdout)
        self.assertEqual((done.returncode, answer["exit_code"], answer["reason"], answer["stdout"]), (4, 4, "exited", "hi\n"))
        self.assertEqual(base64.b64decode(answer["stderr_b64"]), b"\xff")
        self.assertEqual((answer["sandbox"]["id"], answer["exec_id"][:3]), (self.box, "ex-"))
        self.assertNotIn("spawn_ms", answer)
        done = self.client.call("exec", "--json", "box", "--", "no-such-program")
        self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]), (127, "FILE_NOT_FOUND"))
        done = self.client.call("exec", "--json", "none", "--", "true")
        self.assertEqual((done.returncode, done.stdout, json.loads(done.stderr)["code"]), (125, b"", "NOT_FOUND"))

    def test_what_cannot_be(self):
        for words in ([], ["box"], ["box", "--"], ["box", "--", ""], ["--no-such-option", "box", "--", "true"], ["--timeout", "5", "box", "--", "true"],
                      ["-e", "A", "box", "--", "true"], ["-i", "-d", "box", "--", "true"], ["", "--", "true"]):
            self.fails("exec", *words)
        self.assertIn("stacyvm list", self.fails("exec", "none", "--", "true"))

    def test_a_command_in_the_background(self):
        identity = self.call("exec", "-d", "box", "--", "sh", "-c", "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo ended > said").decode().strip()
        self.assertTrue(identity.startswith("ex-"))
        self.inside("touch go; while [ ! -e said ]; do sleep 0.02; done; cat said")
        answer = self.json("exec", "-d", "--json", "box", "--", "true")
        self.assertEqual((answer["sandbox_id"], answer["exec_id"][:3]), (self.box, "ex-"))
        self.fails("exec", "-d", "box", "--", "no-such-program", status=127)

    def start(self, text):
        """A command that has said that it runs."""
        child = self.client.begin("exec", "box", "--", "sh", "-c", "echo ready; " + text)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        return child

    def test_a_signal_is_the_commands_and_a_second_one_ends_it(self):
        child = self.start("trap 'echo caught; exit 7' TERM; echo trapped; while :; do sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"trapped\n")
        child.send_signal(signal.SIGTERM)
        self.assertEqual((child.wait(TIMEOUT), child.stdout.read()), (7, b"caught\n"))
        child = self.start("trap 'echo once' TERM; trap 'echo once' INT; echo trapped; while :; do sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"trapped\n")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.stdout.readline(), b"once\n")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGINT)
        # The command is gone with its stream, the sandbox is not.
        self.assertTrue(eventually(lambda: self.inside("pgrep -f [t]rapped > /dev/null && echo yes || echo no") == b"no\n"))

    def test_a_reader_that_goes_away_ends_the_command(self):
        child = self.start("exec yes")
        child.stdout.close()
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGPIPE)


class Typing(terminal.CommandOnTerminal, Case):
    IN_TERMINAL = ("exec", "-it", "box")

    def start(self, *words):
        return super().start(self.client.command(*words), env=self.client.environment, cwd=self.client.work, **self.client.identity)

    def test_without_the_option_there_are_pipes(self):
        process = self.start("exec", "-i", "box", "--", "sh", "-c", "tty || echo none")
        self.until(b"none\r\n")
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_without_input_what_is_typed_stays_ours(self):
        process = self.start("exec", "-t", "box", "--", "sh", "-c", "trap 'echo caught; exit 5' INT; tty; echo ready; while :; do sleep 0.1; done")
        self.assertIn(b"/dev/pts/", self.until(b"ready"))
        self.type(b"\x03")  # our own terminal makes a signal of it
        self.until(b"caught")
        self.assertEqual(process.wait(TIMEOUT), 5)

    def test_a_shell(self):
        process = self.start("shell", "box")
        self.type(b"echo $0 $((6 * 7)) && tty && stty size\r")
        shown = self.until(b"31 97\r\n")
        self.assertRegex(shown, rb"\r(bash|\nsh) 42\r\n/dev/pts/")
        self.type(b"exit 6\r")
        self.assertEqual(process.wait(TIMEOUT), 6)
        self.assertTrue(self.is_as_it_was())

    def test_a_shell_of_ones_own(self):
        process = self.start("shell", "box", "--", "cat")
        self.type(b"echoed\r")
        self.until(b"echoed\r\nechoed\r\n")
        self.type(b"\x04")
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_a_copy_tells_how_far_it_is_and_leaves_no_line(self):
        self.inside("head -c 200m /dev/zero > large")
        process = self.start("cp", "box:large", "large")
        shown = self.until(b"\x1b[K")
        shown += self.until(b"%")
        self.assertRegex(shown, rb"box:/workspace/large  [0-9.]+ [KM]iB  [0-9]+%")
        self.until(b"\r\x1b[K")
        self.assertEqual(process.wait(TIMEOUT), 0)
        self.assertEqual(os.path.getsize(self.path("large")), 200 << 20)
        os.remove(self.path("large"))
        process = self.start("cp", "--no-progress", "box:large", "large")
        self.assertEqual(process.wait(TIMEOUT), 0)
        os.write(self.inner, b"end")
        self.assertEqual(self.until(b"end"), b"end")


class Piping(Case):
    def test_a_shell_reads_commands_where_there_is_no_terminal(self):
        self.assertEqual(self.call("shell", "box", input=b"echo one\ntty\nexit 4\n", status=4)[:4], b"one\n")


class Copying(Case):
    def setUp(self):
        self.inside("chmod -R u+w /workspace; rm -rf /workspace/* /workspace/.[a-z]* /tmp/*")
        for name in os.listdir(self.client.work):
            path = self.path(name)
            if name != "state":
                subprocess.run(["chmod", "-R", "u+rwx", path], check=False)
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)

    def tree(self, name="tree"):
        self.write(f"{name}/plain", b"plain")
        self.write(f"{name}/sub/run", b"#!/bin/sh\necho ran\n", 0o755)
        self.write(f"{name}/sub/deep/\u00e9 \u20ac [x]", b"odd")
        self.write(f"{name}/" + "n" * 200 + "/" + "m" * 200, b"long")
        os.symlink("sub/run", self.path(name, "link"))
        os.symlink("/nowhere", self.path(name, "dangling"))
        os.mkdir(self.path(name, "empty"))
        os.link(self.path(name, "plain"), self.path(name, "second"))
        for each in ("link", "dangling", "empty", "second"):
            self.client.give(self.path(name, each))

    def listing(self, *parts):
        """Type, permissions, content or target of all that is in a directory."""
        top, found = self.path(*parts), {}
        for where, directories, files in os.walk(top):
            for name in directories + files:
                path = os.path.join(where, name)
                info = os.lstat(path)
                content = os.readlink(path) if stat.S_ISLNK(info.st_mode) else self.read(path) if stat.S_ISREG(info.st_mode) else None
                found[os.path.relpath(path, top)] = (stat.S_IFMT(info.st_mode), None if stat.S_ISLNK(info.st_mode) else stat.S_IMODE(info.st_mode), content)
        return found

    def nothing_is_left(self):
        self.assertEqual([name for name in os.listdir(self.client.work) if name.startswith(".stacyvm")], [])
        self.assertEqual(self.inside("ls -a /workspace | grep stacyvm || true"), b"")

    def test_a_file_there_and_back(self):
        data = os.urandom(3_000_000)
        self.write("data", data, 0o751)
        self.assertEqual(self.call("cp", "data", "box:"), b"")
        self.assertEqual(self.inside("stat -c '%a %s' /workspace/data"), b"751 3000000\n")
        answer = self.json("cp", "--json", "box:data", "back")
        self.assertEqual(answer, {"bytes": len(data), "files": 1})
        self.assertTrue(self.read("back") == data)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("back")).st_mode), 0o751)
        self.nothing_is_left()

    def test_where_a_file_goes(self):
        self.write("file", b"new")
        self.inside("mkdir -p dir; echo old > there; mkdir dir/file")
        self.call("cp", "file", "box:name")
        self.call("cp", "file", "box:there")
        self.call("cp", "file", "box:/tmp/")
        self.assertEqual(self.inside("cat name there /tmp/file"), b"new" * 3)
        for words in (["file", "box:none/file"], ["file", "box:none/"], ["file", "box:there/"], ["file", "box:dir"], ["none", "box:x"], ["file/", "box:x"]):
            self.fails("cp", *words)
        os.mkdir(self.path("here"))
        self.client.give(self.path("here"))
        self.write("old", b"old")
        for target in ("name", "old", "here", "here/"):
            self.call("cp", "box:name", target)
        self.assertEqual([self.read("name"), self.read("old"), self.read("here/name")], [b"new"] * 3)
        for words in (["box:name", "none/file"], ["box:name", "none/"], ["box:name", "old/"], ["box:none", "x"], ["box:name/", "x"]):
            self.fails("cp", *words)
        self.nothing_is_left()

    def test_a_link_here_is_written_through_and_a_device_is_no_file(self):
        self.write("real", b"old")
        os.symlink("real", self.path("link"))
        self.inside("echo new > file")
        self.call("cp", "box:file", "link")
        self.assertEqual((self.read("real"), os.readlink(self.path("link"))), (b"new\n", "real"))
        self.call("cp", "box:file", "/dev/null")
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        self.assertIn("neither", self.fails("cp", "box:/dev/null", "x"))

    def test_standard_input_and_output(self):
        data = os.urandom(1_000_000)
        self.call("cp", "-", "box:piped", input=data)
        self.assertTrue(self.call("cp", "box:piped", "-") == data)
        for words in (["-", "box:/tmp"], ["box:/tmp", "-"], ["-", "-"], ["-", "x"]):
            self.fails("cp", *words, input=b"x")
        self.assertEqual(json.loads(self.client.call("cp", "--json", "box:piped", "-").stderr)["code"], "BAD_REQUEST")
        # Who reads it may have enough of it.
        with self.client.begin("cp", "box:piped", "-") as child:
            self.assertEqual(child.stdout.read(10), data[:10])
            child.stdout.close()
            self.assertEqual((child.wait(TIMEOUT), child.stderr.read()), (141, b""))

    def test_a_tree_there_and_back(self):
        self.tree()
        self.call("cp", "tree", "box:")
        self.assertEqual(self.inside("tree/link; readlink tree/dangling; stat -c %F tree/empty"), b"ran\n/nowhere\ndirectory\n")
        answer = self.json("cp", "--json", "box:tree", "back")
        self.assertEqual(answer, {"bytes": sum(len(each[2]) for each in self.listing("tree").values() if each[0] == stat.S_IFREG), "files": 5})
        self.assertEqual(self.listing("back"), self.listing("tree"))
        for name in ("", "sub", "plain"):
            self.assertAlmostEqual(os.stat(self.path("back", name)).st_mtime, os.stat(self.path("tree", name)).st_mtime, delta=5)
        self.nothing_is_left()

    def test_where_a_tree_goes(self):
        self.tree()
        self.inside("mkdir there")
        self.call("cp", "tree", "box:there")
        self.call("cp", "tree/", "box:new")
        self.call("cp", "tree/.", "box:there")
        self.assertEqual(self.inside("cat there/tree/plain new/plain there/plain"), b"plain" * 3)
        os.mkdir(self.path("here"))
        self.client.give(self.path("here"))
        for source, target in (("box:new", "here"), ("box:new", "fresh"), ("box:new/.", "here"), ("box:/workspace/new/.", "fresh2")):
            self.call("cp", source, target)
        for where in (("here", "new"), ("fresh",), ("fresh2",)):
            self.assertEqual(self.listing(*where), self.listing("tree"))
        self.assertEqual(self.read("here", "plain"), b"plain")
        self.write("file", b"mine")
        self.inside("echo x > file")
        for words in (["tree", "box:file"], ["tree", "box:none/x"], ["box:new", "file"], ["box:new", "none/x"]):
            self.fails("cp", *words)
        self.assertEqual((self.read("file"), self.inside("cat file")), (b"mine", b"x\n"))
        self.nothing_is_left()

    def test_a_tree_goes_into_what_is_there(self):
        self.inside("mkdir -p src/a/b src/new; echo in > src/a/b/f; echo in > src/a/g; echo in > src/new/h; chmod 555 src/new")
        self.write("dst/src/a/b/f", b"old")
        self.write("dst/src/a/b/own", b"own")
        self.write("dst/src/k", b"own")
        self.call("cp", "box:src", "dst")
        self.assertEqual({name: content for name, (kind, _, content) in self.listing("dst/src").items() if kind == stat.S_IFREG},
                         {"a/b/f": b"in\n", "a/g": b"in\n", "new/h": b"in\n", "a/b/own": b"own", "k": b"own"})
        self.assertEqual(stat.S_IMODE(os.stat(self.path("dst/src/new")).st_mode), 0o555)
        # A conflict anywhere: nothing is moved.
        self.write("clash/src/a/b", b"a file")
        before = self.listing("clash")
        self.assertIn("in the way", self.fails("cp", "box:src", "clash"))
        self.assertEqual(self.listing("clash"), before)
        self.inside("chmod -R u+w src; rm -rf src; mkdir -p src; echo x > src/a")
        self.assertIn("in the way", self.fails("cp", "box:src", "dst"))
        self.assertEqual(self.read("dst/src/a/g"), b"in\n")
        self.nothing_is_left()

    def test_permissions_that_would_hold_up_a_copy(self):
        self.inside("mkdir -p src/shut; echo x > src/shut/f; chmod 400 src/shut/f; chmod 555 src/shut src")
        self.call("cp", "box:src", "out")
        self.assertEqual([stat.S_IMODE(os.stat(self.path(name)).st_mode) for name in ("out", "out/shut", "out/shut/f")], [0o555, 0o555, 0o400])
        self.inside("chmod -R u+w src")
        self.call("cp", "out", "box:again")
        self.assertEqual(self.inside("stat -c %a again again/shut again/shut/f"), b"555\n555\n400\n")
        self.inside("chmod -R u+w again")

    def test_a_tree_writes_nowhere_else(self):
        """A sandbox makes what would lead out of the destination, and we copy on top of it again."""
        victim = self.write("victim/file", b"safe")
        self.inside(f"mkdir -p t; ln -s {self.path('victim')} t/out; ln -s ../victim t/up; ln -s {victim} t/file")
        self.call("cp", "box:t", "dst")
        self.assertEqual(os.readlink(self.path("dst/out")), self.path("victim"))
        # Where there are links now, the next copy has directories and files.
        self.inside("rm -rf t; mkdir -p t/out t/up; echo bad > t/out/file; echo bad > t/up/file; echo bad > t/file")
        os.mkdir(self.path("dst/t"))
        self.client.give(self.path("dst/t"))
        for name in ("out", "up"):
            os.symlink(self.path("victim"), self.path("dst/t", name))
        self.assertIn("in the way", self.fails("cp", "box:t", "dst"))
        self.assertIn("in the way", self.fails("cp", "box:t/.", "dst"))
        os.symlink(self.path("victim"), self.path("leads"))
        self.inside("rm -rf victim; mkdir victim; echo bad > victim/file; rm -rf t/out t/up")
        self.call("cp", "box:t/.", "dst")  # a file replaces a link, and is not written through it
        self.assertEqual((self.read("dst/file"), os.path.islink(self.path("dst/file"))), (b"bad\n", False))
        self.assertEqual(self.read("victim/file"), b"safe")
        self.inside("mkdir -p set; cp /bin/true set/uid; chmod 6755 set/uid; chmod 1777 set")
        self.call("cp", "box:set", "set")
        self.call("cp", "box:set/uid", "uid")
        self.assertEqual([stat.S_IMODE(os.stat(self.path(name)).st_mode) for name in ("set", "set/uid", "uid")], [0o777, 0o755, 0o755])

    def test_what_fails_leaves_nothing(self):
        self.tree()
        os.mkfifo(self.path("tree", "fifo"))
        done = self.client.call("cp", "tree", "box:t")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stderr, b"stacyvm: fifo is left out: it is no file, directory or symbolic link\n")
        # More than the sandbox has room for.
        small = self.call("spawn", "--disk", "2m").decode().strip()
        self.write("big/one", b"x" * 1_000_000)
        self.write("big/two", b"x" * 3_000_000)
        self.assertIn("space", self.fails("cp", "big", f"{small}:tree").lower())
        self.assertIn("space", self.fails("cp", "big/two", f"{small}:file").lower())
        self.assertEqual(self.call("exec", small, "ls", "-A"), b"")
        self.call("kill", small)
        self.nothing_is_left()
        if AS_USER or os.getuid() != 0:
            self.inside("mkdir -p u; echo x > u/f")
            os.mkdir(self.path("closed"), 0o555)
            self.client.give(self.path("closed"))
            self.fails("cp", "box:u/f", "closed")
            self.fails("cp", "box:u", "closed")
            self.assertEqual(os.listdir(self.path("closed")), [])

    def test_interrupted_it_leaves_nothing(self):
        self.inside("mkdir t; head -c 300m /dev/zero > t/big")
        for source in ("box:t", "box:t/big"):
            child = self.client.begin("cp", source, "here")
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.stderr.close)
            self.assertTrue(eventually(lambda: any(name.startswith(".stacyvm-cp-") for name in os.listdir(self.client.work))))
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGINT)
            self.assertFalse(os.path.exists(self.path("here")))
            self.nothing_is_left()
        reading, writing = os.pipe()
        child = self.client.begin("cp", "-", "box:coming", stdin=reading)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        os.close(reading)
        os.write(writing, b"x" * 65536)
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGTERM)
        os.close(writing)
        self.assertEqual(self.inside("ls -A"), b"t\n")

    def test_what_a_terminal_would_act_on_does_not_reach_it(self):
        said = self.client.call("cp", "box:/none\x1b]0;title\x07", "x").stderr
        self.assertNotIn(b"\x1b", said)
        self.assertIn(b"\\x1b]0;title\\x07", said)

    def test_sides(self):
        for words in (["a", "b"], ["box:a", "box:b"], ["box:a"], ["", "box:a"], [":a", "b"]):
            self.fails("cp", *words)
        self.write("odd:name", b"odd")
        self.call("cp", "./odd:name", "box:ok")
        self.assertEqual(self.inside("cat ok"), b"odd")

    def test_ten_thousand_files(self):
        self.inside("mkdir many; cd many; seq 1 10000 | xargs touch")
        self.assertEqual(self.json("cp", "--json", "box:many", "many"), {"bytes": 0, "files": 10000})
        self.assertEqual(len(os.listdir(self.path("many"))), 10000)
        self.assertEqual(self.json("cp", "--json", "many", "box:back"), {"bytes": 0, "files": 10000})
        self.assertEqual(self.inside("ls back | wc -l").strip(), b"10000")


class Listing(Case):
    def test_a_table_and_json(self):
        other = self.call("spawn", "--label", "kind=other", "--owner", "me").decode().strip()
        lines = self.call("list").decode().splitlines()
        self.assertEqual(lines[0].split(), ["ID", "NAME", "STATE", "IMAGE", "CREATED", "EXPIRES"])
        self.assertEqual(lines[1].split()[:4], [other, "-", "running", "host"])
        self.assertEqual(lines[2].split()[:4], [self.box, "box", "running", "host"])
        self.assertEqual([each["id"] for each in self.json("list", "--json")], [other, self.box])
        for words, found in ((["--label", "kind=other"], [other]), (["--label", "kind=box"], [self.box]), (["--owner", "me"], [other]), (["--state", "running"], [other, self.box]),
                             (["--label", "kind=none"], []), (["--label", "kind=box", "--owner", "me"], [])):
            self.assertEqual([each["id"] for each in self.json("list", "--json", *words)], found, words)
        self.call("kill", other)
        for words in (["--label", "x"], ["--state", "asleep"], ["x"]):
            self.fails("list", *words)


class Killing(Case):
    def test_a_failure_holds_up_no_other(self):
        first, second = (self.call("spawn").decode().strip() for _ in range(2))
        done = self.client.call("kill", first, "none", second)
        self.assertEqual((done.returncode, done.stdout.decode().split()), (125, [first, second]))
        self.assertRegex(done.stderr, rb"^stacyvm: none: .*stacyvm list.*\n$")
        third = self.call("spawn").decode().strip()
        answer = self.json("kill", "--json", "", third, status=125)
        self.assertEqual((answer["destroyed"], answer["failed"][0]["error"]["code"]), ([third], "BAD_REQUEST"))
        self.assertEqual([each["id"] for each in self.json("list", "--json")], [self.box])

    def test_json(self):
        first = self.call("spawn").decode().strip()
        answer = self.json("kill", "--json", first, "none", status=125)
        self.assertEqual((answer["destroyed"], [each["sandbox"] for each in answer["failed"]], answer["failed"][0]["error"]["code"]), ([first], ["none"], "NOT_FOUND"))

    def test_all_of_a_label(self):
        made = {self.call("spawn", "--label", "group=g").decode().strip() for _ in range(3)}
        self.assertEqual(set(self.call("kill", "--all", "--label", "group=g").decode().split()), made)
        self.assertEqual(self.json("kill", "--all", "--label", "group=g", "--json"), {"destroyed": [], "failed": []})
        self.assertEqual([each["id"] for each in self.json("list", "--json")], [self.box])

    def test_what_cannot_be(self):
        for words in ([], ["--all", "box"], ["--label", "a=b"], ["--label", "a=b", "box"], [""]):
            self.fails("kill", *words)
        self.assertEqual([each["id"] for each in self.json("list", "--json")], [self.box])


class Telling(Case):
    def setUp(self):
        self.name = f"told-{time.monotonic_ns()}"
        self.sandbox = self.call("spawn", "--name", self.name).decode().strip()
        self.addCleanup(self.client.call, "kill", self.name)

    def run_in(self, text):
        return self.client.call("exec", self.name, "--", "sh", "-c", text)

    def test_logs(self):
        self.run_in("echo one; sleep 0.1; echo two >&2")
        self.run_in("printf 'three\\nfour'")
        done = self.client.call("logs", self.name)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"one\nthree\nfour", b"two\n"))
        for lines, out, err in (("1", b"four", b""), ("2", b"three\nfour", b""), ("3", b"three\nfour", b"two\n"), ("99", b"one\nthree\nfour", b"two\n")):
            done = self.client.call("logs", "--tail", lines, self.name)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, out, err), lines)
        told = [json.loads(line) for line in self.call("logs", "--json", self.name).splitlines()]
        self.assertEqual([each["stream"] for each in told], ["stdout", "stderr", "stdout"])
        self.assertEqual("".join(each["data"] for each in told), "one\ntwo\nthree\nfour")
        self.run_in("printf '\\377'")
        self.assertEqual(base64.b64decode(json.loads(self.call("logs", "--json", "-n", "1", self.name).splitlines()[-1])["data_b64"])[-1:], b"\xff")
        for words in (["--tail", "0", self.name], ["--tail", "x", self.name], [], ["none"]):
            self.fails("logs", *words)

    def test_logs_that_go_on(self):
        self.run_in("echo old; echo older")
        self.call("exec", "-d", self.name, "--", "sh", "-c", "echo new; while :; do sleep 0.05; echo more; done")
        child = self.client.begin("logs", "-f", "--tail", "2", self.name)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.kill)
        lines = [child.stdout.readline() for _ in range(6)]
        self.assertEqual(lines[-3:], [b"more\n"] * 3)
        self.assertNotIn(b"old\n", lines)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(TIMEOUT), -signal.SIGINT)

    def test_logs_go_on_until_the_sandbox_ends(self):
        ends = self.call("spawn", "--ttl", "3s").decode().strip()
        self.call("exec", ends, "--", "echo", "first")
        with self.client.begin("logs", "-f", ends) as child:
            self.assertEqual(child.communicate(timeout=TIMEOUT), (b"first\n", b""))
        self.assertEqual(child.returncode, 0)

    def test_events(self):
        self.run_in("true")
        told = [json.loads(line) for line in self.call("events", "--no-follow", "--json", "--sandbox", self.name).splitlines()]
        types = [each["type"] for each in told]
        self.assertEqual((types[:2], {each["sandbox_id"] for each in told}), (["sandbox.created", "sandbox.running"], {self.sandbox}))
        self.assertIn("exec.completed", types)
        only = [json.loads(line) for line in self.call("events", "--no-follow", "--json", "--sandbox", self.sandbox, "--type", "exec.completed", "--type", "exec.started").splitlines()]
        self.assertEqual([each["type"] for each in only], ["exec.started", "exec.completed"])
        self.assertEqual(self.call("events", "--no-follow", "--json", "--sandbox", self.sandbox, "--type", "exec.completed", "--since", only[0]["id"]).splitlines(),
                         [json.dumps(only[1], separators=(",", ":")).encode()])
        text = self.call("events", "--no-follow", "--sandbox", self.sandbox, "--type", "exec.completed").decode()
        self.assertRegex(text, rf"^\d{{4}}-\d\d-\d\dT\S+Z  exec\.completed  {self.sandbox}  {{.*}}\n$")
        for words in (["--type", "none"], ["--since", "x"], ["--since", "99999999"], ["--sandbox", "none"]):
            self.fails("events", "--no-follow", *words)

    def test_events_that_go_on(self):
        child = self.client.begin("events", "--since", "0", "--sandbox", self.name, "--json")
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.kill)
        self.assertEqual(json.loads(child.stdout.readline())["type"], "sandbox.created")
        if self.place.shared:
            self.run_in("true")
            while json.loads(child.stdout.readline())["type"] != "exec.completed":
                pass
        self.assertIsNone(child.poll())
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(TIMEOUT), -signal.SIGTERM)

    def test_stats(self):
        self.call("exec", "-d", self.name, "--", "sleep", "1000")
        rows = self.call("stats", self.name).decode().splitlines()
        self.assertEqual(len(rows), 2)
        self.assertEqual((rows[0].split()[0], rows[1].split()[0]), ("ID", self.sandbox))
        told = self.json("stats", "--json", self.name, "box")
        self.assertEqual(([each["id"] for each in told], told[0]["running_execs"]), ([self.sandbox, self.box], 1))
        self.assertEqual({each["id"] for each in self.json("stats", "--json")}, {self.sandbox, self.box})
        child = self.client.begin("stats", "--follow", "--json", self.name)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        for _ in range(2):
            self.assertEqual(json.loads(child.stdout.readline())[0]["id"], self.sandbox)
        child.kill()
        child.wait(TIMEOUT)
        self.fails("stats", "none")


CASES = [Spawning, Executing, Typing, Piping, Copying, Listing, Killing, Telling]
for place in PLACES:
    for case in CASES:
        name = f"{case.__name__}In{place.__name__}"
        globals()[name] = type(name, (case, unittest.TestCase), {"place_kind": place, "__module__": __name__})


class Locations(unittest.TestCase):
    """Which sandboxes a command is about, and what it says where there are none."""

    def setUp(self):
        self.client = Client()
        self.addCleanup(self.client.close)

    def said(self, *words, **options):
        done = self.client.call(*words, **options)
        self.assertEqual((done.returncode, done.stdout), (125, b""), done)
        return done.stderr.decode()

    def test_a_directory_that_is_not_there(self):
        for verb, *words in (["list"], ["exec", "box", "--", "true"], ["shell", "box"], ["kill", "--all"], ["events"], ["stats"], ["logs", "box"], ["cp", "box:a", "b"]):
            self.assertIn("stacyvm spawn", self.said(verb, "--server", "none", *words))
        self.assertFalse(os.path.exists(os.path.join(self.client.work, "none")))
        self.client.give(self.client.work)
        with open(os.path.join(self.client.work, "file"), "w", encoding="ascii"):
            pass
        self.assertIn("is no directory", self.said("list", "--server", "file"))

    def test_the_option_goes_over_the_variable_and_a_relative_directory_will_do(self):
        identity = self.client.call("spawn", "--server", "here", env={"STACYVM_URL": "/none"}).stdout.decode().strip()
        self.addCleanup(self.client.call, "kill", "--all", "--server", "here")
        self.assertRegex(identity, ID)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.client.work, "here")).st_mode), 0o700)
        self.assertIn(identity, self.client.call("list", env={"STACYVM_URL": "here"}).stdout.decode())

    def test_a_directory_that_somebody_has(self):
        self.client.call("spawn", "--server", "here", "--name", "box")
        self.addCleanup(self.client.call, "kill", "--all", "--server", "here")
        child = self.client.begin("exec", "--server", "here", "-i", "box", "--", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.assertIn("--server", self.said("list", "--server", "here"))
        child.stdin.close()
        self.assertEqual(child.wait(TIMEOUT), 0)

    def test_a_directory_wants_no_key(self):
        key_file = os.path.join(self.client.work, "key")
        with open(key_file, "w", encoding="ascii") as file:
            file.write("s3cret\n")
        os.chmod(key_file, 0o644)
        for words in (["--api-key", "s3cret"], ["--api-key-file", "key"], ["--ca-file", "key"]):
            said = self.said("list", "--server", ".", *words)
            self.assertIn("directory", said)
            self.assertNotIn("s3cret", said)
        self.assertNotIn("s3cret", self.said("list", "--server", "none", env={"STACYVM_API_KEY": "s3cret"}))

    def test_keys_that_cannot_be(self):
        for content in (b"", b"\nkey", b"k" * 4097):
            with open(os.path.join(self.client.work, "key"), "wb") as file:
                file.write(content)
            said = self.said("list", "--server", "http://127.0.0.1:1", "--api-key-file", "key")
            self.assertIn("API key", said)
            self.assertNotIn("kkkk", said)
        self.said("list", "--server", "http://127.0.0.1:1", "--api-key-file", "none")
        self.said("list", "--server", "http://127.0.0.1:1", "--api-key-file", "key", "--api-key", "k")

    def test_failures_as_json(self):
        for words, code in ((["list", "--server", "none"], "NOT_FOUND"), (["kill", "--server", "none"], "BAD_REQUEST"), (["list", "--no-such-option"], "BAD_REQUEST"), (["logs"], "BAD_REQUEST"),
                            (["exec", "--no-such-option", "box"], "BAD_REQUEST"), (["spawn", "--ttl", "0"], "BAD_REQUEST"), (["no-such-verb"], "BAD_REQUEST")):
            error = json.loads(self.said(*words, "--json"))
            self.assertEqual(error["code"], code)
            self.assertTrue(error["message"])
            self.assertIsInstance(error["details"], dict)

    def test_a_server_that_is_not_there(self):
        said = self.said("list", "--server", f"http://127.0.0.1:{free_port()}")
        self.assertIn("stacyvm serve", said)
        self.assertIn("--server", said)
        self.assertNotIn("s3cret", self.said("list", "--server", f"http://user:s3cret@127.0.0.1:{free_port()}"))

    def test_an_address_that_is_none(self):
        for address in ("http://127.0.0.1:65536", "http://", "ftp://a"):
            self.assertIn(f"--server {address}: ", self.said("list", "--server", address))
        self.assertIn("certificates", self.said("list", "--server", "https://127.0.0.1:1", "--ca-file", "none"))
        with Serving() as server:
            self.assertIn("HTTP://HOST:PORT", self.said("list", "--server", "http://{}:{}/elsewhere".format(*server.address)).upper())
            # What only a place without a server has.
            for words in (["--image", "/usr"], ["--mount-ro", "/usr:/x"]):
                self.assertIn("images.aliases", self.said("spawn", "--server", "http://{}:{}".format(*server.address), *words))

    def test_a_server_that_wants_a_key(self):
        with Serving("auth:\n  api_key: right\n") as server:
            server.headers = [("X-API-Key", "right")]
            address = "http://{}:{}".format(*server.address)
            self.assertIn("STACYVM_API_KEY", self.said("list", "--server", address))
            self.assertIn("STACYVM_API_KEY", self.said("list", "--server", address, env={"STACYVM_API_KEY": "wrong"}))
            with open(os.path.join(self.client.work, "key"), "w", encoding="ascii") as file:
                file.write("right\n")
            os.chmod(os.path.join(self.client.work, "key"), 0o644)
            for words, env in ((["--api-key", "right"], {}), (["--api-key-file", "key"], {}), ([], {"STACYVM_API_KEY": "right"})):
                self.assertEqual(self.client.call("list", "--json", "--server", address, *words, env=env).stdout, b"[]\n")


if __name__ == "__main__":
    unittest.main(argv=arguments())
