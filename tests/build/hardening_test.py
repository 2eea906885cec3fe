#!/usr/bin/env python3
"""How what we ship is linked: hardening_test.py BUILD-DIR MESON FILE ...

Checks every ELF file that `meson install` would install, and the FILEs besides (the agent is embedded, not installed).
"""
import os
import re
import subprocess
import sys
import tempfile


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, text=True, capture_output=True).stdout


def is_elf(path):
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        start = file.read(18)
    # Programs and shared objects; an object file or an archive is not linked yet.
    return start[:4] == b"\x7fELF" and start[16] in (2, 3)


def weaknesses(path):
    segments, dynamic = readelf("-l", path), readelf("-d", path)
    if not re.search(r"^\s*GNU_RELRO\b", segments, re.MULTILINE):
        yield "no RELRO"
    stack = re.search(r"^\s*GNU_STACK\s+(?:0x[0-9a-f]+\s+){5}([RWE ]{3})", segments, re.MULTILINE)
    if not stack:
        yield "no GNU_STACK"
    elif "E" in stack.group(1):
        yield "executable stack"
    if re.search(r"^\s*LOAD\b.*\bRWE\b", segments, re.MULTILINE):
        yield "a segment that is writable and executable"
    if not re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic):
        yield "lazy binding"
    for tag in ("RPATH", "RUNPATH", "TEXTREL"):
        if re.search(rf"\({tag}\)|FLAGS\).*\b{tag}\b", dynamic):
            yield tag
    if not re.search(r"^\s*Type:\s+DYN", readelf("-h", path), re.MULTILINE):
        yield "not position independent"


def main():
    build, meson, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    failures = checked = 0
    with tempfile.TemporaryDirectory() as staging:
        subprocess.run([meson, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", staging], check=True)
        installed = [os.path.join(folder, name) for folder, _, names in os.walk(staging) for name in names]
        for path in files + sorted(path for path in installed if is_elf(path)):
            checked += 1
            shown = os.path.relpath(path, staging) if path.startswith(staging + os.sep) else os.path.basename(path)
            found = list(weaknesses(path))
            failures += len(found)
            print(f"{shown}: {', '.join(found) or 'ok'}")
            mode = os.stat(path).st_mode
            if mode & 0o6000:
                failures += 1
                print(f"{shown}: set-user-id or set-group-id")
    # The library and the agent at least: a walk that found nothing is no proof.
    return 1 if failures or checked < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
