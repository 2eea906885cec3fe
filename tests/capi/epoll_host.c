/* A program that is one epoll loop and one thread: 50 sandboxes, each with a command that is written to, read from and ends, all behind
 * one descriptor. Exits with 0 when every command gave what it should, in less time than they would take one after another. */
#include <stacyvm/stacyvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { SANDBOXES = 50, SLEEP_MS = 500 };

typedef enum { SPAWNING, TALKING, DESTROYING, GONE } phase;

typedef struct {
  phase phase;
  stacyvm_op *op;
  stacyvm_sandbox *sandbox;
  stacyvm_stream *stream;
  char output[64];
  size_t size;
} guest;

static guest guests[SANDBOXES];
static stacyvm_queue *queue;

static void check(int32_t code, stacyvm_error *error, const char *what) {
  if (code == STACYVM_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, stacyvm_error_name(error), stacyvm_error_message(error));
  exit(1);
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void talk(guest *g, uint64_t tag) {
  stacyvm_error *error = NULL;
  check(stacyvm_op_sandbox(g->op, &g->sandbox, &error), error, "op_sandbox");
  stacyvm_op_close(g->op);
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  char script[64];
  snprintf(script, sizeof script, "read line; sleep %d.%03d; echo \"got $line\"", SLEEP_MS / 1000, SLEEP_MS % 1000);
  o.shell = script;
  o.flags = STACYVM_EXEC_STDIN;
  check(stacyvm_exec_start(g->sandbox, &o, &g->stream, &error), error, "exec_start");
  char line[32];
  const int size = snprintf(line, sizeof line, "%u\n", (unsigned)tag);
  uint64_t taken = 0;
  check(stacyvm_stream_write(g->stream, line, (uint64_t)size, 0, &taken, &error), error, "stream_write");
  check(stacyvm_stream_finish(g->stream, 0, &error), error, "stream_finish");
  check(stacyvm_queue_add_stream(queue, g->stream, STACYVM_READY_READ, tag, &error), error, "add_stream");
  g->phase = TALKING;
}

static void listen_to(guest *g, uint64_t tag) {
  for (;;) {
    stacyvm_error *error = NULL;
    stacyvm_chunk chunk;
    STACYVM_INIT(&chunk);
    const int32_t code = stacyvm_stream_next(g->stream, 0, &chunk, &error);
    if (code == STACYVM_E_AGAIN) return;
    if (code == STACYVM_E_END) break;
    check(code, error, "stream_next");
    if (chunk.kind == STACYVM_CHUNK_STDOUT && chunk.size < sizeof g->output - g->size) {
      memcpy(g->output + g->size, chunk.data, chunk.size);
      g->size += chunk.size;
    }
  }
  stacyvm_stream_close(g->stream);
  char expected[sizeof g->output];
  snprintf(expected, sizeof expected, "got %u\n", (unsigned)tag);
  if (strcmp(g->output, expected) != 0) {
    fprintf(stderr, "sandbox %u said \"%s\"\n", (unsigned)tag, g->output);
    exit(1);
  }
  stacyvm_error *error = NULL;
  check(stacyvm_sandbox_destroy_begin(g->sandbox, &g->op, &error), error, "destroy_begin");
  check(stacyvm_queue_add_op(queue, g->op, tag, &error), error, "add_op");
  g->phase = DESTROYING;
}

int main(void) {
  stacyvm_instance *vm = NULL;
  stacyvm_session *session = NULL;
  stacyvm_error *error = NULL;
  check(stacyvm_open(NULL, &vm, &error), error, "open");
  check(stacyvm_session_open(vm, NULL, &session, &error), error, "session_open");
  check(stacyvm_queue_new(vm, &queue, &error), error, "queue_new");
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, stacyvm_queue_fd(queue), &event) != 0) return perror("epoll"), 1;

  for (uint64_t i = 0; i < SANDBOXES; ++i) {
    check(stacyvm_spawn_begin(session, NULL, &guests[i].op, &error), error, "spawn_begin");
    check(stacyvm_queue_add_op(queue, guests[i].op, i, &error), error, "add_op");
  }
  int64_t first_talk = 0, longest = 0;
  for (unsigned gone = 0; gone < SANDBOXES;) {
    if (epoll_wait(loop, &event, 1, 60000) != 1) return fprintf(stderr, "nothing happens any more\n"), 1;
    const int64_t start = now_ms();
    stacyvm_ready ready[16];
    uint32_t count = 0;
    const int32_t code = stacyvm_queue_wait(queue, 0, ready, 16, &count, &error);
    if (code == STACYVM_E_AGAIN) continue;
    check(code, error, "queue_wait");
    for (uint32_t i = 0; i < count; ++i) {
      guest *g = &guests[ready[i].tag];
      switch (g->phase) {
        case SPAWNING:
          if (first_talk == 0) first_talk = start;
          talk(g, ready[i].tag);
          break;
        case TALKING: listen_to(g, ready[i].tag); break;
        case DESTROYING:
          check(stacyvm_op_wait(g->op, 0, &error), error, "destroy");
          stacyvm_op_close(g->op);
          stacyvm_sandbox_close(g->sandbox);
          g->phase = GONE;
          ++gone;
          break;
        case GONE: return fprintf(stderr, "a closed op is reported\n"), 1;
      }
    }
    const int64_t turn = now_ms() - start;
    if (turn > longest) longest = turn;
  }
  const int64_t took = now_ms() - first_talk;
  printf("%d sandboxes, one thread: %lld ms from the first command to the last sandbox's end; the longest turn of the loop took %lld ms\n", SANDBOXES,
         (long long)took, (long long)longest);
  stacyvm_queue_close(queue);
  stacyvm_session_close(session);
  stacyvm_close(vm);
  return took < (int64_t)SANDBOXES * SLEEP_MS ? 0 : 1;
}
