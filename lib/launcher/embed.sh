#!/bin/sh
# Writes an assembly file that carries a file's bytes: embed.sh FILE OUTPUT.S
set -eu
cat > "$2" <<END
  .section .rodata
  .balign 4096
  .globl svm_agent_begin
  .hidden svm_agent_begin
svm_agent_begin:
  .incbin "$(realpath "$1")"
  .globl svm_agent_end
  .hidden svm_agent_end
svm_agent_end:
  .section .note.GNU-stack,"",@progbits
END
