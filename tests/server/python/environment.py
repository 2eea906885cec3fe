"""Python packages of others, for tests: real clients, and a fuzzer of HTTP interfaces.

enter(NAME, DIRECTORY) goes on in a virtual environment of DIRECTORY that has what NAME.txt lists, with those checksums and nothing else. Where this
machine cannot reach a package index, which is tried before anything is installed, the test is skipped (77) with the reason."""
import hashlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PROBE_SECONDS = 20


def index():
    """The index that pip uses here."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
    return os.environ.get("PIP_INDEX_URL") or done.stdout.strip() or "https://pypi.org/simple"


def why_not():
    """Why nothing can be installed here; "" where it can."""
    for module in ("venv", "ensurepip"):
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode != 0:
            return f"this Python has no {module} (Debian: python3-venv)"
    try:
        with urllib.request.urlopen(index().rstrip("/") + "/six/", timeout=PROBE_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"the package index answers {error.code}"
    except OSError as error:
        return f"no package index can be reached: {error}"


def enter(name, directory):
    target = os.path.join(os.path.abspath(directory), f"python-{name}")
    python, stamp = os.path.join(target, "bin", "python"), os.path.join(target, "complete")
    if os.path.realpath(sys.prefix) == os.path.realpath(target):
        return
    requirements = os.path.join(HERE, f"{name}.txt")
    with open(requirements, "rb") as file:
        wanted = hashlib.sha256(file.read() + sys.version.encode()).hexdigest()
    try:
        with open(stamp, encoding="ascii") as file:
            there = file.read() == wanted
    except OSError:
        there = False
    if not there:
        if reason := why_not():
            print(f"SKIPPED: {reason}")
            sys.exit(77)
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", target], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "-r", requirements], check=True)
        with open(stamp, "w", encoding="ascii") as file:
            file.write(wanted)
    os.execv(python, [python, "-B", *sys.argv])
