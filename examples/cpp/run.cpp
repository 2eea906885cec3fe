// Starts a sandbox, puts a file in it, and follows a command's output. Build: c++ -std=c++20 run.cpp $(pkg-config --cflags --libs stacyvm)
#include <cstdio>
#include <stacyvm/stacyvm.hpp>

int main() try {
  stacyvm::Instance instance;
  stacyvm::Session session = instance.session();
  stacyvm::Sandbox sandbox = session.spawn({.env = {{"GREETING", "hello"}}});
  sandbox.write_file("/tmp/names", "Ada\nGrace\n");

  stacyvm::Stream command = sandbox.exec_start(stacyvm::Exec::sh("while read name; do echo \"$GREETING $name\"; done < /tmp/names"));
  stacyvm_chunk chunk;
  while (command.next(chunk) == stacyvm::Stream::Next::chunk)
    if (chunk.kind == STACYVM_CHUNK_STDOUT) std::fwrite(chunk.data, 1, chunk.size, stdout);
  return command.exec_result()->exit_code;
} catch (const stacyvm::Error& error) {
  std::fprintf(stderr, "%s: %s %s\n", error.name().c_str(), error.what(), error.details().c_str());
  return 1;
}
