"""The command line as its users meet it: stacyvm run, probe, version, completion, man."""
import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import terminal

EXECUTABLE, LIBRARY = sys.argv[1], sys.argv[2]
NOBODY = 65534
with open(EXECUTABLE, "rb") as executable_file:
    INSTRUMENTED = b"__asan_init" in (image := executable_file.read()) or b"__tsan_init" in image  # a sanitizer's shadow is memory, too
TIMEOUT = 60
VERBS = ("run", "spawn", "exec", "shell", "cp", "list", "kill", "logs", "events", "stats", "serve", "probe", "version", "completion", "man")


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


def started(pid):
    """When a process started: with its id, a name that is never used again. None: it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def descendants(pid):
    found = {}
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    found[child] = started(child)
                    found.update(descendants(child))
    except OSError:
        pass  # it ended while we looked
    return found


class Traces:
    """The processes and control groups of one running stacyvm: of this one only, for other tests run beside us."""

    def __init__(self, pid):
        self.pid = pid
        self.processes = descendants(pid)

    def groups(self):
        """A group carries the process id of its owner at its end."""
        found = []
        for directory, names, _ in os.walk("/sys/fs/cgroup"):
            found += [os.path.join(directory, name) for name in names if name.startswith("stacyvm-") and name.endswith(f"-{self.pid}")]
        return found

    def left(self):
        return self.groups() + [pid for pid, start in self.processes.items() if start is not None and started(pid) == start]


class Run(unittest.TestCase):
    def test_output_and_exit_status_pass_through(self):
        done = shell("echo out; echo err >&2; exit 3")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"out\n", b"err\n"))
        self.assertEqual(run("true").returncode, 0)

    def test_exit_statuses_of_a_shell(self):
        self.assertEqual(shell("kill -TERM $$").returncode, 128 + signal.SIGTERM)
        self.assertEqual(run("no-such-program").returncode, 127)
        self.assertEqual(run("/etc/passwd").returncode, 126)
        for directory in ("/no/such/directory", "/etc/passwd"):
            lost = run("true", options=["--workdir", directory])
            self.assertEqual(lost.returncode, 126)
            self.assertIn(f"working directory {directory}:".encode(), lost.stderr)
        self.assertEqual(run("sleep", "20", options=["--timeout", "200ms"]).returncode, 124)
        failed = run("true", options=["--image", "debian:12"])
        self.assertEqual(failed.returncode, 125)
        self.assertIn(b"debian:12", failed.stderr)

    def test_usage_errors_are_ours(self):
        for arguments in ([], ["no-such-verb"], ["run"], ["run", "--"], ["run", "--", ""], ["run", "--no-such-option", "--", "true"],
                          ["run", "--memory"], ["run", "--memory", "lots", "--", "true"], ["run", "--cpus", "0", "--", "true"],
                          ["run", "--pids", "0", "--", "true"], ["run", "--timeout", "5", "--", "true"], ["run", "-e", "A", "--", "true"],
                          ["run", "--mount-ro", "/usr", "--", "true"], ["version", "--", "true"], ["probe", "--no-such-option"]):
            done = stacyvm(*arguments)
            self.assertEqual((done.returncode, done.stdout), (125, b""), arguments)
            self.assertRegex(done.stderr, rb"^stacyvm: [^\n]+\n$", arguments)
        self.assertIn(b"no-such-verb", stacyvm("no-such-verb").stderr)

    def test_what_a_value_is_for_is_said_and_an_empty_one_is_none(self):
        for option in ("--memory", "--cpus", "--pids", "--disk", "--timeout"):
            for value in ("", "x", "-1"):
                done = run("true", options=[option, value])
                self.assertEqual(done.returncode, 125, (option, value))
                self.assertIn(f"{option}: '{value}': expected ".encode(), done.stderr)
        self.assertIn(b"not /", run("true", options=["--mount-ro", "/usr:/"]).stderr)

    def test_limits_at_the_limit_and_one_beyond(self):
        rows = probe_rows()
        for option, least, beyond, needs in (("--pids", "4", "3", "cgroup_pids"), ("--memory", "16777216", "16777215", "cgroup_memory"),
                                             ("--cpus", "0.01", "0.009", "cgroup_cpu"), ("--disk", "1m", "1048575", "disk_limit")):
            refused = run("true", options=[option, beyond])
            self.assertEqual(refused.returncode, 125, (option, refused))
            self.assertTrue(refused.stderr, option)
            if not rows[needs]["ok"]:
                print(f"SKIP {option} at its limit:", rows[needs]["error"])
                continue
            self.assertEqual(run("true", options=[option, least]).returncode, 0, option)

    def test_words_reach_the_command_unchanged(self):
        words = ["", "[a,b]", "{}", "--", "--help", "-m", "a b", "'", '"', "\\", "-", "[]", "%%", "=", "\xe9\u20ac"]
        expected = "".join(word + "\n" for word in words).encode()
        self.assertEqual(run("printf", "%s\\n", *words).stdout, expected)
        # The dashes may be left out where the command is no option.
        self.assertEqual(stacyvm("run", "--timeout", "30s", "printf", "%s\\n", *words).stdout, expected)
        self.assertEqual(run("printf", "%s", b"\xff\xfe").stdout, b"\xff\xfe")

    def test_fifty_megabytes_both_ways_unchanged(self):
        data = os.urandom(50_000_000)
        done = run("cat", input=data)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout == data, "bytes were changed on the way")

    def test_input_is_optional_and_may_stay_unread(self):
        self.assertEqual(run("cat").stdout, b"")
        self.assertEqual(run("true", input=b"x" * 10_000_000).returncode, 0)

    def test_reader_writer_and_command_wait_for_one_another(self):
        # The command writes 10 MB while it reads; its reader takes nothing before all input is written.
        child = subprocess.Popen([EXECUTABLE, "run", "--", "sh", "-c", "head -c 10000000 /dev/zero & wc -c >&2; wait"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        killer = threading.Timer(TIMEOUT, child.kill)
        killer.start()
        child.stdin.write(b"x" * 20_000_000)
        child.stdin.close()
        output, error = child.stdout.read(), child.stderr.read()
        self.assertEqual(child.wait(TIMEOUT), 0)
        killer.cancel()
        self.assertEqual((len(output), error.strip()), (10_000_000, b"20000000"))
        child.stdout.close()
        child.stderr.close()

    def test_memory_does_not_grow_with_the_output(self):
        child = subprocess.Popen([EXECUTABLE, "run", "--", "head", "-c", "300000000", "/dev/zero"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        read = peak = 0
        while data := child.stdout.read(1 << 20):
            read += len(data)
            with open(f"/proc/{child.pid}/status", encoding="ascii") as file:
                peak = max([peak] + [int(line.split()[1]) for line in file if line.startswith("VmHWM")])
        child.stdout.close()
        self.assertEqual((child.wait(TIMEOUT), read), (0, 300_000_000))
        self.assertGreater(peak, 0)
        if not INSTRUMENTED:
            self.assertLess(peak, 40_000)

    def test_standard_descriptors_that_are_closed_or_broken(self):
        def in_shell(redirections, *command):
            return subprocess.run(["sh", "-c", f'exec "$@" {redirections}', "sh", EXECUTABLE, "run", "--", *command],
                                  capture_output=True, timeout=TIMEOUT)
        self.assertEqual(in_shell("<&-", "cat").returncode, 0)
        self.assertEqual(in_shell(">&-", "true").returncode, 0)
        self.assertEqual(in_shell("<&- >&- 2>&-", "true").returncode, 0)
        closed = in_shell(">&-", "echo", "x")
        self.assertEqual(closed.returncode, 125)
        self.assertIn(b"cannot write standard output", closed.stderr)
        full = in_shell(">/dev/full", "echo", "x")
        self.assertEqual(full.returncode, 125)
        self.assertIn(b"No space left", full.stderr)
        directory = in_shell("</", "cat")
        self.assertEqual((directory.returncode, directory.stdout), (0, b""))
        self.assertIn(b"cannot read standard input", directory.stderr)
        for arguments in (["version"], ["probe", "--json"], ["run", "--help"]):
            done = subprocess.run(["sh", "-c", 'exec "$@" >/dev/full', "sh", EXECUTABLE, *arguments], capture_output=True, timeout=TIMEOUT)
            self.assertEqual(done.returncode, 125, arguments)

    def test_the_command_starts_with_ordinary_signals(self):
        done = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status")
        self.assertEqual(done.stdout.split(), [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16])

    def test_environment_user_and_directory(self):
        done = shell('echo "$GREETING"; id -u; pwd; echo "$HOME"', options=["--env", "GREETING=a=b c"])
        self.assertEqual(done.stdout, b"a=b c\n1000\n/workspace\n/workspace\n")
        self.assertEqual(shell("pwd", options=["-w", "/tmp"]).stdout, b"/tmp\n")
        self.assertEqual(shell('echo "$A$B"', options=["-e", "A=1", "-e", "B=2", "-e", "A=3"]).stdout, b"32\n")
        self.assertEqual(shell('echo "$HIDDEN"', env={**os.environ, "HIDDEN": "secret"}).stdout, b"\n")
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
        self.assertNotIn("stderr", answer)
        self.assertIn("seccomp", answer["sandbox"]["enforced"])
        self.assertTrue(answer["sandbox"]["id"])
        self.assertRegex(answer["duration"], r"^[0-9.]+(µs|ms|s)$")
        for name in ("spawn_ms", "exec_ms", "total_ms"):
            self.assertGreater(answer[name], 0)

    def test_json_of_failures(self):
        for command, options, status, code in ((["true"], ["--image", "/no/such/image"], 125, "NOT_FOUND"),
                                               (["no-such-program"], [], 127, "FILE_NOT_FOUND"), (["/etc/passwd"], [], 126, "FORBIDDEN"),
                                               (["true"], ["--workdir", "/none"], 126, "FILE_NOT_FOUND")):
            done = run(*command, options=["--json", *options])
            answer = json.loads(done.stdout)
            self.assertEqual((done.returncode, answer["exit_code"], answer["error"]["code"]), (status, status, code))
            self.assertIn(answer["error"]["message"].encode(), done.stderr)
        answer = json.loads(run("sleep", "20", options=["--json", "--timeout", "200ms"]).stdout)
        self.assertEqual((answer["exit_code"], answer["reason"]), (124, "timeout"))

    def test_json_collects_up_to_its_limit(self):
        for size, status, reason in ((64 << 20, 0, "exited"), ((64 << 20) + 1, 125, "output_limit")):
            done = shell(f"yes abcdefg | head -c {size}", options=["--json"])
            answer = json.loads(done.stdout)
            self.assertEqual((done.returncode, answer["exit_code"], answer["reason"]), (status, status, reason))
            if status == 0:
                self.assertEqual(len(answer["stdout"]), size)
            else:
                self.assertIn(b"64 MiB", done.stderr)

    def test_timings(self):
        done = run("true", options=["--timings"])
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertRegex(done.stderr, rb"^stacyvm: sandbox ready after [0-9.]+ ms, command took [0-9.]+ ms, gone after [0-9.]+ ms\n$")

    def test_a_reader_that_goes_away_ends_the_command(self):
        child = subprocess.Popen([EXECUTABLE, "run", "--", "yes"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        child.stdout.read(10)
        child.stdout.close()
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGPIPE)
        # Also one that does not care.
        child = subprocess.Popen([EXECUTABLE, "run", "--", "sh", "-c", "trap '' PIPE; while :; do echo y; done 2>/dev/null"],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        child.stdout.read(10)
        child.stdout.close()
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGPIPE)

    def start(self, text, *prefix):
        """A sandbox whose command has said that it runs."""
        child = subprocess.Popen([*prefix, EXECUTABLE, "run", "--", "sh", "-c", "echo ready; " + text], stdout=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL if prefix else None)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        return child

    def traces_of(self, child):
        traces = Traces(child.pid)
        self.assertGreaterEqual(len(traces.processes), 3, "launcher, agent and command are not to be seen")
        if probe_rows()["cgroup_memory"]["ok"]:
            self.assertTrue(traces.groups(), "its control groups are not to be seen")
        return traces

    def test_a_second_signal_ends_the_sandbox(self):
        child = self.start("trap '' TERM INT; echo trapped; while :; do sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"trapped\n")
        traces = self.traces_of(child)
        child.send_signal(signal.SIGTERM)
        with self.assertRaises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGINT)
        self.assertEqual(traces.left(), [])

    def test_a_signal_reaches_all_of_the_command(self):
        # The inner shell says ready: by then the outer one waits. Between fork and exec, dash catches SIGINT and forgets it.
        child = subprocess.Popen([EXECUTABLE, "run", "--", "sh", "-c", "sh -c 'echo ready; exec sleep 1000'; echo not reached"],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGINT)
        self.assertEqual(child.stdout.read(), b"")

    def test_signals_are_heard_while_the_output_is_stuck(self):
        child = subprocess.Popen([EXECUTABLE, "run", "--", "sh", "-c", "trap '' TERM; exec yes"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(child.stdout.close)
        child.stdout.read(10)
        time.sleep(0.3)
        child.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(TIMEOUT), 128 + signal.SIGTERM)

    def test_a_signal_at_any_moment_ends_it(self):
        for delay_ms in range(0, 40, 4):
            child = subprocess.Popen([EXECUTABLE, "run", "--", "sleep", "1000"], stdin=subprocess.DEVNULL)
            time.sleep(delay_ms / 1000)
            child.send_signal(signal.SIGTERM)
            # Before main() it is the kernel that ends us; otherwise we say so.
            self.assertIn(child.wait(TIMEOUT), (-signal.SIGTERM, 128 + signal.SIGTERM), delay_ms)

    def test_what_our_parent_ignores_we_ignore(self):
        child = self.start("sleep 0.5; echo done", "nohup")
        child.send_signal(signal.SIGHUP)
        self.assertEqual((child.stdout.read(), child.wait(TIMEOUT)), (b"done\n", 0))

    def test_signals_reach_the_command_and_nothing_is_left(self):
        child = self.start("trap 'echo caught; exit 7' TERM; echo trapped; while :; do sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"trapped\n")
        traces = self.traces_of(child)
        child.send_signal(signal.SIGTERM)
        self.assertEqual((child.wait(TIMEOUT), child.stdout.read()), (7, b"caught\n"))
        self.assertEqual(traces.left(), [])

    def test_killed_it_leaves_nothing(self):
        child = self.start("sleep 1000")
        traces = self.traces_of(child)
        child.kill()
        child.wait(TIMEOUT)
        # The launcher notices by a descriptor of the process and ends all; no one else removes anything here.
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and traces.left():
            time.sleep(0.02)
        self.assertEqual(traces.left(), [])

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
            # A limit that nobody can enforce for it is refused, with what to do; asked for as a wish, the rest is done.
            as_nobody = {"capture_output": True, "timeout": TIMEOUT, "user": NOBODY, "group": NOBODY, "extra_groups": [],
                         "env": environment, "cwd": "/", "stdin": subprocess.DEVNULL}
            rows = json.loads(subprocess.run([executable, "probe", "--json"], **as_nobody).stdout)["rows"]
            if next(row for row in rows if row["name"] == "cgroup_memory")["ok"]:
                print("SKIP limits of an ordinary user that cannot be enforced: here they can")
                return
            refused = subprocess.run([executable, "run", "--memory", "64m", "--", "true"], **as_nobody)
            self.assertEqual(refused.returncode, 125)
            self.assertIn(b"--best-effort", refused.stderr)
            wish = subprocess.run([executable, "run", "--memory", "64m", "--best-effort", "--json", "--", "true"], **as_nobody)
            self.assertEqual(wish.returncode, 0, wish.stderr)
            sandbox = json.loads(wish.stdout)["sandbox"]
            self.assertNotIn("memory", sandbox["enforced"])
            self.assertTrue([entry for entry in sandbox["unenforced"] if entry.startswith("memory")], sandbox)


class OnTerminal(terminal.CommandOnTerminal, unittest.TestCase):
    """stacyvm run as somebody types it."""

    IN_TERMINAL = ()

    def start(self, *words):
        return super().start([EXECUTABLE, "run", *words])

    def test_pipes_where_they_are_asked_for(self):
        process = self.start("--no-tty", "--", "sh", "-c", "tty || echo none")
        self.until(b"none\r\n")
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_a_terminal_where_we_have_none(self):
        self.assertEqual(run("sh", "-c", "stty size", options=["--tty"]).stdout, b"24 80\r\n")
        self.assertEqual(run("tty", options=[]).returncode, 1)


class Generated(unittest.TestCase):
    """What the parser says of itself."""

    def test_the_manual_has_every_verb_and_option(self):
        page = stacyvm("man").stdout.decode().replace("\\-", "-")
        self.assertTrue(page.startswith(".TH STACYVM 1"))
        for word in (*(f".SH {verb}\n" for verb in VERBS), "SANDBOX", "--idempotency-key", "--memory", "--mount-ro", "--state-dir", "Exit status", ".SH ENVIRONMENT\n", "STACYVM_API_KEY"):
            self.assertIn(word, page)
        if shutil.which("groff"):
            said = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=stacyvm("man").stdout, capture_output=True, timeout=TIMEOUT, check=True)
            self.assertEqual(said.stderr, b"")

    def test_bash_completes(self):
        script = stacyvm("completion", "bash").stdout.decode()
        for words, expected in ((["stacyvm", "ser"], ["serve"]), (["stacyvm", "run", "--mem"], ["--memory"]), (["stacyvm", "ex"], ["exec"]), (["stacyvm", "spawn", "--get"], ["--get-or-create"]), (["stacyvm", "cp", "--api-key-"], ["--api-key-file"]), (["stacyvm", "run", "--", "--mem"], []),
                                (["stacyvm", "run", "--profile", "d"], ["default", "debug"]), (["stacyvm", "list", "--state", "r"], ["running"]), (["stacyvm", "completion", "z"], ["zsh"]),
                                (["stacyvm", "run", "--memory", "''"], []), (["stacyvm", "cp", "a"], [])):
            text = script + f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); _stacyvm; printf '%s\n' \"${{COMPREPLY[@]}}\""
            done = subprocess.run(["bash", "-c", text], capture_output=True, timeout=TIMEOUT, check=True)
            self.assertEqual(done.stdout.decode().split(), expected, done.stderr)

    def completed_by_zsh(self, words):
        """What a tab makes of a command line, which a shell on a terminal then runs: a function that says its words."""
        with tempfile.NamedTemporaryFile("wb") as script:
            script.write(stacyvm("completion", "zsh").stdout)
            script.flush()
            text = f"""zmodload zsh/zpty; zpty shell zsh -f -i
                zpty -w shell 'PS1=; autoload -Uz compinit; compinit -D -u; source {script.name}; stacyvm() {{ print -r -- "GOT[$*]" }}; print READY""NOW'
                zpty -r shell out '*READYNOW*' && zpty -w -n shell $'stacyvm {words}\\t\\n' && zpty -r shell out '*GOT[[]*[]]*' && print -r -- $out"""
            done = subprocess.run(["zsh", "-f", "-c", text], capture_output=True, timeout=TIMEOUT, check=True)
        return re.findall(r"GOT\[(.*?)\]", done.stdout.decode())[-1].strip()

    def test_other_shells(self):
        for shell_name, check in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            script = stacyvm("completion", shell_name).stdout
            for word in (b"best-effort", b"no-follow", b"get-or-create", *(verb.encode() for verb in VERBS)):
                self.assertIn(word, script)
            if shutil.which(check[0]):
                subprocess.run(check, input=script, timeout=TIMEOUT, check=True)
        if shutil.which("zsh"):
            text = b"autoload -Uz compinit; compinit -D -u\n" + stacyvm("completion", "zsh").stdout + b"print -r -- $_comps[stacyvm]\n"
            self.assertEqual(subprocess.run(["zsh", "-f"], input=text, capture_output=True, timeout=TIMEOUT, check=True).stdout, b"_stacyvm\n")
            for words, expected in (("exe", "exec"), ("run --prof", "run --profile"), ("run -e A=1 --en", "run -e A=1 --env"), ("list --state r", "list --state running"), ("completion z", "completion zsh"),
                                    ("exec box --deta", "exec box --detach"), ("cp /etc/passw", "cp /etc/passwd")):
                self.assertEqual(self.completed_by_zsh(words), expected)
        if shutil.which("fish"):
            for words, expected in (("stacyvm ser", ["serve"]), ("stacyvm list --state r", ["running"]), ("stacyvm completion z", ["zsh"]), ("stacyvm kill /et", [])):
                text = stacyvm("completion", "fish").stdout + f"complete -C '{words}'\n".encode()
                done = subprocess.run(["fish", "--no-config"], input=text, capture_output=True, timeout=TIMEOUT, check=True)
                self.assertEqual([line.split("\t")[0] for line in done.stdout.decode().splitlines()], expected, words)
        self.assertEqual(stacyvm("completion", "tcsh").returncode, 125)


class Others(unittest.TestCase):
    def test_version(self):
        self.assertRegex(stacyvm("version").stdout.decode(), r"^stacyvm \d+\.\d+\.\d+\n$")
        self.assertEqual(stacyvm("--version").stdout, stacyvm("version").stdout)
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
        for verb in VERBS:
            self.assertEqual((stacyvm(verb, "--help").returncode, stacyvm(verb, "--no-such-option").returncode), (0, 125), verb)
        done = stacyvm("run", "--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--image", "--env", "--mount-ro", "--memory", "--cpus", "--pids", "--disk", "--timeout", "--user", "--profile", "--json"):
            self.assertIn(option, done.stdout.decode())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
