#!/usr/bin/env python3
"""The library's ABI against the committed dump. Added symbols are fine; anything changed or removed fails, and so does a missing dump.

check_abi.py LIBRARY include-directory libstacyvm.abi [--write]"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

library, include, dump = sys.argv[1:4]
if os.uname().machine != "x86_64":
    print("the committed dump is of x86_64; this is", os.uname().machine)
    sys.exit(77)
for tool in ("abidw", "abidiff"):
    if not shutil.which(tool):
        print(tool, "is not installed (package abigail-tools)")
        sys.exit(77)


def write(path):
    # What the public header does not define is opaque to callers, and no part of the promise.
    subprocess.run(["abidw", "--exported-interfaces-only", "--headers-dir", include, "--drop-private-types", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
                    "--no-elf-needed", "--out-file", path, library], check=True)
    text = re.sub(r"path='[^']*?((?:capi|include)/[^']*)'", r"path='\1'", open(path).read())  # where it was built does not matter
    with open(path, "w") as out:
        out.write(text)


if "--write" in sys.argv:
    write(dump)
    sys.exit(0)
if not os.path.exists(dump):
    sys.exit(dump + " is missing; make it with --write")
with tempfile.TemporaryDirectory() as directory:
    now = directory + "/now.abi"
    write(now)
    text = open(now).read()
    if "stacyvm_exec_options" not in text:
        sys.exit("the library has no debug information: nothing to compare")
    sys.exit(subprocess.run(["abidiff", "--no-added-syms", dump, now]).returncode)
