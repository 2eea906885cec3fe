#!/usr/bin/env python3
"""Adds up test results: summary.py NAME=LOG ...

Each LOG has one JSON object per line with name, result and stdout, as Meson's testlog.json has; a log that is missing is a failure.
A doctest executable counts with its cases. What cannot run here prints "SKIP what: why", "SKIPPED: why" or "skipped: why" and counts as skipped, and so
does one that exits with 77. The last line is "N passed, N failed, N skipped"; the exit status is 0 if something passed and nothing
failed.
"""
import json
import re
import sys

CASES = re.compile(r"^\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed", re.MULTILINE)
# At the start of a line, or of a doctest MESSAGE.
SKIP = re.compile(r"^(?:\S+: MESSAGE:)?\s*(?:SKIP(?:PED:)?\s+|(?:part )?skipped:\s*)(\S.*)$", re.MULTILINE)
PASS_RESULTS = {"OK", "EXPECTEDFAIL"}
# Of a failed test: what tells the reason. Else its last lines do.
REASON = re.compile(r"^(?:TEST CASE:.*|\S+:\d+: (?:FATAL )?ERROR:.*|  (?:values|logged):.*|guest: FAIL .*|.*(?:AddressSanitizer|ThreadSanitizer|runtime error):.*|AssertionError.*)$")
REASON_LINES = 12
REASON_COLUMNS = 240


def count(test):
    """(passed, failed, reasons of what was skipped)"""
    output = test.get("stdout") or ""
    ansi_free = re.sub(r"\x1b\[[0-9;]*m", "", output)
    reasons = [reason.strip() for reason in SKIP.findall(ansi_free)]
    if test["result"] == "SKIP":
        return 0, 0, reasons or ["no reason given"]
    passed, failed = (1, 0) if test["result"] in PASS_RESULTS else (0, 1)
    cases = CASES.findall(ansi_free)
    if cases:
        passed = sum(int(case[1]) for case in cases)
        failed = max(failed, sum(int(case[2]) for case in cases))
        passed -= min(passed, len(reasons))
    elif reasons and passed:
        passed = 0
    return passed, failed, reasons


def reason_of(test):
    """The few lines of a failed test's output that tell why it failed. A case's name is one of them only where an error of it follows."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")).splitlines()
    found, case = [], None
    for line in lines:
        if not REASON.match(line):
            continue
        if line.startswith("TEST CASE:"):
            case = line
            continue
        found += [case, line] if case and not line.startswith("guest:") else [line]
        case = None
    found = found[:REASON_LINES] or [line for line in lines if line.strip()][-REASON_LINES:]
    return [line[:REASON_COLUMNS] for line in found]


def main():
    passed = failed = skipped = 0
    for argument in sys.argv[1:]:
        label, _, path = argument.partition("=")
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                tests = [json.loads(line) for line in log if line.strip()]
        except (OSError, ValueError) as error:
            print(f"FAILED {label}: no results: {error}")
            failed += 1
            continue
        for test in tests:
            ok, bad, reasons = count(test)
            passed, failed, skipped = passed + ok, failed + bad, skipped + len(reasons)
            for reason in reasons:
                print(f"skipped {label}: {test['name']}: {reason}")
            if bad:
                print(f"FAILED {label}: {test['name']} ({test['result']})")
                for line in reason_of(test):
                    print("  " + line)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
