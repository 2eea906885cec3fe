#!/usr/bin/env python3
"""A bundled library in a hostile host application: bundled_test.py MAKE-ROOT ANSWER HOST LIBRARY"""
import glob
import os
import subprocess
import sys
import tempfile

make_root, answer, host, library = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([make_root, answer, folder], check=True)
    images = sorted(glob.glob(folder + "/root.tar.*"))
    status = subprocess.run([host, library, folder + "/state", *images]).returncode
    # The state directory is SQLite's work: a host that skipped it has proved nothing.
    if status == 0 and not any(open(path, "rb").read(16) == b"SQLite format 3\0" for path in glob.glob(folder + "/state/*") if os.path.isfile(path)):
        sys.exit("there is no database in the state directory")
sys.exit(status if status >= 0 else f"the host ended by signal {-status}")
