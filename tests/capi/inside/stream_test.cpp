#include <csignal>
#include <thread>

#include "bench.hpp"

using namespace fakes;

TEST_CASE("chunks come in order with their positions, then EXIT, then END for ever") {
  Bench b;
  stacyvm_stream* st = b.exec();
  CHECK(stacyvm_stream_kind(st) == STACYVM_STREAM_EXEC);
  next(st, STACYVM_E_AGAIN);
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  CHECK(stacyvm_exec_result_of(st, &r, nullptr) == STACYVM_E_AGAIN);
  const auto agent = b.world->last();
  agent->out("abc");
  agent->push(protocol::DataKind::err, "E");
  agent->out("de");
  agent->exit(3);
  stacyvm_chunk c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDOUT && text(c) == "abc" && c.position == 0));
  c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDERR && text(c) == "E" && c.position == 0));
  c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDOUT && text(c) == "de" && c.position == 3));
  CHECK(stacyvm_exec_result_of(st, &r, nullptr) == STACYVM_E_AGAIN);
  c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_EXIT && c.exit_code == 3 && c.data == nullptr));
  next(st, STACYVM_E_END);
  next(st, STACYVM_E_END);
  CHECK(stacyvm_exec_result_of(st, &r, nullptr) == STACYVM_OK);
  CHECK((r.exit_code == 3 && r.stdout_size == 5 && r.stderr_size == 1 && r.wall_us == 5 && r.owner == nullptr && r.stdout_data == nullptr));
  stacyvm_stream_close(st);
}

TEST_CASE("a command's stream tells its id, before, after the end and when all is closed; others have none") {
  Bench b;
  stacyvm_stream* st = b.exec();
  REQUIRE(stacyvm_exec_id(st));
  const std::string id = stacyvm_exec_id(st);
  CHECK((id.starts_with("ex-") && id.size() == 29));
  b.world->last()->exit(0);
  next(st);
  CHECK(stacyvm_exec_id(st) == id);
  stacyvm_stream* other = b.exec();
  CHECK(stacyvm_exec_id(other) != id);
  stacyvm_session_close(std::exchange(b.session, nullptr));
  CHECK(stacyvm_exec_id(st) == id);
  stacyvm_stream_close(st);
  stacyvm_stream_close(other);
  CHECK(stacyvm_exec_id(nullptr) == nullptr);
}

TEST_CASE("a failure arrives after what came before it, and repeats; outputs stay untouched") {
  Bench b;
  stacyvm_stream* st = b.exec();
  b.world->last()->out("x");
  b.world->last()->fail(Code::file_not_found, "no such program");
  next(st);
  stacyvm_chunk c;
  STACYVM_INIT(&c);
  c.kind = 77;
  for (int i = 0; i < 2; ++i) {
    stacyvm_error* e = nullptr;
    CHECK(stacyvm_stream_next(st, -1, &c, &e) == STACYVM_E_FILE_NOT_FOUND);
    CHECK(std::string(stacyvm_error_message(e)) == "no such program");
    stacyvm_error_free(e);
  }
  CHECK(c.kind == 77);
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  CHECK(stacyvm_exec_result_of(st, &r, nullptr) == STACYVM_E_FILE_NOT_FOUND);
  stacyvm_stream_close(st);
}

TEST_CASE("the descriptor is readable exactly while next would not answer AGAIN") {
  Bench b;
  for (const uint64_t flags : {uint64_t{0}, STACYVM_EXEC_TEXT}) {
    stacyvm_stream* st = b.exec(flags);
    const int fd = stacyvm_stream_fd(st, 0);
    REQUIRE(fd >= 0);
    CHECK(stacyvm_stream_fd(st, 0) == fd);
    CHECK(stacyvm_stream_fd(st, 1) == -1);
    CHECK(!readable(fd));
    const auto agent = b.world->last();
    agent->out("a");
    CHECK(readable(fd));
    agent->out("b");
    next(st);
    CHECK(readable(fd));
    next(st);
    CHECK(!readable(fd));
    next(st, STACYVM_E_AGAIN);
    agent->out("\xe2\x82");  // two thirds of a euro sign
    CHECK(readable(fd) == (flags == 0));
    if (flags == 0) next(st);
    next(st, STACYVM_E_AGAIN);
    agent->out("\xac!");
    CHECK(readable(fd));
    next(st);
    CHECK(!readable(fd));
    agent->exit(0);
    CHECK(readable(fd));
    CHECK(next(st).kind == STACYVM_CHUNK_EXIT);
    CHECK(readable(fd));
    next(st, STACYVM_E_END);
    CHECK(readable(fd));
    stacyvm_stream_close(st);
  }
}

TEST_CASE("a descriptor made late knows what came before it") {
  Bench b;
  stacyvm_stream* st = b.exec();
  b.world->last()->out("a");
  CHECK(readable(stacyvm_stream_fd(st, 0)));
  stacyvm_stream_close(st);
}

TEST_CASE("text mode holds back the beginning of a character, each output by itself, and loses no byte") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_TEXT);
  const auto agent = b.world->last();
  agent->out("a\xf0\x9f");
  agent->push(protocol::DataKind::err, "\xc3");
  agent->out("\x98\x80z");
  agent->push(protocol::DataKind::err, "\xa9\xe2");
  agent->out("\xf0");
  agent->exit(0);
  CHECK(text(next(st)) == "a");
  stacyvm_chunk c = next(st);
  CHECK((text(c) == "\xf0\x9f\x98\x80z" && c.position == 1));
  c = next(st);
  CHECK((text(c) == "\xc3\xa9" && c.kind == STACYVM_CHUNK_STDERR));
  c = next(st);
  CHECK((text(c) == "\xf0" && c.kind == STACYVM_CHUNK_STDOUT && c.position == 6));
  c = next(st);
  CHECK((text(c) == "\xe2" && c.kind == STACYVM_CHUNK_STDERR && c.position == 2));
  CHECK(next(st).kind == STACYVM_CHUNK_EXIT);
  stacyvm_stream_close(st);
}

TEST_CASE("read copies what fits, keeps the rest, and refuses to mix two outputs") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_MERGE);
  const auto agent = b.world->last();
  agent->out("abcde");
  agent->exit(0);
  char buf[4];
  uint64_t n = 99;
  CHECK(stacyvm_stream_read(st, buf, 0, 0, &n, nullptr) == STACYVM_E_INVALID);
  CHECK(n == 99);
  CHECK(stacyvm_stream_read(st, buf, 2, 0, &n, nullptr) == STACYVM_OK);
  CHECK(std::string(buf, n) == "ab");
  stacyvm_chunk c = next(st);
  CHECK((text(c) == "cde" && c.position == 2));
  CHECK(stacyvm_stream_read(st, buf, 4, 0, &n, nullptr) == STACYVM_E_END);
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  CHECK(stacyvm_exec_result_of(st, &r, nullptr) == STACYVM_OK);
  stacyvm_stream_close(st);
  st = b.exec();
  CHECK(stacyvm_stream_read(st, buf, 4, 0, &n, nullptr) == STACYVM_E_INVALID);
  stacyvm_stream_close(st);
}

TEST_CASE("write takes what there is credit for, waits for more, and its descriptor says so") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_STDIN);
  const auto agent = b.world->last();
  const int fd = stacyvm_stream_fd(st, 1);
  CHECK(readable(fd));
  const std::string much(1 << 20, 'x');
  uint64_t n = 0;
  CHECK(stacyvm_stream_write(st, much.data(), much.size() - 1, 0, &n, nullptr) == STACYVM_OK);
  CHECK(n == much.size() - 1);
  CHECK(readable(fd));
  CHECK(stacyvm_stream_write(st, "ab", 2, 0, &n, nullptr) == STACYVM_OK);
  CHECK(n == 1);
  CHECK(!readable(fd));
  n = 42;
  CHECK(stacyvm_stream_write(st, "b", 1, 5, &n, nullptr) == STACYVM_E_AGAIN);
  CHECK(n == 42);
  std::thread granter([&] {
    for (int i = 0; i < 4; ++i) agent->grant(1);
  });
  CHECK(stacyvm_stream_write(st, "wxyz", 4, -1, &n, nullptr) == STACYVM_OK);
  granter.join();
  CHECK(n == 4);
  CHECK(stacyvm_stream_write(st, nullptr, 0, 0, &n, nullptr) == STACYVM_OK);
  CHECK(n == 0);
  CHECK(stacyvm_stream_finish(st, 0, nullptr) == STACYVM_OK);
  CHECK(stacyvm_stream_finish(st, 0, nullptr) == STACYVM_OK);
  CHECK(agent->finished());
  CHECK(readable(fd));
  CHECK(stacyvm_stream_write(st, "b", 1, -1, &n, nullptr) == STACYVM_E_CLOSED);
  CHECK(agent->input().substr((1 << 20) - 1) == "awxyz");
  stacyvm_stream_close(st);
  st = b.exec();
  CHECK(stacyvm_stream_write(st, "b", 1, 0, &n, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_stream_finish(st, 0, nullptr) == STACYVM_E_INVALID);
  stacyvm_stream_close(st);
}

TEST_CASE("a writer is committed by finish, which says why it was not") {
  Bench b;
  stacyvm_stream* st = nullptr;
  MUST(stacyvm_file_writer(b.sandbox, "/f", 0, 0, &st, err));
  CHECK(stacyvm_stream_finish(st, 0, nullptr) == STACYVM_E_AGAIN);
  CHECK(b.world->last()->finished());
  b.world->last()->finish_with({});
  CHECK(stacyvm_stream_finish(st, -1, nullptr) == STACYVM_OK);
  next(st, STACYVM_E_END);
  stacyvm_stream_close(st);
  MUST(stacyvm_file_writer(b.sandbox, "/f", 0, 0, &st, err));
  b.world->last()->fail(Code::limit, "no space left");
  uint64_t n = 0;
  CHECK(stacyvm_stream_write(st, "a", 1, -1, &n, nullptr) == STACYVM_E_LIMIT);  // why, not only that
  CHECK(stacyvm_stream_finish(st, -1, nullptr) == STACYVM_E_LIMIT);
  stacyvm_stream_close(st);
}

TEST_CASE("cancel wakes a waiter in another thread, once and for all") {
  Bench b;
  for (int i = 0; i < 50; ++i) {
    stacyvm_stream* st = b.exec(STACYVM_EXEC_STDIN);
    const int fd = stacyvm_stream_fd(st, 0);
    std::thread waiter([&] { next(st, STACYVM_E_CANCELLED, -1); });
    if (i % 2) std::this_thread::yield();
    stacyvm_stream_cancel(st);
    stacyvm_stream_cancel(st);
    waiter.join();
    CHECK(b.world->last()->cancels() == 1);
    CHECK(readable(fd));
    next(st, STACYVM_E_CANCELLED);
    uint64_t n = 0;
    CHECK(stacyvm_stream_write(st, "b", 1, 0, &n, nullptr) == STACYVM_E_CANCELLED);
    CHECK(stacyvm_stream_finish(st, 0, nullptr) == STACYVM_E_CANCELLED);
    CHECK(stacyvm_exec_signal(st, SIGTERM, 0, nullptr) == STACYVM_E_CANCELLED);
    stacyvm_exec_result r;
    STACYVM_INIT(&r);
    CHECK(stacyvm_exec_result_of(st, &r, nullptr) == STACYVM_E_CANCELLED);
    stacyvm_stream_close(st);
  }
  stacyvm_stream* st = b.exec();  // what has ended stays as it ended
  b.world->last()->exit(0);
  next(st);
  stacyvm_stream_cancel(st);
  next(st, STACYVM_E_END);
  stacyvm_stream_close(st);
}

TEST_CASE("signals go to the command until it has ended") {
  Bench b;
  stacyvm_stream* st = b.exec();
  CHECK(stacyvm_exec_signal(st, 0, 0, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_exec_signal(st, 65, 0, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_exec_signal(st, 1, 2, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_exec_signal(st, 1, 0, nullptr) == STACYVM_OK);
  CHECK(stacyvm_exec_signal(st, 64, STACYVM_SIGNAL_GROUP, nullptr) == STACYVM_OK);
  CHECK(b.world->last()->signals() == std::vector<int>{1, -64});
  b.world->last()->exit(0);
  next(st);
  CHECK(stacyvm_exec_signal(st, 1, 0, nullptr) == STACYVM_E_CLOSED);
  stacyvm_stream_close(st);
}

TEST_CASE("closing drops what is below; a parent's close ends its streams and wakes their waiters") {
  Bench b;
  const auto alive = [&] {
    const std::lock_guard lock(b.world->mutex);
    b.world->streams.clear();
    return b.world->streams_alive.load();
  };
  stacyvm_stream* st = b.exec();
  stacyvm_stream_close(st);
  CHECK(alive() == 0);
  stacyvm_session* other = nullptr;
  MUST(stacyvm_session_open(b.vm, nullptr, &other, err));
  stacyvm_sandbox* sb = nullptr;
  MUST(stacyvm_sandbox_get(other, stacyvm_sandbox_id(b.sandbox), &sb, err));
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.shell = "x";
  MUST(stacyvm_exec_start(sb, &o, &st, err));
  std::thread waiter([&] { next(st, STACYVM_E_CLOSED, -1); });
  stacyvm_session_close(other);
  waiter.join();
  CHECK(alive() == 0);
  next(st, STACYVM_E_CLOSED);
  CHECK(stacyvm_sandbox_extend(sb, 5, nullptr) == STACYVM_E_CLOSED);
  stacyvm_sandbox_close(sb);
  stacyvm_stream_close(st);
  CHECK(b.world->live() == 1);
}

namespace {

std::string gap_at(uint64_t position) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(position >> (8 * i) & 0xff);
  return bytes;
}

stacyvm_stream* attach(Bench& b, uint64_t from) {
  stacyvm_stream* stream = nullptr;
  MUST(stacyvm_exec_attach(b.sandbox, ("ex-" + std::string(26, 'a')).c_str(), from, &stream, err));
  return stream;
}

}  // namespace

TEST_CASE("an attached stream: chunks have places, gaps come as chunks, both in order") {
  Bench b;
  stacyvm_stream* st = attach(b, 10);
  CHECK(stacyvm_stream_kind(st) == STACYVM_STREAM_EXEC);
  CHECK(std::string(stacyvm_exec_id(st)) == "ex-" + std::string(26, 'a'));
  const int fd = stacyvm_stream_fd(st, 0);
  const auto agent = b.world->last();
  agent->out("abc");
  agent->push(protocol::DataKind::err, "E");
  agent->push(protocol::DataKind::gap, gap_at(100));
  agent->out("de");
  agent->exit(0);
  stacyvm_chunk c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDOUT && c.position == 10 && c.size == 3));
  c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDERR && c.position == 13));
  CHECK(readable(fd));
  c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_GAP && c.position == 100 && c.size == 0 && c.data == nullptr));
  c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDOUT && c.position == 100));
  CHECK(next(st).kind == STACYVM_CHUNK_EXIT);
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  MUST(stacyvm_exec_result_of(st, &r, err));
  CHECK((r.stdout_size == 5 && r.stderr_size == 1));
  stacyvm_stream_close(st);
}

TEST_CASE("an attached stream is written to, but not read as one stream of bytes") {
  Bench b;
  stacyvm_stream* st = attach(b, STACYVM_UNLIMITED);
  uint64_t n = 0;
  MUST(stacyvm_stream_write(st, "in", 2, 0, &n, err));
  CHECK(b.world->last()->input() == "in");
  char byte;
  CHECK(stacyvm_stream_read(st, &byte, 1, 0, &n, nullptr) == STACYVM_E_INVALID);
  stacyvm_stream_close(st);
}

TEST_CASE("a background command: close lets go, cancel kills, and the manager keeps what tells the end") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_BACKGROUND);
  REQUIRE(b.world->streams.size() == 2);  // the command's own, and the one attached
  CHECK(b.world->kept.size() == 1);
  auto attached = b.world->last();
  stacyvm_stream_close(st);
  CHECK(attached->kills() == 0);
  st = b.exec(STACYVM_EXEC_BACKGROUND);
  attached = b.world->last();
  stacyvm_stream_cancel(st);
  CHECK(attached->kills() == 1);
  next(st, STACYVM_E_CANCELLED);
  stacyvm_stream_close(st);
  b.world->kept.clear();
}

TEST_CASE("a terminal is one output, takes input, and has a size") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_PTY);
  const auto agent = b.world->last();
  MUST(stacyvm_exec_resize(st, 30, 90, err));
  CHECK(agent->size() == std::pair<uint32_t, uint32_t>{30, 90});
  uint64_t n = 0;
  MUST(stacyvm_stream_write(st, "\x03", 1, 0, &n, err));
  agent->out("screen");
  char text[8] = {};
  MUST(stacyvm_stream_read(st, text, sizeof text, 0, &n, err));
  CHECK(std::string(text, n) == "screen");
  agent->exit(0);
  CHECK(stacyvm_stream_read(st, text, 1, 0, &n, nullptr) == STACYVM_E_END);
  CHECK(stacyvm_exec_resize(st, 1, 1, nullptr) == STACYVM_E_CLOSED);
  stacyvm_stream_close(st);
}

TEST_CASE("the console: a kind of its own, no input, no exit") {
  Bench b;
  stacyvm_stream* st = nullptr;
  CHECK(stacyvm_console(b.sandbox, 2, &st, nullptr) == STACYVM_E_INVALID);
  MUST(stacyvm_console(b.sandbox, STACYVM_CONSOLE_FOLLOW, &st, err));
  CHECK(stacyvm_stream_kind(st) == STACYVM_STREAM_CONSOLE);
  const auto agent = b.world->last();
  agent->push(protocol::DataKind::gap, gap_at(7));
  agent->push(protocol::DataKind::err, "x");
  agent->finish_with({});
  CHECK(next(st).position == 7);
  const stacyvm_chunk c = next(st);
  CHECK((c.kind == STACYVM_CHUNK_STDERR && c.position == 7));
  next(st, STACYVM_E_END);
  uint64_t n = 0;
  CHECK(stacyvm_stream_write(st, "x", 1, 0, &n, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_exec_resize(st, 1, 1, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_exec_id(st) == nullptr);
  stacyvm_stream_close(st);
}
