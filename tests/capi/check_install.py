#!/usr/bin/env python3
"""An installed tree is all that a client needs: pkg-config, the headers, the library; and the executable runs from it.

check_install.py BUILD-DIRECTORY CC CXX client.c client.cpp example.c"""
import glob
import os
import subprocess
import sys
import tempfile

build, cc, cxx, client_c, client_cpp, example_c = sys.argv[1:]
with tempfile.TemporaryDirectory() as root:
    environment = dict(os.environ, DESTDIR=root)
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--tags", "devel,runtime"], check=True, env=environment)
    found = glob.glob(root + "/**/pkgconfig/stacyvm.pc", recursive=True)
    if len(found) != 1:
        sys.exit(f"stacyvm.pc: {found}")
    environment.update(PKG_CONFIG_LIBDIR=os.path.dirname(found[0]), PKG_CONFIG_SYSROOT_DIR=root)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "stacyvm"], check=True, capture_output=True, text=True, env=environment).stdout.split()
    static = subprocess.run(["pkg-config", "--cflags", "--libs", "--static", "stacyvm"], check=True, capture_output=True, text=True, env=environment)
    if static.stdout.split() != flags:
        sys.exit(f"only a shared library is installed, yet --static makes a difference: {static.stdout}")
    libraries = [flag[2:] for flag in flags if flag.startswith("-L")]
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    for compiler, standard, source in ((cc, "c11", client_c), (cxx, "c++20", client_cpp)):
        binary = root + "/client"
        subprocess.run([compiler, "-std=" + standard, *strict, source, "-o", binary, *flags], check=True)
        environment["LD_LIBRARY_PATH"] = ":".join(libraries)
        answer = subprocess.run([binary], capture_output=True, text=True, env=environment)
        print(source, answer.stdout.strip(), answer.stderr.strip())
        if answer.returncode != 0 or "stacyvm" not in answer.stdout:
            sys.exit(f"the {standard} client failed")
    subprocess.run([cc, "-std=c11", *strict, example_c, "-o", root + "/example", *flags], check=True)
    executables = glob.glob(root + "/**/bin/stacyvm", recursive=True)
    if len(executables) != 1:
        sys.exit(f"the executable: {executables}")
    print(subprocess.run([executables[0], "version"], check=True, capture_output=True, text=True, env=environment).stdout.strip())
