#!/usr/bin/env python3
"""What is shipped has no fail points: fail_points_test.py POINTS-HEADER FILE ...

Neither the section of their names, nor the environment that arms them, nor the name of any.
"""
import re
import subprocess
import sys


def main():
    header, files = sys.argv[1], sys.argv[2:]
    with open(header, encoding="utf-8") as file:
        names = re.findall(r'\{"([a-z_]+\.[a-z_]+)"', file.read())
    failures = [] if len(names) > 50 else [f"{len(names)} names in {header}: that cannot be all"]
    for path in files:
        with open(path, "rb") as file:
            content = file.read()
        sections = subprocess.run(["readelf", "-WS", path], check=True, text=True, capture_output=True).stdout
        if "svm_fail_points" in sections:
            failures.append(f"{path}: a section svm_fail_points")
        failures += [f"{path}: {word}" for word in ["STACYVM_FAIL_POINT", *names] if word.encode() in content]
    for failure in failures:
        print(failure)
    print(f"{len(names)} names, {len(files)} files")
    return 1 if failures or not files else 0


if __name__ == "__main__":
    sys.exit(main())
