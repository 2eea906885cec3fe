#!/usr/bin/env python3
"""What the agent is made of: agent_test.py AGENT MAP LAYER ...

Its link map names objects of the given layers, of the C and C++ runtimes, and nothing else; it is a static PIE and small.
"""
import os
import re
import subprocess
import sys

MAX_BYTES = 1_572_864
RUNTIME = re.compile(r"(?:lib(?:c|m|m-[0-9.]+|mvec|gcc|gcc_eh|stdc\+\+|pthread|dl|rt)\.a|(?:r|S|g)?crt[1ni]\.o|crt(?:begin|end)(?:S|T)?\.o)$")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, text=True, capture_output=True).stdout


def main():
    agent, map_path, layers = sys.argv[1], sys.argv[2], sys.argv[3:]
    failures = []
    with open(map_path, encoding="utf-8") as file:
        loads = re.findall(r"^LOAD (\S+)$", file.read(), re.MULTILINE)
    ours = 0
    for path in loads:
        name = os.path.basename(path)
        if "/stacyvm-agent.p/" in "/" + path:
            ours += 1
            if name.split("_")[0] not in layers:
                failures.append(f"object of a layer that the agent may not hold: {path}")
        elif not RUNTIME.match(name):
            failures.append(f"not one of ours and not the runtime: {path}")
    if not ours:
        failures.append("the map names none of our objects")

    size = os.path.getsize(agent)
    if size > MAX_BYTES:
        failures.append(f"{size} bytes, at most {MAX_BYTES}")
    if not re.search(r"^\s*Type:\s+DYN", readelf("-h", agent), re.MULTILINE):
        failures.append("not position independent")
    if "INTERP" in readelf("-l", agent):
        failures.append("wants a dynamic loader")
    dynamic = readelf("-d", agent)
    if "NEEDED" in dynamic:
        failures.append("wants shared libraries")
    if not re.search(r"FLAGS_1.*\bPIE\b", dynamic):
        failures.append("not marked as a PIE")
    for failure in failures:
        print(failure)
    print(f"{ours} objects of ours, {len(loads) - ours} of the runtime, {size} bytes")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
