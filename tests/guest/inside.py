"""What runs in the guest: checks one by one, each with one line on the standard output that the test outside reads.

guest: ok NAME | guest: FAIL NAME: why ... guest: end COUNT
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback

TOP = "/sys/fs/cgroup"
HERE = "/guest"
STACYVM = HERE + "/stacyvm"
USER = 1000
LIMITS = ("memory", "cpu", "pids")
# As systemd lays them: a service of the system, a user's manager and what runs below it, and a login without one.
SERVICE = "/system.slice/guest.service"
MANAGER = f"/user.slice/user-{USER}.slice/user@{USER}.service"
SCOPE = MANAGER + "/app.slice/run.scope"
SESSION = f"/user.slice/user-{USER}.slice/session-1.scope"
LONELY = "/system.slice/lonely.service"  # Delegate=yes: its own group is the user's, nothing above it is
HALF = "/system.slice/half.slice"  # somebody gave the directory away, and not the files in it
CONTAINER = "/system.slice/container.service"
POOR = "/poor.slice/user.slice"  # delegated where cpu is not passed on

checks = []


def check(function):
    checks.append((function.__name__, function))
    return function


class Failed(Exception):
    pass


def require(condition, *what):
    if not condition:
        raise Failed(" ".join(str(part) for part in what))


# --- groups

def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def make_group(path, controllers=(), owner=None, files=True):
    os.makedirs(TOP + path, exist_ok=True)
    if controllers:
        write(f"{TOP}{path}/cgroup.subtree_control", " ".join("+" + name for name in controllers))
    if owner is not None:
        os.chown(TOP + path, owner, owner)
        for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads") if files else ():
            os.chown(f"{TOP}{path}/{name}", owner, owner)


def make_groups():
    write(TOP + "/cgroup.subtree_control", "+memory +cpu +pids")
    for slice_ in ("/system.slice", "/user.slice", f"/user.slice/user-{USER}.slice"):
        make_group(slice_, LIMITS)
    make_group(SERVICE)
    make_group(SESSION)
    make_group(MANAGER, LIMITS, USER)
    make_group(MANAGER + "/app.slice", ("memory", "pids"), USER)  # a manager passes on what its units ask for; more is there to be had
    make_group(SCOPE, (), USER)
    make_group(LONELY, (), USER)
    make_group(CONTAINER)
    make_group(HALF, LIMITS, USER, files=False)
    make_group(HALF + "/app", (), USER)
    make_group("/poor.slice", ("memory", "pids"))
    make_group(POOR, ("memory", "pids"), USER)
    make_group(POOR + "/app", (), USER)


def groups_left():
    return [os.path.join(directory, name) for directory, names, _ in os.walk(TOP) for name in names if name.startswith("stacyvm-")]


def nothing_left():
    deadline = time.monotonic() + 20
    while left := groups_left():
        require(time.monotonic() < deadline, "groups left:", left)
        time.sleep(0.1)


# --- running things

class Place:
    """Somebody, somewhere in the tree of groups."""

    def __init__(self, group, uid=0):
        self.group, self.uid = group, uid

    def start(self, *command, **options):
        def enter():
            write(f"{TOP}{self.group}/cgroup.procs", "0")
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        home = f"/run/user/{self.uid}"
        os.makedirs(home, exist_ok=True)
        os.chown(home, self.uid, self.uid)
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": HERE, "SVM_TOOLS": HERE, "HOME": home, "XDG_RUNTIME_DIR": home}
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, preexec_fn=enter, env=environment, cwd="/tmp", **options)

    def run(self, *command, timeout=120):
        with self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as late:
                process.kill()
                print((late.stdout or b"").decode(errors="replace")[-6000:])  # where it was
                raise
        return subprocess.CompletedProcess(command, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def probe(self):
        done = self.run(STACYVM, "probe", "--json")
        require(done.returncode == 0, done)
        return {row["name"]: row for row in json.loads(done.stdout)["rows"]}

    def sandbox(self, text, *options):
        """(exit status, answer, what it said) of a shell command in a sandbox."""
        done = self.run(STACYVM, "run", "--json", *options, "--", "sh", "-c", text)
        return done.returncode, json.loads(done.stdout), done.stderr

    def program(self, name, *arguments, timeout):
        """A doctest program: every assertion that failed is in its output."""
        done = self.run(f"{HERE}/{name}", "-d", *arguments, timeout=timeout)
        cases = re.search(r"test cases: *(\d+) \| *(\d+) passed", done.stdout)
        if done.returncode != 0 or not cases or int(cases[2]) == 0:
            parts = re.split(r"^=+$", done.stdout, flags=re.MULTILINE)
            print("".join(part for part in parts if "ERROR" in part)[-6000:], done.stdout[-600:], done.stderr[-1000:])
            raise Failed(f"{name} {' '.join(arguments)} ended with {done.returncode}")
        print(f"  {name}: {cases[2]} test cases")
        for seconds, case in re.findall(r"^(\d+\.\d+) s: (.*)$", done.stdout, re.MULTILINE):
            if float(seconds) >= 3:
                print(f"  {float(seconds):.1f} s: {case}")
        for line in sorted(set(re.findall(r"^.*(?:SKIPPED|skipped: ).*$", done.stdout, re.MULTILINE))):
            print("  " + line.strip())


ROOT, DELEGATED, LOGIN = Place(SERVICE), Place(SCOPE, USER), Place(SESSION, USER)


def sandbox_group(place):
    """The one that runs, as seen from outside."""
    found = [name for name in groups_left() if os.path.isdir(name)]
    require(len(found) == 1, found)
    sandboxes = [name for name in os.listdir(found[0]) if name.startswith("sb-")]
    require(len(sandboxes) == 1, sandboxes)
    return f"{found[0]}/{sandboxes[0]}"


# --- what every place that has the limits must do

def all_limits_are_probed(place):
    rows = place.probe()
    require(rows["cgroup_version"].get("value") == 2, rows["cgroup_version"])
    release = os.uname().release.split(".")
    require(rows["kernel"]["value"] == int(release[0]) * 1000 + int(release[1].split("-")[0]), rows["kernel"])
    for name in ("cgroup_memory", "cgroup_swap", "cgroup_cpu", "cgroup_pids", "cgroup_delegation", "clone_into_cgroup", "user_namespace",
                 "overlay_in_user_namespace", "seccomp_filter", "landlock", "proc_mount", "disk_limit"):
        require(rows[name]["ok"], rows[name])


def all_limits_are_enforced(place):
    status, answer, said = place.sandbox("id -u; cat /proc/self/cgroup", "--memory", "64m", "--disk", "16m", "--cpus", "0.5", "--pids", "32")
    require(status == 0, answer, said)
    lines = answer["stdout"].splitlines()
    require(lines[0] == "1000" and "stacyvm" not in lines[1] and "slice" not in lines[1], lines)  # where it hangs is not shown inside
    enforced = answer["sandbox"]["enforced"]
    for name in ("memory", "swap", "cpu", "pids", "disk_limit", "cgroup_namespace", "landlock", "seccomp", "fresh_proc", "proc_masks"):
        require(name in enforced, name, answer["sandbox"])


def limits_are_in_their_files(place):
    with place.start(STACYVM, "run", "--memory", "64m", "--disk", "16m", "--cpus", "0.5", "--pids", "32", "--", "sh", "-c", "echo ready; cat",
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        require(process.stdout.readline() == b"ready\n", "it did not start")
        group = sandbox_group(place)
        for file, text in (("memory.max", str(64 << 20)), ("memory.swap.max", "0"), ("cpu.max", "50000 100000"), ("pids.max", "32")):
            require(read(f"{group}/cmd/{file}").strip() == text, file, read(f"{group}/cmd/{file}"))
        require(int(read(group + "/memory.max")) > 80 << 20, "the whole has no headroom")
        deadline = time.monotonic() + 30  # the shell has said that it is ready, and has yet to start the other one
        while len(read(f"{group}/cmd/cgroup.procs").split()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        members = {part: len(read(f"{group}/{part}/cgroup.procs").split()) for part in (".", "agent", "cmd")}
        require(members["."] == 0 and members["agent"] >= 1 and members["cmd"] >= 2, members)
        require(int(read(f"{group}/cmd/pids.current")) >= 2, "the command is not in its group")
        process.stdin.close()
        require(process.wait(60) == 0, process.returncode)


def a_memory_hog_is_killed(place):
    """There is free swap: only the swap limit keeps it from going there."""
    require(len(read("/proc/swaps").splitlines()) == 2, "no swap in the guest")
    status, answer, said = place.sandbox("exec tail /dev/zero", "--memory", "64m")
    require(status == 137 and answer["reason"] == "oom" and "out of memory" in said, status, answer, said)


def what_is_written_counts_as_memory(place):
    status, answer, said = place.sandbox("head -c 30m /dev/zero > big && echo written; exec tail /dev/zero", "--memory", "64m", "--disk", "32m")
    require(status == 137 and answer["reason"] == "oom" and answer["stdout"] == "written\n", status, answer, said)


def a_fork_bomb_is_held(place):
    with place.start(STACYVM, "run", "--pids", "16", "--", "sh", "-c", "bomb() { bomb | bomb & }; bomb 2> /dev/null; echo thrown; sleep 1000",
                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        require(process.stdout.readline() == b"thrown\n", "it did not start")
        group = sandbox_group(place)
        deadline = time.monotonic() + 60
        while "max 0" in read(f"{group}/cmd/pids.events"):
            require(time.monotonic() < deadline, "the limit was never reached")
            require(int(read(f"{group}/cmd/pids.current")) <= 16, "more processes than the limit")
            time.sleep(0.05)
        require(int(read(f"{group}/cmd/pids.current")) <= 16, "more processes than the limit")
        process.terminate()
        process.terminate()
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            process.terminate()
            time.sleep(0.2)
        require(process.poll() is not None, "the bomb outlived two signals")
    nothing_left()


def a_cpu_limit_holds(place):
    status, answer, said = place.sandbox("timeout 3 sh -c 'while :; do :; done'", "--cpus", "0.5")
    require(status == 124, status, answer, said)
    used = answer["cpu_us"] / 1e6
    require(0.2 < used < 2.4, "of 3 s at half a cpu it used", used)  # 1.5, and what the limit's period and a slow machine add


def the_disk_ends_at_its_limit(place):
    status, answer, said = place.sandbox("head -c 20m /dev/zero > big; rm big; echo small > small && cat small", "--disk", "8m")
    require(status == 0 and answer["stdout"] == "small\n" and "No space left" in answer["stderr"], status, answer, said)


def an_owner_that_is_killed_leaves_nothing(place):
    with place.start(STACYVM, "run", "--", "sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE) as process:
        require(process.stdout.readline() == b"ready\n", "it did not start")
        sandbox_group(place)
        process.kill()
        process.wait()
    nothing_left()


COMMON = (all_limits_are_probed, all_limits_are_enforced, limits_are_in_their_files, a_memory_hog_is_killed, what_is_written_counts_as_memory,
          a_fork_bomb_is_held, a_cpu_limit_holds, the_disk_ends_at_its_limit, an_owner_that_is_killed_leaves_nothing)
for where, who in (("root", ROOT), ("delegated user", DELEGATED)):
    for function in COMMON:
        checks.append((f"{where}: {function.__name__}", lambda function=function, who=who: function(who)))


# --- what is special about a place

@check
def groups_that_hold_processes_are_left_as_they_are():
    for group in (SERVICE, SCOPE, SESSION, LONELY):
        require(read(f"{TOP}{group}/cgroup.type") == "domain\n", group, read(f"{TOP}{group}/cgroup.type"))
        require(read(f"{TOP}{group}/cgroup.subtree_control").strip() == "", group, "passes controllers on")


@check
def root_in_the_root_group_has_every_limit():
    all_limits_are_enforced(Place(""))


@check
def a_user_without_delegation_is_told_so():
    rows = LOGIN.probe()
    for name in ("cgroup_memory", "cgroup_swap", "cgroup_cpu", "cgroup_pids", "cgroup_delegation"):
        require(not rows[name]["ok"] and rows[name]["error"] == "Permission denied", rows[name])
    status, answer, said = LOGIN.sandbox("echo works")
    require(status == 0 and answer["stdout"] == "works\n", answer, said)
    enforced, missing = answer["sandbox"]["enforced"], " ".join(answer["sandbox"]["unenforced"])
    require("memory" not in enforced and "cpu" not in enforced and "memory" in missing and "cpu" in missing, answer["sandbox"])
    require("pids" in enforced, answer["sandbox"])  # by RLIMIT_NPROC in a user namespace of its own
    for option, value, name in (("--memory", "64m", "memory"), ("--cpus", "0.5", "cpu")):
        status, answer, said = LOGIN.sandbox("true", option, value)
        require(status == 125 and answer["error"]["code"] == "UNSUPPORTED" and name + "_limit" in answer["error"]["message"], answer, said)
        status, answer, said = LOGIN.sandbox("true", option, value, "--best-effort")
        require(status == 0 and name not in answer["sandbox"]["enforced"], answer, said)


@check
def a_user_alone_in_a_delegated_group_has_no_limits_and_still_sandboxes():
    place = Place(LONELY, USER)
    status, answer, said = place.sandbox("echo works")
    require(status == 0 and answer["stdout"] == "works\n", answer, said)
    require("memory" not in answer["sandbox"]["enforced"], answer["sandbox"])
    status, answer, said = place.sandbox("true", "--memory", "64m")
    require(status == 125 and answer["error"]["code"] == "UNSUPPORTED" and "memory_limit" in answer["error"]["message"], answer, said)


@check
def a_delegation_that_lets_no_process_in_is_none():
    place = Place(HALF + "/app", USER)
    rows = place.probe()
    require(not rows["cgroup_memory"]["ok"], rows["cgroup_memory"])
    status, answer, said = place.sandbox("echo works")
    require(status == 0 and answer["stdout"] == "works\n", answer, said)
    require("memory" not in answer["sandbox"]["enforced"], answer["sandbox"])


@check
def a_container_of_its_own_groups_has_every_limit_once_its_top_is_empty():
    """A namespace of control groups, whose top is no hierarchy's root: it may not hold processes and pass controllers on."""
    def in_container(before):
        done = Place(CONTAINER).run("unshare", "--cgroup", "--mount", "sh", "-c", f"umount {TOP} && mount -t cgroup2 cgroup2 {TOP} && {before} "
                                    f"exec {STACYVM} run --json --memory 64m --cpus 0.5 --pids 32 -- cat /proc/self/cgroup")
        require(done.stdout, done)
        return done.returncode, json.loads(done.stdout), done.stderr
    status, answer, said = in_container("")
    require(status == 125 and answer["error"]["code"] == "UNSUPPORTED" and "memory_limit" in answer["error"]["message"], answer, said)
    status, answer, said = in_container(f"mkdir {TOP}/init && echo 0 > {TOP}/init/cgroup.procs &&")
    require(status == 0 and {"memory", "cpu", "pids"} <= set(answer["sandbox"]["enforced"]), answer, said)
    nothing_left()


@check
def the_controllers_that_were_delegated_are_used_and_no_others():
    place = Place(POOR + "/app", USER)
    rows = place.probe()
    require(rows["cgroup_memory"]["ok"] and rows["cgroup_pids"]["ok"] and not rows["cgroup_cpu"]["ok"], rows)
    status, answer, said = place.sandbox("true", "--memory", "64m", "--pids", "16")
    require(status == 0 and {"memory", "pids"} <= set(answer["sandbox"]["enforced"]), answer, said)
    status, answer, said = place.sandbox("true", "--cpus", "0.5")
    require(status == 125 and answer["error"]["code"] == "UNSUPPORTED" and "cpu_limit" in answer["error"]["message"], answer, said)


@check
def an_image_on_a_file_system_without_idmapped_mounts_still_serves():
    """tmpfs has them since Linux 6.3: before, an image's files belong to nobody inside, which allows less."""
    image = "/dev/shm/image"
    os.makedirs(image + "/bin")
    shutil.copy(HERE + "/busybox", image + "/bin")
    os.symlink("busybox", image + "/bin/sh")
    status, answer, said = ROOT.sandbox("busybox cat /proc/self/cgroup | busybox wc -l", "--image", image)
    require(status == 0 and answer["stdout"] == "1\n", answer, said)


# --- the test programs of the host

@check
def unit_tests_of_the_isolation_layer():
    # Seccomp is not among them: its filter is the same on every kernel.
    # A thousandth of a translated processor takes a minute to fork and end.
    ROOT.program("unit-isolation", "-tc=cgroup*,probe*,landlock*,capabilities*,keyring*,rlimits*", "-tce=cgroup: the smallest limits*", timeout=120)


@check
def contract_as_root():
    # Without what asks nothing of the kernel that it does not ask of the host's, and much of a translated processor.
    ROOT.program("contract", "-tce=" + ",".join(word + "*" for word in (
        "a large file", "an archive that is none", "archives of", "files and trees", "names and", "sizes around", "an upload", "lines are", "a text is",
        "two hundred", "fifty threads", "64 commands", "40 sandboxes", "any number", "killed at any moment", "output is bounded", "standard", "arguments",
        "a key", "get or create", "prune", "labels", "events are", "events survive", "a watch", "::1", "each way", "a reset", "refusals", "a wall clock",
        "an hour", "a reader that")), timeout=700)


@check
def contract_as_a_delegated_user():
    DELEGATED.program("contract", "-tc=a limit*,as many processes*,an owner*,killed*,spawned*,a directory is a root*,files act*,exit codes*", timeout=200)


@check
def security_as_root():
    # Without what is a race of paths and not of kernels, and takes its time.
    ROOT.program("security", "-tce=no file operation follows*", timeout=200)


@check
def security_as_a_delegated_user():
    DELEGATED.program("security", "-tc=a fork bomb*,a command that takes all memory*,a command that spins*,a command in a sandbox finds*", timeout=200)


@check
def no_group_is_left():
    nothing_left()


def main():
    print("guest: started", flush=True)
    make_groups()
    for name, function in checks:
        name = name.replace("_", " ")
        start = time.monotonic()
        try:
            function()
            result = f"ok {name}"
        except Failed as failed:
            result = f"FAIL {name}: {failed}"
        except Exception:  # a check that cannot even be made has failed, and the next ones are made
            traceback.print_exc(file=sys.stdout)
            result = f"FAIL {name}: {sys.exc_info()[1]!r}"
        print(f"  {time.monotonic() - start:.1f} s")
        print("guest:", result.replace("\n", " "), flush=True)
    print(f"guest: end {len(checks)}", flush=True)


if __name__ == "__main__":
    main()
