"""The command line as its users meet it: stacyvm run, probe, version."""
import base64
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

EXECUTABLE, LIBRARY = sys.argv[1], sys.argv[2]
NOBODY = 65534
TIMEOUT = 60


def stacyvm(*arguments, **options):
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([EXECUTABLE, *arguments], capture_output=True, timeout=TIMEOUT, **options)


def run(*command, options=(), **more):
    return stacyvm("run", *options, "--", *command, **more)


def shell(text, options=(), **more):
    return run("sh", "-c", text, options=options, **more)


def probe_rows():
    return {row["name"]: row for row in json.loads(stacyvm("probe", "--json").stdout)["rows"]}


def leftovers():
    """What sandboxes of this machine leave in sight: processes and control groups."""
    processes = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                text = file.read()
            if text.startswith(b"stacyvm-"):
                processes.append(pid)
        except OSError:
            pass
    groups = []
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        groups += [os.path.join(directory, name) for name in names if name.startswith("stacyvm-")]
    return sorted(processes), sorted(groups)


class Run(unittest.TestCase):
    def test_output_and_exit_status_pass_through(self):
        done = shell("echo out; echo err >&2; exit 3")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"out\n", b"err\n"))
        self.assertEqual(run("true").returncode, 0)

    def test_exit_statuses_of_a_shell(self):
        self.assertEqual(shell("kill -TERM $$").returncode, 128 + signal.SIGTERM)
        self.assertEqual(run("no-such-program").returncode, 127)
        self.assertEqual(run("/etc/passwd").returncode, 126)
        self.assertEqual(run("sleep", "20", options=["--timeout", "200ms"]).returncode, 124)
        failed = run("true", options=["--image", "debian:12"])
        self.assertEqual(failed.returncode, 125)
        self.assertIn(b"debian:12", failed.stderr)

    def test_usage_errors_are_ours(self):
        for arguments in (["run"], [], ["run", "--memory", "lots", "--", "true"], ["run", "--no-such-option", "--", "true"], ["run", "--timeout", "5", "--", "true"]):
            done = stacyvm(*arguments)
            self.assertEqual(done.returncode, 125, arguments)
            self.assertTrue(done.stderr, arguments)

    def test_fifty_megabytes_both_ways_unchanged(self):
        data = os.urandom(50_000_000)
        done = run("cat", input=data)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout == data, "bytes were changed on the way")

    def test_input_is_optional_and_may_stay_unread(self):
        self.assertEqual(run("cat").stdout, b"")
        self.assertEqual(run("true", input=b"x" * 10_000_000).returncode, 0)

    def test_environment_user_and_directory(self):
        done = shell('echo "$GREETING"; id -u; pwd; echo "$HOME"', options=["--env", "GREETING=a=b c"])
        self.assertEqual(done.stdout, b"a=b c\n1000\n/workspace\n/workspace\n")
        self.assertEqual(shell("pwd", options=["-w", "/tmp"]).stdout, b"/tmp\n")
        if os.getuid() == 0:
            self.assertEqual(shell("id -u; touch /workspace/x && echo yes", options=["--user", "root"]).stdout[:2], b"0\n")

    def test_a_mount_is_read_only(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o777)
            with open(os.path.join(directory, "file"), "w") as file:
                file.write("from outside")
            os.chmod(os.path.join(directory, "file"), 0o666)
            done = shell("cat /data/file; echo x > /data/file; touch /data/new", options=["--mount-ro", f"{directory}:/data"])
            self.assertEqual(done.stdout, b"from outside")
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(os.listdir(directory), ["file"])
            with open(os.path.join(directory, "file")) as file:
                self.assertEqual(file.read(), "from outside")

    def test_memory_limit_kills(self):
        row = probe_rows()["cgroup_memory"]
        if not row["ok"]:
            print("SKIP memory limit:", row["error"])
            self.skipTest(row["error"])
        done = run("tail", "/dev/zero", options=["--memory", "64m"])  # keeps all of a line that never ends
        self.assertEqual(done.returncode, 137)
        self.assertIn(b"out of memory", done.stderr)

    def test_disk_limit(self):
        done = shell("head -c 20m /dev/zero > big; echo $?; rm big; echo small > small && cat small", options=["--disk", "8m"])
        self.assertIn(b"No space left", done.stderr)
        self.assertTrue(done.stdout.endswith(b"small\n"), done.stdout)

    def test_json(self):
        done = shell("echo hi; printf '\\377' >&2; exit 4", options=["--json"])
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 4)
        self.assertEqual((answer["exit_code"], answer["reason"], answer["stdout"]), (4, "exited", "hi\n"))
        self.assertEqual(base64.b64decode(answer["stderr_b64"]), b"\xff")
        self.assertIn("seccomp", answer["sandbox"]["enforced"])
        self.assertGreater(answer["total_ms"], 0)

    def test_a_reader_that_goes_away_ends_the_command(self):
        child = subprocess.Popen([EXECUTABLE, "run", "--", "yes"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        child.stdout.read(10)
        child.stdout.close()
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGPIPE)

    def test_signals_reach_the_command_and_nothing_is_left(self):
        before = leftovers()
        child = subprocess.Popen([EXECUTABLE, "run", "--", "sh", "-c", "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done"],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        child.send_signal(signal.SIGTERM)
        output, _ = child.communicate(timeout=TIMEOUT)
        self.assertEqual((child.returncode, output), (7, b"caught\n"))
        self.assertEqual([g for g in leftovers()[1] if g not in before[1]], [])

    def test_killed_it_leaves_nothing(self):
        child = subprocess.Popen([EXECUTABLE, "run", "--", "sh", "-c", "echo ready; sleep 1000"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        before = leftovers()
        child.kill()
        child.wait(TIMEOUT)
        child.stdout.close()
        # The launcher notices by a descriptor of the process and ends all; no one else removes anything here.
        deadline = time.monotonic() + 10
        own = f"-{child.pid}"
        while time.monotonic() < deadline and [g for g in leftovers()[1] if g.endswith(own) or own + "/" in g]:
            time.sleep(0.02)
        self.assertEqual([g for g in leftovers()[1] if g.endswith(own) or own + "/" in g], [])
        self.assertLess(len(leftovers()[0]), len(before[0]) + 1)

    def test_as_an_ordinary_user(self):
        if os.getuid() != 0:
            print("SKIP ordinary user: the whole suite already runs as one")
            self.skipTest("not root")
        if not probe_rows()["user_namespace"]["ok"]:
            print("SKIP ordinary user: no user namespaces")
            self.skipTest("no user namespaces")
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            executable = shutil.copy(EXECUTABLE, directory)
            shutil.copy(LIBRARY, os.path.join(directory, "libstacyvm.so.1"))
            os.chmod(executable, os.stat(executable).st_mode | stat.S_IXOTH | stat.S_IROTH)
            environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": directory}
            done = subprocess.run([executable, "run", "--", "sh", "-c", "id -u; touch mine && ls; cat"], input=b"data", capture_output=True,
                                  timeout=TIMEOUT, user=NOBODY, group=NOBODY, extra_groups=[], env=environment, cwd="/")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"1000\nmine\ndata", b""))


class Others(unittest.TestCase):
    def test_version(self):
        self.assertRegex(stacyvm("version").stdout.decode(), r"^stacyvm \d+\.\d+\.\d+\n$")
        self.assertIn("version", json.loads(stacyvm("version", "--json").stdout))

    def test_probe(self):
        rows = probe_rows()
        self.assertGreater(len(rows), 30)
        for row in rows.values():
            self.assertEqual(row["ok"], "error" not in row, row)
        table = stacyvm("probe").stdout.decode()
        for name in rows:
            self.assertIn(name, table)

    def test_help(self):
        done = stacyvm("run", "--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--image", "--env", "--mount-ro", "--memory", "--cpus", "--pids", "--disk", "--timeout", "--user", "--profile", "--json"):
            self.assertIn(option, done.stdout.decode())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
