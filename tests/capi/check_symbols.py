#!/usr/bin/env python3
"""What the library exports is exactly symbols.txt, which is exactly what the header declares; and the loader is told the rest.

check_symbols.py LIBRARY symbols.txt stacyvm.h VERSION [EXECUTABLE]

With EXECUTABLE, both are of a bundled build: they take nothing of the host but the C library, and the executable the library."""
import re
import subprocess
import sys

library, symbols_path, header_path, version = sys.argv[1:5]
executables = sys.argv[5:]
failures = []


def check(good, text):
    if not good:
        failures.append(text)


listed = {}
for line in open(symbols_path):
    if line.strip() and not line.startswith("#"):
        name, node = line.split()
        check(name not in listed, f"{name} is listed twice")
        listed[name] = node

exported = {}
for line in subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout.splitlines():
    _, kind, name = line.split()
    if kind == "A":  # the version nodes themselves
        continue
    check("@@" in name, f"{name} has no version")
    base, _, node = name.partition("@@")
    exported[base] = node
for name in sorted(listed.keys() | exported.keys()):
    check(listed.get(name) == exported.get(name), f"{name}: listed {listed.get(name)}, exported {exported.get(name)}")

header = open(header_path).read()
declared = set(re.findall(r"^STACYVM_API [^(;]*?\b(stacyvm_\w+)\(", header, re.M))
check(declared == listed.keys(), f"header and list differ: {sorted(declared ^ listed.keys())}")
for name in declared:
    check(re.search(r"\*/\nSTACYVM_API [^\n]*\b" + name + r"\(", header), f"{name} has no documentation")

dynamic = subprocess.run(["readelf", "-dW", library], check=True, capture_output=True, text=True).stdout
check("Library soname: [libstacyvm.so.1]" in dynamic, "the soname is not libstacyvm.so.1")
check("NODELETE" in dynamic, "not linked with -z nodelete")
check("SYMBOLIC" in dynamic, "not linked with -Bsymbolic")
check("TEXTREL" not in dynamic, "has text relocations")
check("RPATH" not in dynamic and "RUNPATH" not in dynamic, "has a run path")

C_LIBRARY = re.compile(r"lib(c|m)\.so\.\d+|ld-linux[\w-]*\.so\.\d+")
# Hooks that the compiler's start files ask for and that may be missing.
HOOKS = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}


def needed(path):
    text = subprocess.run(["readelf", "-dW", path], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", text))


if executables:
    check("libc.so.6" in needed(library), "not even the C library is needed: this is no list")
    for path, allowed in [(library, set())] + [(path, {"libstacyvm.so.1"}) for path in executables]:
        for name in sorted(needed(path) - allowed):
            check(C_LIBRARY.fullmatch(name), f"{path} needs {name}")
    for line in subprocess.run(["nm", "-D", "--undefined-only", library], check=True, capture_output=True, text=True).stdout.splitlines():
        name, _, version_node = line.split()[-1].partition("@")
        check(version_node.startswith("GLIBC_") or name in HOOKS, f"{name} may come from the host application")

major, minor, patch = (int(part) for part in version.split("."))
number = int(re.search(r"#define STACYVM_VERSION (0x[0-9a-f]+)u", header).group(1), 16)
check(number == major << 16 | minor << 8 | patch, f"STACYVM_VERSION is {number:#x}, the project {version}")

print("\n".join(failures) or f"{len(listed)} symbols")
sys.exit(1 if failures or not listed else 0)
