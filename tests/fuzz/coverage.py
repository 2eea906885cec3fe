#!/usr/bin/env python3
"""How much of every parser the committed fuzz corpora reach.

Builds the replay harnesses with gcov in a build directory of their own, runs each over its corpus and nothing else, prints the
line coverage of every parser file, and fails under the floor.

    tests/fuzz/coverage.py [--source DIR] [--build DIR] [--floor PERCENT] [--missing]
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# harness: the parser files it is there for. A file may be named by several. FILE:FUNCTION where the rest of the file parses nothing.
PARSERS = {
    "frame": ["lib/protocol/frame.cpp", "lib/channel/frame_assembler.cpp"],
    "agent_messages": ["lib/protocol/message.cpp", "lib/protocol/fields.hpp", "lib/core/bytes.cpp", "lib/core/bytes.hpp"],
    "host_messages": ["lib/protocol/message.cpp", "lib/protocol/fields.hpp", "lib/protocol/names.cpp"],
    "launch_messages": ["lib/protocol/launch.cpp", "lib/protocol/fields.hpp"],
    "model_json": ["lib/model/json.cpp", "lib/model/decode.cpp", "lib/model/base64.cpp", "lib/model/duration.cpp", "lib/model/numbers.cpp",
                   "lib/model/timestamp.cpp", "lib/model/utf8.cpp:is_utf8", "lib/model/utf8.cpp:utf8_character", "lib/model/validate.cpp"],
    "tar_reader": ["lib/images/byte_source.cpp:Decompressor::next", "lib/images/byte_source.cpp:Decompressor::start",
                   "lib/images/byte_source.cpp:Decompressor::fail", "lib/images/tar_header.cpp", "lib/images/tar_path.cpp", "lib/images/tar_reader.cpp"],
    "kernel_texts": ["lib/isolation/cgroup_parse.cpp", "lib/isolation/id_range.cpp:maps_range", "lib/agent/process_tree.cpp:parse_process_stat"],
    "user_database": ["lib/agent/users.cpp"],
    "glob": ["lib/agent/glob.cpp"],
    "http_head": ["server/http/head.cpp", "server/serve/routes.cpp"],
    "server_config": ["server/serve/config.cpp:parse_config", "server/serve/config.cpp:flatten", "server/serve/config.cpp:number", "server/serve/config.cpp:milliseconds",
                      "server/serve/config.cpp:check_origin", "server/serve/config.cpp:is_json_number"],
    "cli_texts": ["server/cli/copy_side.cpp", "server/cli/printable.cpp", "server/cli/records.cpp", "server/cli/table.cpp", "server/cli/tail.cpp"],
    "server_json": ["server/serve/json.cpp", "server/text/text.cpp:base64", "server/text/text.cpp:from_base64", "server/text/text.cpp:json_string",
                    "server/text/text.cpp:utf8_incomplete", "server/text/text.cpp:character_size"],
}


def run(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(source, folder):
    if not (folder / "build.ninja").exists():
        run("meson", "setup", folder, source, "-Db_coverage=true", "-Dbuildtype=debug", "-Dfuzz_engine=replay")
    programs = {name: f"tests/fuzz/fuzz-{name.replace('_', '-')}" for name in PARSERS}
    run("ninja", "-C", folder, "-j2", *programs.values())
    for counts in folder.rglob("*.gcda"):
        counts.unlink()
    corpus = source / "tests" / "fuzz" / "corpus"
    for name, program in programs.items():
        run(folder / program, corpus / name)


def line_counts(folder, parser):
    """line number -> executions, over every object that holds lines of the file (templates are in several)."""
    parser, _, function = parser.partition(":")
    counts = {}
    for data in folder.rglob("*.gcda"):
        for text in run("gcov", "--json-format", "--stdout", data, cwd=folder).splitlines():
            for file in json.loads(text)["files"]:
                if not os.path.realpath(folder / file["file"]).endswith("/" + parser):
                    continue
                spans = [(f["start_line"], f["end_line"]) for f in file["functions"] if f"::{function}(" in f["demangled_name"]]
                for line in file["lines"]:
                    if function and not any(first <= line["line_number"] <= last for first, last in spans):
                        continue
                    number = line["line_number"]
                    counts[number] = max(counts.get(number, 0), line["count"])
    return counts


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--source", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    options.add_argument("--build", type=pathlib.Path, help="kept for the next run; default: a temporary one")
    options.add_argument("--floor", type=float, default=90.0)
    options.add_argument("--missing", action="store_true", help="name the lines that are not reached")
    arguments = options.parse_args()

    with tempfile.TemporaryDirectory(prefix="fuzz-coverage-") as temporary:
        folder = (arguments.build or pathlib.Path(temporary)).absolute()
        build(arguments.source.absolute(), folder)
        failed = False
        for parser in sorted({file for files in PARSERS.values() for file in files}):
            counts = line_counts(folder, parser)
            if not counts:
                print(f"{parser}: no line measured")
                failed = True
                continue
            reached = sum(1 for count in counts.values() if count > 0)
            percent = 100.0 * reached / len(counts)
            low = percent < arguments.floor
            failed = failed or low
            print(f"{percent:6.1f} %  {reached:4d} / {len(counts):4d}  {parser}{'  BELOW ' + str(arguments.floor) if low else ''}")
            if arguments.missing:
                print("          not reached:", sorted(number for number, count in counts.items() if count == 0))
        sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
