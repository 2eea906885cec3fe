#!/bin/sh
# Runs a test program as an ordinary user, from a copy that such a user may read.
#   as_user.sh PROGRAM LIBRARY TOOL... -- ARGUMENT...
set -eu
if [ "$(id -u)" -ne 0 ]; then
  echo "SKIPPED: only root can become another user"
  exit 77
fi
command -v setpriv > /dev/null || { echo "SKIPPED: no setpriv"; exit 77; }
program=$1 library=$2
shift 2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/home" "$copy/tmp"
chown 65534:65534 "$copy/home" "$copy/tmp"
chmod 755 "$copy"
cp "$program" "$copy/program"
cp -L "$library" "$copy/libstacyvm.so.1"
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  cp "$1" "$copy/"
  shift
done
[ $# -eq 0 ] || shift
chmod -R a+rX "$copy"
cd "$copy/home"
setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH="$PATH" HOME="$copy/home" XDG_RUNTIME_DIR="$copy/home" TMPDIR="$copy/tmp" \
  LD_LIBRARY_PATH="$copy" SVM_TOOLS="$copy" \
  ${ASAN_OPTIONS+"ASAN_OPTIONS=$ASAN_OPTIONS"} ${UBSAN_OPTIONS+"UBSAN_OPTIONS=$UBSAN_OPTIONS"} ${TSAN_OPTIONS+"TSAN_OPTIONS=$TSAN_OPTIONS"} \
  "$copy/program" "$@"
