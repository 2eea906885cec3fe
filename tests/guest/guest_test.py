"""Boots the kernel of this Debian release in QEMU with this build inside, on pure cgroup v2, and asserts what tests/guest/inside.py reports.

guest_test.py WORK-DIRECTORY PROGRAM...   the programs and the library are put into the guest's /guest

The guest's root is an ext4 image of this host's own tools and libraries. The kernel's package is downloaded into the work directory, not
installed. KVM is used where a guest says a word under it in time; otherwise QEMU translates, which takes four minutes.
"""
import glob
import lzma
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = "libstacyvm.so.1"
KERNEL_PACKAGE = "linux-image-cloud-amd64"  # names the package of the release's kernel
MODULES = ["virtio_pci", "virtio_blk", "ext4", "overlay"]  # where the kernel has them built in, there is nothing to load
# The guest's root: the programs of these packages of this host, with the libraries that they need.
ROOT_PACKAGES = ["bash", "coreutils", "dash", "findutils", "grep", "hostname", "libc-bin", "mawk", "mount", "procps", "sed", "tar", "gzip", "util-linux"]
ROOT_FILES = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.conf", "/etc/ld.so.cache", "/etc/ld.so.conf.d", "/etc/alternatives",
              "/usr/lib/locale/C.utf8", "/etc/debian_version"]
PYTHON = "/usr/bin/python3"  # the package's: one that a user has elsewhere may be out of the reach of the guest's ordinary user
NOT_OF_PYTHON = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "dist-packages", "site-packages", "pydoc_data"}
FIRST_WORD_SECONDS = {"kvm": 8, "tcg,thread=multi": 120}
ALL_SECONDS = 1300


class Skip(Exception):
    pass


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# --- the kernel

def fetch_kernel(work):
    """The unpacked package of the release's kernel: downloaded once into the build directory, not installed."""
    why = "no reason"
    for attempt in range(2):
        if attempt == 1:  # the lists may be missing or too old
            subprocess.run(["apt-get", "update", "-q"], capture_output=True)
        depends = subprocess.run(["apt-cache", "depends", KERNEL_PACKAGE], capture_output=True, text=True).stdout
        name = re.search(r"Depends: (linux-image-\S+)", depends)
        if not name:
            why = f"this host's package lists have no {KERNEL_PACKAGE}"
            continue
        unpacked = os.path.join(work, name[1])
        if os.path.isdir(unpacked):
            return unpacked
        with tempfile.TemporaryDirectory(dir=work) as directory:
            done = subprocess.run(["apt-get", "download", "-q", name[1]], cwd=directory, capture_output=True, text=True)
            archives = glob.glob(os.path.join(directory, "*.deb"))
            if done.returncode == 0 and len(archives) == 1:
                whole = os.path.join(directory, "unpacked")
                subprocess.run(["dpkg-deb", "-x", archives[0], whole], check=True)
                os.rename(whole, unpacked)
                return unpacked
        why = f"cannot download {name[1]}: " + " ".join(done.stderr.split())
    raise Skip(why)


def kernel_modules(kernel):
    """(name, bytes) of MODULES and what they need, in the order of loading."""
    paths = {}
    for path in glob.glob(os.path.join(kernel, "**/lib/modules/**/*.ko*"), recursive=True):
        paths[os.path.basename(path).split(".ko")[0].replace("-", "_")] = path
    modules = {}

    def load(name):
        if name not in paths or name in modules:
            return
        data = read(paths[name])
        if paths[name].endswith(".xz"):
            data = lzma.decompress(data)
        for needed in filter(None, re.search(rb"\0depends=([^\0]*)\0", data)[1].decode().split(",")):
            load(needed.replace("-", "_"))
        modules[name] = data

    for name in MODULES:
        load(name)
    return list(modules.items())


# --- the file systems

class Cpio:
    """A newc archive, as the kernel reads it."""

    def __init__(self):
        self.parts, self.inode = [], 0

    def add(self, name, mode, data=b""):
        self.inode += 1
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_initramfs(path, kernel, busybox):
    archive = Cpio()
    for directory in ("bin", "dev", "proc", "sys", "root", "modules"):
        archive.add(directory, stat.S_IFDIR | 0o755)
    archive.add("bin/busybox", stat.S_IFREG | 0o755, read(busybox))
    archive.add("init", stat.S_IFREG | 0o755, read(os.path.join(HERE, "init")))
    modules = kernel_modules(kernel)
    for name, data in modules:
        archive.add("modules/" + name, stat.S_IFREG | 0o644, data)
    archive.add("modules/order", stat.S_IFREG | 0o644, "".join(name + "\n" for name, _ in modules).encode())
    with open(path, "wb") as file:
        file.write(archive.bytes())


class Root:
    def __init__(self, path):
        self.path, self.programs = path, []
        for directory in ("proc", "sys", "dev", "run", "tmp", "usr", "etc", "var/tmp", "var/lib", "root", "home", "mnt", "opt", "srv", "guest"):
            os.makedirs(os.path.join(path, directory))
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):  # links into /usr, or directories on older systems
            if os.path.islink("/" + name):
                os.symlink(os.readlink("/" + name), os.path.join(path, name))
                os.makedirs(os.path.join(path, "usr", name), exist_ok=True)

    def inside(self, path):
        """Where a file of the host lies in the root: by the directory's real name, for /bin/x and /usr/bin/x are one."""
        return self.path + os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))

    def add(self, source, target=None):
        """A file, a link with what it leads to, or a tree."""
        target = target or self.inside(source)
        if os.path.lexists(target) or not os.path.lexists(source):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source) and not os.path.islink(source):
            shutil.copytree(source, target, symlinks=True, ignore=lambda _, names: [name for name in names if name in NOT_OF_PYTHON or name.startswith("config-")])
            return
        shutil.copy2(source, target, follow_symlinks=False)
        if os.path.islink(source):
            real = os.path.realpath(source)
            if os.path.isfile(real):
                self.add(real)
            return
        with open(source, "rb") as file:
            if file.read(4) == b"\x7fELF":
                self.programs.append(source)

    def add_packages(self, names):
        for path in output_of("dpkg", "-L", *names).splitlines():
            if re.match(r"(/usr)?/s?bin/", path) and not os.path.isdir(path):
                self.add(path)

    def add_python(self):
        self.add(PYTHON)
        library = output_of(PYTHON, "-c", "import os; print(os.path.dirname(os.__file__))").strip()
        self.add(library)
        self.programs += glob.glob(os.path.join(library, "lib-dynload", "*.so"))

    def add_libraries(self):
        done = subprocess.run(["ldd", *self.programs], capture_output=True, text=True)  # static programs make it fail
        for path in sorted(set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", done.stdout, re.MULTILINE))):
            if os.path.basename(path) != LIBRARY:  # among the programs
                self.add(path)


def make_root(path, work, programs, busybox):
    with tempfile.TemporaryDirectory(dir=work) as directory:
        top = os.path.join(directory, "root")
        os.mkdir(top)
        root = Root(top)
        root.add_packages(ROOT_PACKAGES)
        root.add_python()
        for name in ROOT_FILES:
            root.add(name)
        for program in programs:
            name = os.path.basename(program)
            root.add(os.path.realpath(program), os.path.join(top, "guest", LIBRARY if name.startswith("libstacyvm.so") else name))
        for name in ("start", "inside.py"):
            root.add(os.path.join(HERE, name), os.path.join(top, "guest", name))
        root.add(busybox, os.path.join(top, "guest", "busybox"))
        root.add_libraries()
        subprocess.run(["chmod", "-R", "a+rX,go-w", top], check=True)
        for name in ("tmp", "var/tmp"):
            os.chmod(os.path.join(top, name), 0o1777)
        if os.path.exists(path):
            os.unlink(path)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", top, path, "700m"], check=True)


# --- the machine

def boot(work, kernel, accelerator):
    """Runs the guest to its end; what it wrote to its second serial port, or None when it did not say a word in time."""
    results, console = os.path.join(work, "results.txt"), os.path.join(work, "console.txt")
    open(results, "wb").close()
    command = ["qemu-system-x86_64", "-M", "q35", "-accel", accelerator, "-m", "2048", "-smp", "2", "-nodefaults", "-no-user-config",
               "-display", "none", "-no-reboot", "-cpu", "host" if accelerator == "kvm" else "max", "-kernel", glob.glob(os.path.join(kernel, "boot/vmlinuz-*"))[0],
               "-initrd", os.path.join(work, "initramfs"), "-append", "console=ttyS0 panic=-1 quiet",
               "-drive", f"file={work}/root.ext4,format=raw,if=virtio,snapshot=on,cache=unsafe",
               "-drive", f"file={work}/swap,format=raw,if=virtio,snapshot=on,cache=unsafe",
               "-serial", f"file:{console}", "-serial", f"file:{results}"]
    start = time.monotonic()
    with open(os.path.join(work, "qemu.txt"), "wb") as log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as machine:
        try:
            shown = 0
            while machine.poll() is None:
                time.sleep(0.2)
                text = read(results)
                if len(text) > shown:
                    sys.stdout.write(text[shown:].decode(errors="replace"))
                    sys.stdout.flush()
                    shown = len(text)
                if not text and time.monotonic() - start > FIRST_WORD_SECONDS[accelerator]:
                    break
                if time.monotonic() - start > ALL_SECONDS:
                    print(f"the guest is stopped: it took more than {ALL_SECONDS} s")
                    break
        finally:
            machine.kill()
            machine.wait()
    text = read(results)
    sys.stdout.write(text[shown:].decode(errors="replace"))
    print(f"{accelerator}: {time.monotonic() - start:.0f} s")
    return text.decode(errors="replace") if text else None


def accelerators():
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        yield "kvm"
    yield "tcg,thread=multi"


def main(work, *programs):
    if platform.machine() != "x86_64":
        raise Skip(f"the guest is made for x86_64, not {platform.machine()}")
    for needed in ("qemu-system-x86_64", "busybox", "mke2fs", "apt-get", "apt-cache", "dpkg", "dpkg-deb", "ldd"):
        if not shutil.which(needed):
            raise Skip("no " + needed)
    if os.getuid() != 0:
        raise Skip("only root can make the guest's root file system, where files keep their owners")
    if not os.path.exists(PYTHON):
        raise Skip("no " + PYTHON)
    busybox = shutil.which("busybox")
    os.makedirs(work, exist_ok=True)
    kernel = fetch_kernel(work)
    make_initramfs(os.path.join(work, "initramfs"), kernel, busybox)
    make_root(os.path.join(work, "root.ext4"), work, programs, busybox)
    with open(os.path.join(work, "swap"), "wb") as file:
        file.truncate(256 << 20)
    for accelerator in accelerators():
        report = boot(work, kernel, accelerator)
        if report is not None:
            break
        print(f"{accelerator}: the guest said nothing")
    else:
        sys.stdout.write(read(os.path.join(work, "console.txt")).decode(errors="replace"))
        sys.stdout.write(read(os.path.join(work, "qemu.txt")).decode(errors="replace"))
        return 1
    report = report.replace("\r", "")
    counts = {word: len(re.findall(rf"^guest: {word} ", report, re.MULTILINE)) for word in ("ok", "FAIL")}
    end = re.search(r"^guest: end (\d+)$", report, re.MULTILINE)
    print("guest:", counts)
    if not end:
        sys.stdout.write(read(os.path.join(work, "console.txt")).decode(errors="replace"))
        print("the guest ended before its checks did")
        return 1
    whole = int(end[1]) == sum(counts.values()) and counts["ok"] > 0
    return 0 if whole and counts["FAIL"] == 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Skip as skip:
        print("SKIPPED:", skip)
        sys.exit(SKIPPED)
