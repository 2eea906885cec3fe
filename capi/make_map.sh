#!/bin/sh
# Writes the linker's version script from the list of symbols: make_map.sh symbols.txt OUTPUT.map
# Each node inherits from the one named before it in the list.
set -eu
awk '
  /^#/ || NF == 0 { next }
  NF != 2 || $1 !~ /^stacyvm_[a-z0-9_]+$/ || $2 !~ /^STACYVM_[0-9]+\.[0-9]+$/ { print "bad row: " $0 > "/dev/stderr"; bad = 1; exit 1 }
  !($2 in members) { order[++count] = $2 }
  { members[$2] = members[$2] "    " $1 ";\n" }
  END {
    if (bad || count == 0) exit 1
    for (i = 1; i <= count; ++i) {
      printf "%s {\n  global:\n%s", order[i], members[order[i]]
      if (i == 1) printf "  local:\n    *;\n"
      printf "}%s;\n", i == 1 ? "" : " " order[i - 1]
    }
  }
' "$1" > "$2"
