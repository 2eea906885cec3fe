#!/bin/sh
# Writes a C++ file that carries the schema steps: embed_schema.sh OUTPUT.cpp NNNN_name.sql ...
# The steps must be given in order and be numbered 1, 2, 3 without a gap.
set -eu
output=$1
shift
expected=1
{
  printf '#include "store/sqlite/schema.hpp"\n\nnamespace svm::store {\nnamespace {\nconstexpr SchemaStep kSteps[] = {\n'
  for file in "$@"; do
    name=$(basename "$file" .sql)
    if [ "${name%%_*}" != "$(printf '%04d' "$expected")" ]; then
      echo "embed_schema.sh: $name: expected step number $(printf '%04d' "$expected")" >&2
      exit 1
    fi
    printf '    {"%s", R"schema_sql(' "$name"
    cat "$file"
    printf ')schema_sql"},\n'
    expected=$((expected + 1))
  done
  printf '};\n}  // namespace\n\nstd::span<const SchemaStep> schema_steps() noexcept { return kSteps; }\n\n}  // namespace svm::store\n'
} > "$output"
