#include "gate/exchange.hpp"

#include <atomic>
#include <future>
#include <thread>

#include "fakes.hpp"

using namespace svm;
using namespace svm::test;

namespace {

std::shared_ptr<FakeStream> scripted(FakeSession& session) { return session.stream = std::make_shared<FakeStream>(); }

/// A thread that waits, or none.
enum class Form { waiting, running };
/// The test case runs once for each.
#define EACH_FORM(form)                                  \
  Form form = Form::waiting;                             \
  SUBCASE("a thread waits") {}                           \
  SUBCASE("nobody waits") { form = Form::running; }

gate::Answer ask(Form form, FakeSession& session, std::string_view input, bool closes, const gate::Bounds& bounds) {
  gate::Question question{gate::message(protocol::Op::stat, protocol::StatRequest{"/a", true, ""}), input, closes, bounds};
  if (form == Form::waiting) return gate::exchange(session, std::move(question));
  channel::Reactor timers;
  std::promise<gate::Answer> promise;
  std::atomic<int> times = 0;
  gate::Exchange::start(session, std::move(question), timers, [&](gate::Answer answer, std::exception_ptr failure) {
    if (times.fetch_add(1) > 0) return;
    if (failure)
      promise.set_exception(failure);
    else
      promise.set_value(std::move(answer));
  });
  auto answer = promise.get_future();
  answer.wait();
  timers.stop();
  CHECK(times == 1);
  return answer.get();
}

}  // namespace

TEST_CASE("exchange: a failed result becomes the Error that it stands for") {
  EACH_FORM(form)
  FakeSession session;
  const auto stream = scripted(session);
  stream->result_value = {Code::file_not_found, 2, "/a: No such file or directory", ""};
  const auto error = error_of([&] { ask(form, session, {}, false, {}); });
  REQUIRE(error);
  CHECK(error->code() == Code::file_not_found);
  CHECK(error->message() == "/a: No such file or directory");
  CHECK(fact(*error, "errno") == "2");
  CHECK_FALSE(*stream->cancelled);
}

TEST_CASE("exchange: codes that are no errors are not believed; an empty message is filled; no errno, no fact") {
  CHECK(gate::result_error({Code::again, 0, "", ""}).code() == Code::internal);
  CHECK(gate::result_error({Code::end, 0, "", ""}).code() == Code::internal);
  CHECK(gate::result_error({static_cast<Code>(-50), 0, "", ""}).code() == Code::internal);
  const Error error = gate::result_error({Code::closed, 0, "", ""});
  CHECK(error.code() == Code::closed);
  CHECK_FALSE(error.message().empty());
  CHECK(error.facts().empty());
}

TEST_CASE("exchange: what of the request a failure is about becomes facts") {
  CHECK(gate::result_error({Code::unsupported, 0, "no", "", protocol::Subject::user}).facts() == Error::Facts{{"field", "user"}});
  const Error error = gate::result_error({Code::file_not_found, 2, "none", "", protocol::Subject::workdir});
  CHECK(error.facts() == Error::Facts{{"field", "workdir"}, {"step", "working_directory"}, {"errno", "2"}});
  CHECK(error.message() == "none");
}

TEST_CASE("exchange: nobody waits for ever on an agent that is silent") {
  EACH_FORM(form)
  for (const gate::Bounds& bounds : {gate::Bounds{100, 20, -1}, gate::Bounds{100, -1, 20}, gate::Bounds{100, 5000, 20}})
    for (const std::string_view input : {std::string_view(), std::string_view("x")}) {
      FakeSession session;
      const auto stream = scripted(session);
      stream->held = true;
      stream->credit = 0;
      CHECK(code_of([&] { ask(form, session, input, false, bounds); }) == Code::timeout);
      CHECK(*stream->cancelled);
    }
}

TEST_CASE("exchange: progress keeps the idle bound away, not the total one") {
  EACH_FORM(form)
  const auto slow = [form](const gate::Bounds& bounds) {
    FakeSession session;
    const auto stream = scripted(session);
    stream->credit = 0;
    stream->waits_for_end = true;
    std::thread agent([stream] {
      for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        stream->grant(1);
      }
    });
    const Code code = code_of([&] { ask(form, session, "01234567890123456789", true, bounds); });
    agent.join();
    return code;
  };
  CHECK(slow({100, -1, 5000}) == Code::ok);
  CHECK(slow({100, 50, 5000}) == Code::timeout);
}

TEST_CASE("exchange: an answer at its bound is taken, one byte more is not") {
  EACH_FORM(form)
  for (const bool beyond : {false, true}) {
    FakeSession session;
    const auto stream = scripted(session);
    stream->pieces = {{protocol::DataKind::entry, std::string(60, 'e')}, {protocol::DataKind::bytes, std::string(beyond ? 41 : 40, 'b')}};
    CHECK(code_of([&] { ask(form, session, {}, false, {100, -1, -1}); }) == (beyond ? Code::limit : Code::ok));
    CHECK(*stream->cancelled == beyond);
  }
}

TEST_CASE("exchange: no hook is left behind") {
  EACH_FORM(form)
  FakeSession session;
  const auto stream = scripted(session);
  ask(form, session, "input", true, {});
  stream->grant(1);  // would call a dead hook
  CHECK(stream->written == "input");
}

TEST_CASE("exchange: what nobody waits for can be cancelled from any thread") {
  FakeSession session;
  const auto stream = scripted(session);
  stream->held = true;
  channel::Reactor timers;
  std::promise<void> ended;
  const auto running = gate::Exchange::start(session, {gate::message(protocol::Op::stat, protocol::StatRequest{"/a", true, ""}), {}, false, {}}, timers,
                                             [&](gate::Answer, std::exception_ptr) { ended.set_value(); });
  std::thread([&] { running->cancel(); }).join();
  CHECK(*stream->cancelled);
  stream->release();  // the agent's answer to it
  ended.get_future().wait();
}
