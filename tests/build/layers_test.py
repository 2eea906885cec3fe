#!/usr/bin/env python3
"""The layers' arrows hold in the real build: layers_test.py BUILD-DIR LIB-DIR LAYER=USED,USED ...

For every ordered pair of layers, the compile command of one layer's source is run on a file that includes one header of the other:
it must succeed where an arrow leads there (also over others), and fail where none does.
"""
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def closure(layers, name):
    reached, todo = set(), list(layers[name])
    while todo:
        used = todo.pop()
        if used not in reached:
            reached.add(used)
            todo += layers[used]
    return reached


def command_of(build, name):
    """The compile command of the layer's first source, without its input and outputs; None for a layer without sources."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    for entry in commands:
        if f"/libstacyvm_{name}.a.p/" in "/" + entry.get("output", "") and entry["file"].endswith(".cpp"):
            words, kept = shlex.split(entry["command"]), []
            while words:
                word = words.pop(0)
                if word in ("-o", "-c", "-MQ", "-MF", "-MT"):
                    words.pop(0)
                elif word not in ("-MD", "-MMD") and os.path.basename(word) != "ccache":
                    kept.append(word)
            return kept + ["-w", "-fsyntax-only", "-x", "c++", "-"]
    return None


def compiles(command, build, header):
    run = subprocess.run(command, cwd=build, input=f'#include "{header}"\n', text=True, capture_output=True)
    return run.returncode == 0, run.stderr


def main():
    build, lib = sys.argv[1:3]
    layers = {}
    for argument in sys.argv[3:]:
        name, _, used = argument.partition("=")
        layers[name] = [each for each in used.split(",") if each]
    headers = {}
    for name in layers:
        found = sorted(file for file in os.listdir(os.path.join(lib, name)) if file.endswith(".hpp"))
        if found:
            headers[name] = f"{name}/{found[0]}"
    jobs = []
    for name in layers:
        command = command_of(build, name)
        if command is None:
            print(f"{name}: no sources")
            continue
        allowed = closure(layers, name) | {name}
        jobs += [(name, used, used in allowed, command, header) for used, header in headers.items()]

    def check(job):
        name, used, expected, command, header = job
        ok, errors = compiles(command, build, header)
        if expected and not ok:
            return f"{name} may include {header}, but it does not compile:\n{errors}"
        if not expected and ok:
            return f"{name} can include {header}, though no arrow leads there"
        if not expected and header not in errors:
            return f"{name} does not compile {header}, but for another reason than that it is not found:\n{errors}"
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [failure for failure in pool.map(check, jobs) if failure]
    for failure in failures:
        print(failure)
    allowed_count = sum(1 for job in jobs if job[2])
    print(f"{allowed_count} includes along the arrows, {len(jobs) - allowed_count} against them, {len(failures)} wrong")
    # A test that found nothing to try is broken, not green.
    return 1 if failures or not allowed_count or allowed_count == len(jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
