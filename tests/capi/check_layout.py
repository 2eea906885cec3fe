#!/usr/bin/env python3
"""Structs and constants of the header against the committed table: rows stay, structs grow only at the tail, without padding.

check_layout.py stacyvm.h layout.txt COMPILER [--write]"""
import re
import subprocess
import sys
import tempfile

header_path, table_path, compiler = sys.argv[1:4]
FROZEN = {"stacyvm_pair", "stacyvm_mount", "stacyvm_ready"}  # "Never changes" in the header

header = re.sub(r"/\*.*?\*/", "", open(header_path).read(), flags=re.S)
structs = {}
for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", header, re.S):
    structs[name] = re.findall(r"(\w+);", body)
constants = [name for name in re.findall(r"^#define (STACYVM_\w+) +\S", header, re.M) if name != "STACYVM_API" and name != "STACYVM_VERSION"]

program = ["#include <stacyvm/stacyvm.h>", "#include <stdio.h>", "int main(void) {"]
for struct, fields in structs.items():
    for field in fields:
        program.append(f'printf("{struct} {field} %zu %zu\\n", offsetof({struct}, {field}), sizeof(({struct} *)0)->{field});'
                       .replace(f"sizeof(({struct} *)0)->{field}", f"sizeof((({struct} *)0)->{field})"))
    program.append(f'printf("{struct} = %zu 0\\n", sizeof({struct}));')
for constant in constants:
    program.append(f'printf("{constant} = %lld %zu\\n", (long long){constant}, sizeof({constant}));')
program.append("return 0; }")
with tempfile.TemporaryDirectory() as directory:
    source, binary = directory + "/layout.c", directory + "/layout"
    with open(source, "w") as out:
        out.write("\n".join(program))
    include = header_path.rsplit("/", 2)[0]
    subprocess.run([compiler, "-std=c11", "-I", include, "-c", source, "-o", binary + ".o"], check=True)
    subprocess.run([compiler, binary + ".o", "-o", binary], check=True)
    ours = subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()

if "--write" in sys.argv:
    with open(table_path, "w") as out:
        out.write("# struct field offset size, struct = size 0, constant = value size; x86_64. Rows are added, never changed or removed\n")
        out.write("# (a struct's own size grows with the fields at its tail).\n" + "\n".join(ours) + "\n")
    sys.exit(0)

failures = []
now = {tuple(row.split()[:2]): tuple(map(int, row.split()[2:])) for row in ours}
table = {tuple(row.split()[:2]): tuple(map(int, row.split()[2:])) for row in open(table_path) if not row.startswith("#")}
for key, value in table.items():
    is_size = key[1] == "=" and key[0] in structs
    if key not in now:
        failures.append(f"{' '.join(key)} is gone")
    elif is_size and key[0] not in FROZEN:
        if now[key] < value:
            failures.append(f"{key[0]} has shrunk")
    elif now[key] != value:
        failures.append(f"{' '.join(key)} was {value} and is {now[key]}")
for key, value in now.items():
    if key in table:
        continue
    if key[1] != "=" and (key[0], "=") in table and value[0] < table[key[0], "="][0]:
        failures.append(f"{' '.join(key)} is new, but not at the tail")
    failures.append(f"{' '.join(key)} is not in the table: add it with --write")
for struct, fields in structs.items():
    end = 0
    for field in fields:
        offset, size = now[struct, field]
        if offset != end:
            failures.append(f"{struct}: padding before {field}")
        end = offset + size
    if end != now[struct, "="][0]:
        failures.append(f"{struct}: padding at the end")

print("\n".join(failures) or f"{len(now)} rows")
sys.exit(1 if failures or len(structs) < 10 or len(constants) < 30 else 0)
