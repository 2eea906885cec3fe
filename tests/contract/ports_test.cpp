// Ports and unix sockets of a sandbox: dialled, waited for and listed. The servers inside are Python's.
#include <chrono>
#include <thread>
#include <vector>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Pairs, stacyvm::Stream;
using namespace std::chrono_literals;

namespace {

/// A server that answers each connection by `body`, a Python statement over the connection `c`.
std::string server(const std::string& family, const std::string& address, const std::string& body) {
  return "import socket,threading\ns=socket.socket(socket." + family + ",socket.SOCK_STREAM)\ns.bind(" + address +
         ")\ns.listen(512)\ndef serve(c):\n  " + body + "\n  c.close()\nwhile True:\n  c,_=s.accept()\n  threading.Thread(target=serve,args=(c,)).start()\n";
}

const std::string kEcho = "d=b''.join(iter(lambda:c.recv(65536),b'')); c.sendall(d)";  // after our end of file

struct PortLab : Lab {
  bool has_python = sandbox.exec({.shell = "command -v python3"}).exit_code == 0;

  Stream run(const std::string& script) {
    stacyvm::Exec exec;
    exec.argv = {"python3", "-c", script};
    return sandbox.exec_start(exec);
  }
  std::string call(const std::string& op, const std::string& body = "") { return session.call(op, {{"id", sandbox.id()}}, body); }
};

std::string all(Stream& stream) { return stream.read_all(); }

}  // namespace

#define NEEDS_PYTHON SVM_SKIP_UNLESS(lab.has_python, "no python3 inside")

TEST_CASE("a port is waited for, listed, and dialled") {
  PortLab lab;
  NEEDS_PYTHON;
  auto process = lab.run(server("AF_INET", "('127.0.0.1',8080)", kEcho));
  CHECK(lab.call("port.wait", R"({"port":8080})") == R"({"status":"listening"})");
  CHECK(lab.call("port.list") == R"([{"port":8080,"address":"127.0.0.1","uid":1000}])");
  auto stream = lab.sandbox.dial(8080);
  CHECK(stream.kind() == STACYVM_STREAM_PORT);
  const std::string bytes("\0a\xff", 3);
  CHECK(stream.write(bytes) == 3);
  CHECK(stream.finish());
  CHECK(all(stream) == bytes);
  CHECK(code_of([&] { stream.write("x"); }) == STACYVM_E_CLOSED);
}

TEST_CASE("::1, and every address, are reached by their port") {
  PortLab lab;
  NEEDS_PYTHON;
  auto six = lab.run(server("AF_INET6", "('::1',8006)", kEcho));
  auto any = lab.run(server("AF_INET", "('0.0.0.0',8000)", kEcho));
  for (const uint16_t port : {uint16_t{8006}, uint16_t{8000}}) {
    lab.call("port.wait", "{\"port\":" + std::to_string(port) + "}");
    auto stream = lab.sandbox.dial(port);
    stream.write("x");
    stream.finish();
    CHECK(all(stream) == "x");
  }
}

TEST_CASE("a unix socket is dialled by its path") {
  PortLab lab;
  NEEDS_PYTHON;
  auto process = lab.run(server("AF_UNIX", "'/tmp/s'", kEcho));
  lab.call("port.wait", R"({"path":"/tmp/s"})");
  auto stream = lab.sandbox.dial("/tmp/s");
  stream.write("unix");
  stream.finish();
  CHECK(all(stream) == "unix");
  CHECK(code_of([&] { auto none = lab.sandbox.dial("/tmp/none"); all(none); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(code_of([&] { auto none = lab.sandbox.dial("/tmp"); all(none); }) == STACYVM_E_INVALID);
}

TEST_CASE("refusals arrive on the stream, mistakes at once") {
  PortLab lab;
  auto stream = lab.sandbox.dial(9);
  CHECK(code_of([&] { all(stream); }) == STACYVM_E_UNAVAILABLE);
  CHECK(code_of([&] { stream.write("x"); }) == STACYVM_E_UNAVAILABLE);
  auto again = lab.sandbox.dial(9);
  CHECK(details_of([&] { all(again); }) == R"({"errno":111})");
  CHECK(code_of([&] { lab.sandbox.dial(uint16_t{0}); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.dial(std::string("relative")); }) == STACYVM_E_INVALID);
  for (const char* body : {"{}", R"({"port":0})", R"({"port":65536})", R"({"port":-1})", R"({"port":1,"path":"/a"})"}) {
    CAPTURE(std::string(body));
    CHECK(code_of([&] { lab.session.call_stream("port.dial", {{"id", lab.sandbox.id()}}, body); }) == STACYVM_E_INVALID);
    CHECK(code_of([&] { lab.call("port.wait", body); }) == STACYVM_E_INVALID);
  }
  CHECK(code_of([&] { lab.call("port.wait", R"({"port":1,"timeout":"61m"})"); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.call("port.wait", R"({"port":1,"timeout":"20ms"})"); }) == STACYVM_E_TIMEOUT);
  CHECK(lab.call("port.list") == "[]");
}

TEST_CASE("each way of a connection ends by itself") {
  PortLab lab;
  NEEDS_PYTHON;
  // Says good-bye first, then listens to the end and leaves what it heard in a file.
  auto process = lab.run(server("AF_INET", "('127.0.0.1',8080)",
                                "c.sendall(b'bye'); c.shutdown(socket.SHUT_WR); open('/tmp/heard','wb').write(b''.join(iter(lambda:c.recv(65536),b''))); open('/tmp/done','w')"));
  lab.call("port.wait", R"({"port":8080})");
  auto stream = lab.sandbox.dial(8080);
  CHECK(all(stream) == "bye");
  stacyvm_chunk chunk;
  CHECK(stream.next(chunk, 0ms) == Stream::Next::end);
  CHECK(stream.write("late") == 4);
  CHECK(stream.finish());
  CHECK(within(10'000, [&] { return code_of([&] { lab.sandbox.stat("/tmp/done"); }) == STACYVM_OK; }));
  CHECK(lab.sandbox.read_file("/tmp/heard") == "late");
}

TEST_CASE("a reset is an error after the bytes before it") {
  PortLab lab;
  NEEDS_PYTHON;
  auto process = lab.run(server("AF_INET", "('127.0.0.1',8080)",
                                "c.sendall(b'some'); c.recv(1); c.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,b'\\1\\0\\0\\0\\0\\0\\0\\0')"));
  lab.call("port.wait", R"({"port":8080})");
  auto stream = lab.sandbox.dial(8080);
  stacyvm_chunk chunk;
  REQUIRE(stream.next(chunk, stacyvm::Timeout(10s)) == Stream::Next::chunk);
  CHECK(std::string(static_cast<const char*>(chunk.data), chunk.size) == "some");
  stream.write("x");
  CHECK(code_of([&] { while (stream.next(chunk, stacyvm::Timeout(10s)) == Stream::Next::chunk) continue; }) == STACYVM_E_IO);
}

TEST_CASE("two hundred connections at once, and bytes that are never read hold nobody else up") {
  PortLab lab;
  NEEDS_PYTHON;
  auto process = lab.run("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE,(1024,1024))\n" +
                         std::string("import selectors,socket\ns=socket.socket()\ns.bind(('127.0.0.1',8080))\ns.listen(512)\nkeep=[]\nl=selectors.DefaultSelector()\n"
                                     "l.register(s,1)\nwhile True:\n  for k,_ in l.select():\n    f=k.fileobj\n    if f is s:\n      c,_=s.accept(); l.register(c,1)\n    else:\n"
                                     "      d=f.recv(100)\n      if d[:1]==b'z': l.unregister(f); keep.append(f)\n      elif d: f.sendall(d)\n      else: l.unregister(f); f.close()\n"));
  lab.call("port.wait", R"({"port":8080})");
  // One whose peer takes no byte more after the first read.
  auto stuck = lab.sandbox.dial(8080);
  stuck.write("z");
  uint64_t sent = 0;
  const std::string piece(256 * 1024, 'z');
  for (uint64_t n = 1; n > 0 && sent < (64u << 20); sent += n) n = stuck.write(piece, 200ms);
  CHECK(sent < (64u << 20));
  std::vector<Stream> streams;
  for (int i = 0; i < 200; ++i) streams.push_back(lab.sandbox.dial(8080));
  for (size_t i = 0; i < streams.size(); ++i) streams[i].write("n" + std::to_string(i));
  for (size_t i = 0; i < streams.size(); ++i) {
    streams[i].finish();
    CHECK(all(streams[i]) == "n" + std::to_string(i));
  }
}

TEST_CASE("a connection ends with its sandbox") {
  PortLab lab;
  NEEDS_PYTHON;
  auto process = lab.run(server("AF_INET", "('127.0.0.1',8080)", kEcho));
  lab.call("port.wait", R"({"port":8080})");
  auto stream = lab.sandbox.dial(8080);
  stream.write("x");
  lab.sandbox.destroy();
  CHECK(code_of([&] { all(stream); }) == STACYVM_E_CLOSED);
}
