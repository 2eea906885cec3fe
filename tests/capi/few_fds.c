/* A host with few descriptors: what runs out is said as such, what there is goes on working, and everything can be taken down. */
#include <stacyvm/stacyvm.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LIMIT = 256, MOST = 4 * LIMIT };

static void must(int32_t code, stacyvm_error *error, const char *what) {
  if (code == STACYVM_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, stacyvm_error_name(error), stacyvm_error_message(error));
  exit(1);
}

static int open_descriptors(void) {
  DIR *directory = opendir("/proc/self/fd");
  if (!directory) return -1;
  int count = 0;
  while (readdir(directory)) ++count;
  closedir(directory);
  return count;
}

static void says_hi(stacyvm_sandbox *sandbox) {
  stacyvm_error *error = NULL;
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.shell = "echo hi";
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  must(stacyvm_exec(sandbox, &o, &r, &error), error, "exec");
  if (strcmp(r.stdout_data, "hi\n") != 0) exit(1);
  stacyvm_exec_result_clear(&r);
}

int main(void) {
  const struct rlimit few = {LIMIT, LIMIT};  /* the launcher's too: it raises only the soft one */
  if (setrlimit(RLIMIT_NOFILE, &few) != 0) return perror("setrlimit"), 1;
  stacyvm_error *error = NULL;
  stacyvm_instance *vm = NULL;
  stacyvm_session *session = NULL;
  must(stacyvm_open(NULL, &vm, &error), error, "open");
  must(stacyvm_session_open(vm, NULL, &session, &error), error, "session_open");
  static stacyvm_sandbox *sandboxes[MOST];
  int base = 0;
  for (int round = 0; round < 2; ++round) {
    int count = 0;
    int32_t code = STACYVM_OK;
    const int most = round == 0 ? MOST : 20;  /* the second time only to see that nothing was left behind */
    while (count < most && (code = stacyvm_spawn(session, NULL, &sandboxes[count], &error)) == STACYVM_OK) ++count;
    if (code != (round == 0 ? STACYVM_E_LIMIT : STACYVM_OK)) {
      fprintf(stderr, "after %d sandboxes: %s: %s\n", count, stacyvm_error_name(error), stacyvm_error_message(error));
      return 1;
    }
    if (round == 0) printf("%d sandboxes, then %s: %s\n", count, stacyvm_error_name(error), stacyvm_error_message(error));
    stacyvm_error_free(error);
    error = NULL;
    if (count < 8) return fprintf(stderr, "that is too few\n"), 1;
    says_hi(sandboxes[0]);
    says_hi(sandboxes[count - 1]);
    while (count > 0) {
      must(stacyvm_sandbox_destroy(sandboxes[--count], &error), error, "destroy");
      stacyvm_sandbox_close(sandboxes[count]);
    }
    const int left = open_descriptors();
    if (round == 0) base = left;
    if (left > base) return fprintf(stderr, "%d descriptors are open, %d were before\n", left, base), 1;
  }
  /* And with none left at all. */
  must(stacyvm_spawn(session, NULL, &sandboxes[0], &error), error, "spawn");
  static FILE *taken[LIMIT];
  int count = 0;
  while (count < LIMIT && (taken[count] = fopen("/dev/null", "r"))) ++count;
  stacyvm_stream *stream = NULL;
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.shell = "exit 3";
  must(stacyvm_exec_start(sandboxes[0], &o, &stream, &error), error, "exec_start");
  if (stacyvm_stream_fd(stream, 0) != -1) return fprintf(stderr, "a descriptor where there is none\n"), 1;
  stacyvm_chunk chunk;
  STACYVM_INIT(&chunk);
  int32_t code;
  while ((code = stacyvm_stream_next(stream, -1, &chunk, &error)) == STACYVM_OK && chunk.kind != STACYVM_CHUNK_EXIT) {
  }
  must(code, error, "stream_next");
  if (chunk.exit_code != 3) return 1;
  stacyvm_stream_close(stream);
  stacyvm_sandbox *another = NULL;
  if (stacyvm_spawn(session, NULL, &another, NULL) != STACYVM_E_LIMIT) return fprintf(stderr, "a spawn without descriptors\n"), 1;
  must(stacyvm_sandbox_destroy(sandboxes[0], &error), error, "destroy");
  stacyvm_sandbox_close(sandboxes[0]);
  stacyvm_session_close(session);
  stacyvm_close(vm);
  while (count > 0) fclose(taken[--count]);
  return 0;
}
