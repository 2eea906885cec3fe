// Connections to what listens inside, and waiting for it.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "agent/proc_net.hpp"
#include "client.hpp"
#include "core/clock.hpp"

using namespace svm;
using namespace svm::agent;
using namespace svm::agent::test;
using namespace svm::protocol;

namespace {

/// A server of the test's own.
struct Server {
  Fd listener;
  uint16_t port = 0;
  explicit Server(int family = AF_INET, int backlog = 300) : listener(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_in);
    if (family == AF_INET) {
      auto& address = reinterpret_cast<sockaddr_in&>(storage);
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
      auto& address = reinterpret_cast<sockaddr_in6&>(storage);
      address.sin6_family = AF_INET6;
      address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
      size = sizeof address;
    }
    if (!listener || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&storage), size) < 0) return;
    if (backlog >= 0) REQUIRE(::listen(listener.get(), backlog) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
    port = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in&>(storage).sin_port : reinterpret_cast<sockaddr_in6&>(storage).sin6_port);
  }
  Fd accept() const {
    Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(peer);
    return peer;
  }
};

Fd bind_unix(const std::string& path, int type = SOCK_STREAM) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::strcpy(address.sun_path, path.c_str());
  Fd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

DialRequest port(uint32_t number) { return {number, {}, {}}; }
DialRequest path(std::string name) { return {0, std::move(name), {}}; }

std::string read_bytes(int fd, size_t size) {
  std::string bytes(size, '\0');
  const long n = read_all(fd, bytes.data(), size);
  bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return bytes;
}

/// An agent whose "/" is a fresh directory.
struct Box {
  TemporaryDirectory dir;
  Fd root;
  Client client;
  explicit Box(bool switches = false) : root(::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), client(setup(switches)) {}
  Client::Setup setup(bool switches) const {
    Client::Setup setup;
    setup.options.root = root.get();
    ::chmod(dir.path().c_str(), 0755);
    if (switches) {
      setup.hello.rootless = false;
      setup.hello.uid = setup.hello.gid = 1234;
    }
    return setup;
  }
};

}  // namespace

TEST_CASE("bytes both ways, each way ended by itself") {
  Server server;
  Client client;
  SUBCASE("the peer ends first") {
    const uint32_t stream = client.start(port(server.port));
    const Fd peer = server.accept();
    REQUIRE(write_all(peer.get(), "hello", 5) == 0);
    ::shutdown(peer.get(), SHUT_WR);
    REQUIRE(client.pump([&] { return client.reply(stream).ended; }));
    CHECK(client.reply(stream).bytes == "hello");
    CHECK_FALSE(client.reply(stream).done);
    client.send_bytes(stream, "still here");
    CHECK(read_bytes(peer.get(), 10) == "still here");
    client.end(stream);
    CHECK(client.wait(stream).result.code == Code::ok);
    CHECK(read_bytes(peer.get(), 1).empty());
  }
  SUBCASE("we end first") {
    const uint32_t stream = client.start(port(server.port));
    client.send_bytes(stream, "question");
    client.end(stream);
    const Fd peer = server.accept();
    CHECK(read_bytes(peer.get(), 100) == "question");  // to the end of file
    CHECK_FALSE(client.pump([&] { return client.reply(stream).done; }, 20));
    REQUIRE(write_all(peer.get(), "answer", 6) == 0);
    ::shutdown(peer.get(), SHUT_WR);
    const Reply reply = client.wait(stream);
    CHECK(reply.bytes == "answer");
    CHECK(reply.ended);
    CHECK(reply.result.code == Code::ok);
  }
}

TEST_CASE("a server on ::1 alone is reached") {
  Server server(AF_INET6);
  if (server.port == 0) {
    MESSAGE("skipped: no IPv6 here");
    return;
  }
  Client client;
  const uint32_t stream = client.start(port(server.port));
  const Fd peer = server.accept();
  REQUIRE(write_all(peer.get(), "six", 3) == 0);
  CHECK(client.pump([&] { return client.reply(stream).bytes == "six"; }));
}

TEST_CASE("refused, and nothing else than loopback") {
  Server bound(AF_INET, -1);  // the port is taken, and nobody listens
  Client client;
  const Reply reply = client.call(port(bound.port));
  CHECK(reply.result.code == Code::unavailable);
  CHECK(reply.result.error == ECONNREFUSED);
  CHECK(reply.result.message.find(std::to_string(bound.port)) != std::string::npos);
}

TEST_CASE("a reset is an error, after what came before it") {
  Server server;
  Client client;
  const uint32_t stream = client.start(port(server.port));
  Fd peer = server.accept();
  REQUIRE(write_all(peer.get(), "partial", 7) == 0);
  REQUIRE(client.pump([&] { return client.reply(stream).bytes == "partial"; }));
  const linger hard{1, 0};
  REQUIRE(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0);
  peer.reset();
  const Reply reply = client.wait(stream);
  CHECK(reply.result.code == Code::io);
  CHECK(reply.result.error == ECONNRESET);
  CHECK(reply.bytes == "partial");
  CHECK_FALSE(reply.ended);
}

TEST_CASE("what a peer said before it stopped listening is delivered, although it is still written to") {
  Server server;
  Client client;
  const uint32_t stream = client.start(port(server.port));
  Fd peer = server.accept();
  REQUIRE(write_all(peer.get(), "413 too large", 13) == 0);
  ::shutdown(peer.get(), SHUT_RDWR);
  REQUIRE(client.pump([&] { return client.reply(stream).ended; }));
  CHECK(client.reply(stream).bytes == "413 too large");
  peer.reset();
  for (int i = 0; i < 100 && !client.reply(stream).done; ++i) {
    client.send_bytes(stream, std::string(1000, 'x'));
    client.pump([&] { return client.reply(stream).done; }, 20);
  }
  CHECK(client.wait(stream).result.code == Code::io);
}

TEST_CASE("a peer that never reads holds the sender back, and no more than a window") {
  Server server;
  Client client;
  const uint32_t stream = client.start(port(server.port));
  const Fd peer = server.accept();
  std::string sent;
  // As much as credit allows, until none comes any more.
  for (;;) {
    Reply& reply = client.reply(stream);
    if (reply.window == 0 && !client.pump([&] { return client.reply(stream).window > 0; }, 200)) break;
    const size_t size = std::min<size_t>(client.reply(stream).window, 100'000);
    std::string piece(size, '\0');
    for (size_t i = 0; i < size; ++i) piece[i] = static_cast<char>((sent.size() + i) * 31 >> 3);
    client.send_bytes(stream, piece);
    sent += piece;
    REQUIRE(sent.size() < 64u << 20);
  }
  CHECK(sent.size() >= kWindow);
  client.end(stream);
  std::string got;
  CHECK((got = read_bytes(peer.get(), sent.size() + 1)) == sent);
}

TEST_CASE("a reader that gives no credit holds the peer back") {
  Server server;
  Client client;
  client.grant = false;
  const uint32_t stream = client.start(port(server.port));
  const Fd peer = server.accept();
  REQUIRE(set_nonblocking(peer.get(), true) == 0);
  const std::string piece(100'000, 'p');
  size_t sent = 0;
  for (int stuck = 0; stuck < 10;) {
    const ssize_t n = ::send(peer.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n), stuck = 0;
    else ++stuck, client.pump([] { return false; }, 20);
    REQUIRE(sent < 64u << 20);
  }
  client.pump([] { return false; }, 50);
  CHECK(client.reply(stream).bytes.size() == kWindow);
  client.cancel(stream);
  CHECK(client.wait(stream).result.code == Code::cancelled);
}

TEST_CASE("two hundred connections at once") {
  Server server;
  Client client;
  std::vector<uint32_t> streams;
  std::vector<Fd> peers;
  for (int i = 0; i < 200; ++i) {
    streams.push_back(client.start(port(server.port)));
    client.send_bytes(streams.back(), "n" + std::to_string(i));
    client.end(streams.back());
  }
  for (int i = 0; i < 200; ++i) peers.push_back(server.accept());
  for (const Fd& peer : peers) {
    const std::string name = read_bytes(peer.get(), 100);
    REQUIRE(write_all(peer.get(), name.data(), name.size()) == 0);
    ::shutdown(peer.get(), SHUT_WR);
  }
  for (int i = 0; i < 200; ++i) {
    const Reply reply = client.wait(streams[static_cast<size_t>(i)]);
    CHECK(reply.result.code == Code::ok);
    CHECK(reply.bytes == "n" + std::to_string(i));
  }
}

TEST_CASE("unix sockets by their path") {
  Box box;
  const Fd listener = bind_unix(box.dir / "s");
  REQUIRE(::listen(listener.get(), 10) == 0);
  REQUIRE(::symlink("s", (box.dir / "link").c_str()) == 0);
  for (const char* name : {"/s", "/link"}) {
    const uint32_t stream = box.client.start(path(name));
    const Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    box.client.send_bytes(stream, "u");
    CHECK(read_bytes(peer.get(), 1) == "u");
    box.client.cancel(stream);
    CHECK(box.client.wait(stream).result.code == Code::cancelled);
  }
  CHECK(box.client.call(path("/none")).result.code == Code::file_not_found);
  write_text(box.dir / "file", "x");
  CHECK(box.client.call(path("/file")).result.code == Code::invalid);
  CHECK(box.client.call(path("/")).result.code == Code::invalid);
  const Fd silent = bind_unix(box.dir / "silent");
  const Reply refused = box.client.call(path("/silent"));
  CHECK(refused.result.code == Code::unavailable);
  CHECK(refused.result.error == ECONNREFUSED);
  const Fd datagram = bind_unix(box.dir / "datagram", SOCK_DGRAM);
  CHECK(box.client.call(path("/datagram")).result.code == Code::unsupported);
}

TEST_CASE("a path below the root stays below it, and a long one is no matter") {
  TemporaryDirectory outside;
  const Fd listener = bind_unix(outside / "s");
  REQUIRE(::listen(listener.get(), 10) == 0);
  Box box;
  REQUIRE(::symlink((outside / "s").c_str(), (box.dir / "out").c_str()) == 0);
  CHECK(box.client.call(path("/out")).result.code == Code::file_not_found);
  CHECK(box.client.call(path("/.." + (outside / "s"))).result.code == Code::file_not_found);

  const std::string long_name(200, 'd');
  REQUIRE(::mkdir((box.dir / long_name).c_str(), 0755) == 0);
  const Fd inside = bind_unix(box.dir / "short");
  REQUIRE(::rename((box.dir / "short").c_str(), (box.dir / long_name + "/s").c_str()) == 0);
  REQUIRE(::listen(inside.get(), 10) == 0);
  const uint32_t stream = box.client.start(path("/" + long_name + "/s"));
  const Fd peer(::accept4(inside.get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(peer);
  box.client.cancel(stream);
  box.client.wait(stream);
}

TEST_CASE("a unix socket whose backlog is full is tried until it accepts") {
  Box box;
  const Fd listener = bind_unix(box.dir / "s");
  REQUIRE(::listen(listener.get(), 0) == 0);
  std::vector<uint32_t> streams;
  for (int i = 0; i < 20; ++i) streams.push_back(box.client.start(path("/s")));
  std::vector<Fd> peers;
  for (int i = 0; i < 20; ++i) {
    box.client.pump([] { return false; }, 1);
    peers.emplace_back(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(write_all(peers.back().get(), "x", 1) == 0);
  }
  for (const uint32_t stream : streams) CHECK(box.client.pump([&] { return box.client.reply(stream).bytes == "x"; }));
}

TEST_CASE("who may connect is for the socket's file to say") {
  if (!can_switch_users()) return;
  Box box(true);
  const Fd listener = bind_unix(box.dir / "s");
  REQUIRE(::listen(listener.get(), 10) == 0);
  REQUIRE(::chmod((box.dir / "s").c_str(), 0700) == 0);
  CHECK(box.client.call(path("/s")).result.code == Code::forbidden);
  DialRequest roots = path("/s");
  roots.user = "0";
  const uint32_t stream = box.client.start(roots);
  const Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(peer);
  box.client.cancel(stream);
  box.client.wait(stream);
}

TEST_CASE("waiting ends when something listens, and does not use up the server") {
  Server server(AF_INET, -1);
  Client client;
  const uint32_t stream = client.start(ListeningRequest{server.port, {}, 20'000, {}});
  CHECK_FALSE(client.pump([&] { return client.reply(stream).done; }, 30));
  REQUIRE(::listen(server.listener.get(), 1) == 0);
  CHECK(client.wait(stream).result.code == Code::ok);
  REQUIRE(set_nonblocking(server.listener.get(), true) == 0);
  CHECK(::accept4(server.listener.get(), nullptr, nullptr, 0) < 0);
  CHECK(errno == EAGAIN);
  CHECK(client.call(ListeningRequest{server.port, {}, 0, {}}).result.code == Code::ok);
}

TEST_CASE("waiting has an end") {
  Server server(AF_INET, -1);
  Client client;
  const int64_t start = monotonic_us();
  const Reply reply = client.call(ListeningRequest{server.port, {}, 30, {}});
  CHECK(reply.result.code == Code::timeout);
  CHECK(monotonic_us() - start >= 30'000);
  CHECK(client.call(ListeningRequest{server.port, {}, 0, {}}).result.code == Code::timeout);
  const uint32_t stream = client.start(ListeningRequest{server.port, {}, UINT64_MAX, {}});
  client.cancel(stream);
  CHECK(client.wait(stream).result.code == Code::cancelled);
}

TEST_CASE("waiting for a unix socket: no file, a file, a listener") {
  Box box;
  const uint32_t stream = box.client.start(ListeningRequest{0, "/s", 20'000, {}});
  CHECK_FALSE(box.client.pump([&] { return box.client.reply(stream).done; }, 10));
  const Fd listener = bind_unix(box.dir / "s");
  CHECK_FALSE(box.client.pump([&] { return box.client.reply(stream).done; }, 10));
  REQUIRE(::listen(listener.get(), 1) == 0);
  CHECK(box.client.wait(stream).result.code == Code::ok);
  write_text(box.dir / "file", "x");
  CHECK(box.client.call(ListeningRequest{0, "/file", 20'000, {}}).result.code == Code::invalid);
}

TEST_CASE("what listens is listed with its address and owner") {
  Server server;
  Client client;
  const Reply reply = client.call(ListeningRequest{});
  REQUIRE(reply.result.code == Code::ok);
  Listeners listeners;
  REQUIRE(decode(reply.result.body, listeners));
  bool found = false;
  for (const Listener& listener : listeners.items)
    if (listener.port == server.port) found = listener.address == "127.0.0.1" && listener.uid == ::getuid();
  CHECK(found);
}

TEST_CASE("the kernel's table of sockets") {
  const std::string heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
  const auto row = [](const std::string& address, const std::string& state, const std::string& uid) {
    return "   0: " + address + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000  " + uid + "        0 1 1 0 100 0 0 10 0\n";
  };
  std::vector<TcpListener> out;
  CHECK(parse_tcp_listeners(heading + row("0100007F:1F90", "0A", "1000") + row("0100007F:1F91", "01", "0") + row("0100000A:0001", "0A", "0"), false, 10, out));
  REQUIRE(out.size() == 2);
  CHECK(out[0].port == 8080);
  CHECK(out[0].uid == 1000);
  CHECK(out[0].on_loopback());
  CHECK_FALSE(out[1].on_loopback());  // 10.0.0.1
  out.clear();
  const std::pair<const char*, bool> sixes[] = {{"00000000000000000000000000000000:0050", true}, {"00000000000000000000000001000000:0050", true},
                                                {"0000000000000000FFFF00000100007F:0050", true}, {"0000000000000000FFFF000000000000:0050", true},
                                                {"0000000000000000FFFF00000100000A:0050", false}, {"000080FE000000000000000001000000:0050", false}};
  for (const auto& [address, reached] : sixes) {
    out.clear();
    CAPTURE(std::string(address));
    CHECK(parse_tcp_listeners(row(address, "0A", "0"), true, 1, out));
    REQUIRE(out.size() == 1);
    CHECK(out[0].on_loopback() == reached);
  }
  for (const std::string& bad : {row("0100007F:0000", "0A", "0"), row("0100007F1F90", "0A", "0"), row("0100007G:1F90", "0A", "0"), row("0100007F:1F90", "0A", "-1"),
                                 row("0100007F:1F90", "0A", "4294967296"), row("00000000000000000000000000000000:0050", "0A", "0"), std::string(":::\n"), std::string("   ")}) {
    out.clear();
    CAPTURE(bad);
    CHECK(parse_tcp_listeners(bad, false, 1, out));
    CHECK(out.empty());
  }
  const std::string two = row("0100007F:0001", "0A", "0") + row("0100007F:0002", "0A", "0");
  out.clear();
  CHECK(parse_tcp_listeners(two, false, 2, out));
  out.clear();
  CHECK_FALSE(parse_tcp_listeners(two, false, 1, out));
  CHECK(out.size() == 1);
}
