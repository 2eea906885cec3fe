#!/bin/sh
# The committed seeds of the protocol are what the program writes today: old ones would be refused at the first field that changed, and test nothing.
#   seeds_test.sh MAKE-SEEDS CORPUS
set -eu
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$1" "$made"
for harness in "$made"/*/; do
  diff -r "$harness" "$2/$(basename "$harness")" || { echo "run: make-seeds tests/fuzz/corpus"; exit 1; }
done
