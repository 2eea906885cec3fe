/* An application that is as unlike the library's own world as it can be: it has an OpenSSL of its own, and exports functions that are named
 * as those of every library inside libstacyvm.so, which abort when they are called. It has threads, forks, and ignores SIGCHLD.
 *
 *   host LIBRARY STATE-DIRECTORY IMAGE ...    starts a sandbox from each image and runs /bin/answer in it
 *
 * With HOST_LINKED the library is linked, otherwise it is opened at run time. */
#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stacyvm/stacyvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
  exit(1);
}

/* --- what the library must never call */

static void trapped(const char *symbol) {
  fprintf(stderr, "the host's %s was called\n", symbol);
  abort();
}
/* The name in the symbol table is given apart: some are C++'s, and some are declared otherwise above. */
#define TRAPS(X)                                                                                                                       \
  X(sqlite_open, "sqlite3_open_v2") X(sqlite_prepare, "sqlite3_prepare_v2") X(sqlite_step, "sqlite3_step")                             \
  X(sqlite_init, "sqlite3_initialize") X(archive_new, "archive_read_new") X(archive_header, "archive_read_next_header")                \
  X(archive_block, "archive_read_data_block") X(archive_gzip, "archive_read_support_filter_gzip") X(inflate, "inflate")                \
  X(inflate_init, "inflateInit2_") X(crc, "crc32") X(zstd_create, "ZSTD_createDStream") X(zstd, "ZSTD_decompressStream")               \
  X(bzip2_init, "BZ2_bzDecompressInit") X(bzip2, "BZ2_bzDecompress") X(lzma_decoder, "lzma_stream_decoder") X(lzma, "lzma_code")       \
  X(new, "_Znwm") X(new_array, "_Znam") X(delete, "_ZdlPv") X(delete_sized, "_ZdlPvm") X(delete_array, "_ZdaPv")                       \
  X(allocate, "__cxa_allocate_exception") X(throw, "__cxa_throw") X(catch, "__cxa_begin_catch") X(personality, "__gxx_personality_v0") \
  X(raise, "_Unwind_RaiseException") X(resume, "_Unwind_Resume") X(pure, "__cxa_pure_virtual") X(thread_exit, "__cxa_thread_atexit")   \
  X(terminate, "_ZSt9terminatev")
#define DEFINE(name, symbol)           \
  void trap_##name(void) __asm__(symbol); \
  void trap_##name(void) { trapped(symbol); }
TRAPS(DEFINE)
/* OpenSSL's own calls of this one come here as well: they are passed on, and nobody else's. */
static int (*digest_init)(EVP_MD_CTX *, const EVP_MD *, ENGINE *);
int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *type, ENGINE *engine) {
  Dl_info caller;
  if (!dladdr(__builtin_return_address(0), &caller) || (!strstr(caller.dli_fname, "/libcrypto.so") && !strstr(caller.dli_fname, "/libssl.so")))
    trapped("EVP_DigestInit_ex");
  return digest_init(context, type, engine);
}

static const struct {
  const char *symbol;
  void (*function)(void);
} traps[] = {
#define ROW(name, symbol) {symbol, trap_##name},
    TRAPS(ROW){"EVP_DigestInit_ex", (void (*)(void))EVP_DigestInit_ex}};

static void check_traps(void) {
  for (size_t i = 0; i < sizeof traps / sizeof *traps; ++i) {
    void (*found)(void) = NULL;
    *(void **)&found = dlsym(RTLD_DEFAULT, traps[i].symbol);
    if (found != traps[i].function) fail("%s is not what other libraries would find", traps[i].symbol);
  }
}

/* --- the library */

#define CALLS(X)                                                                                                                               \
  X(stacyvm_open) X(stacyvm_session_open) X(stacyvm_spawn) X(stacyvm_exec) X(stacyvm_exec_result_clear) X(stacyvm_sandbox_destroy)             \
  X(stacyvm_sandbox_close) X(stacyvm_session_close) X(stacyvm_close) X(stacyvm_error_message) X(stacyvm_error_free) X(stacyvm_struct_init)
#define MEMBER(name) __typeof__(&name) name;
static struct {
  CALLS(MEMBER)
} lib;

static void *load(const char *path) {
#ifdef HOST_LINKED
  (void)path;
#define TAKE(name) lib.name = name;
  CALLS(TAKE)
  return NULL;
#else
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library) fail("%s", dlerror());
#define FIND(name) \
  if (!(*(void **)&lib.name = dlsym(library, #name))) fail("%s", dlerror());
  CALLS(FIND)
  return library;
#endif
}

static void must(int32_t code, stacyvm_error *e, const char *what) {
  if (code != STACYVM_OK) fail("%s: %s", what, e ? lib.stacyvm_error_message(e) : "no message");
}

/* --- OpenSSL */

static const unsigned char sha256_abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                           0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
static int openssl_works(void) {
  unsigned char digest[EVP_MAX_MD_SIZE], noise[16];
  size_t size = 0;
  if (EVP_Q_digest(NULL, "SHA256", NULL, "abc", 3, digest, &size) != 1 || size != sizeof sha256_abc || memcmp(digest, sha256_abc, size) != 0 ||
      RAND_bytes(noise, sizeof noise) != 1)
    return 0;
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  SSL *connection = context ? SSL_new(context) : NULL;
  const int made = connection != NULL;
  SSL_free(connection);
  SSL_CTX_free(context);
  return made && ERR_peek_error() == 0;
}

static atomic_int stop, rounds, broken;
static void *use_openssl(void *nothing) {
  while (!stop) {
    if (!openssl_works()) broken = 1;
    ++rounds;
  }
  return nothing;
}

/* --- what it does */

static stacyvm_session *session;

static void run(stacyvm_sandbox *sandbox, int number) {
  char text[16], expected[64];
  snprintf(text, sizeof text, "%d", number);
  const int length = snprintf(expected, sizeof expected, "answer to %d\n", number);
  const char *const argv[] = {"/bin/answer", text};
  stacyvm_exec_options x;
  stacyvm_exec_result r;
  stacyvm_error *e = NULL;
  lib.stacyvm_struct_init(&x, sizeof x);
  lib.stacyvm_struct_init(&r, sizeof r);
  x.argv = argv;
  x.argc = 2;
  must(lib.stacyvm_exec(sandbox, &x, &r, &e), e, "exec");
  if (r.exit_code != 42 || r.stdout_size != (uint64_t)length || memcmp(r.stdout_data, expected, r.stdout_size) != 0)
    fail("exit code %d, %llu bytes", r.exit_code, (unsigned long long)r.stdout_size);
  lib.stacyvm_exec_result_clear(&r);
}

/* A forked worker: the library refuses, OpenSSL serves. */
static void fork_worker(stacyvm_sandbox *sandbox) {
  int ends[2];
  char verdict = 0;
  if (pipe(ends) != 0) fail("pipe: %s", strerror(errno));
  const pid_t child = fork();
  if (child < 0) fail("fork: %s", strerror(errno));
  if (child == 0) {
    const char *const argv[] = {"/bin/answer"};
    stacyvm_exec_options x;
    stacyvm_exec_result r;
    lib.stacyvm_struct_init(&x, sizeof x);
    lib.stacyvm_struct_init(&r, sizeof r);
    x.argv = argv;
    x.argc = 1;
    verdict = lib.stacyvm_exec(sandbox, &x, &r, NULL) != STACYVM_E_FORKED ? 'e' : !openssl_works() ? 's' : 'k';
    _exit(write(ends[1], &verdict, 1) == 1 ? 0 : 1);
  }
  close(ends[1]);
  if (read(ends[0], &verdict, 1) != 1 || verdict != 'k') fail("the forked worker says '%c'", verdict ? verdict : '-');
  close(ends[0]);
  if (waitpid(child, NULL, 0) != -1 || errno != ECHILD) fail("SIGCHLD is no longer ignored");
}

static stacyvm_sandbox *spawn(const char *image) {
  stacyvm_spawn_options o;
  stacyvm_error *e = NULL;
  stacyvm_sandbox *sandbox = NULL;
  lib.stacyvm_struct_init(&o, sizeof o);
  o.image = image;
  must(lib.stacyvm_spawn(session, &o, &sandbox, &e), e, image);
  return sandbox;
}

static void *use_image(void *image) {
  stacyvm_error *e = NULL;
  stacyvm_sandbox *sandbox = spawn(image);
  for (int i = 0; i < 5; ++i) run(sandbox, i);
  must(lib.stacyvm_sandbox_destroy(sandbox, &e), e, "destroy");
  lib.stacyvm_sandbox_close(sandbox);
  return image;
}

/* Asked of the kernel: may we make the namespaces that a sandbox is made of? */
static int host_can(void) {
  int status = 1;
  const pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) == 0 ? 0 : 1);
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv) {
  enum { kMaxImages = 8 };
  const int images = argc - 3;
  if (images < 1 || images > kMaxImages) fail("usage: host LIBRARY STATE-DIRECTORY IMAGE ...");
  if (!host_can()) return puts("SKIP sandboxes: this host does not allow user, mount, pid and network namespaces"), 77;
  signal(SIGCHLD, SIG_IGN);
  if (!(*(void **)&digest_init = dlsym(RTLD_NEXT, "EVP_DigestInit_ex"))) fail("%s", dlerror());
  if (!openssl_works()) fail("OpenSSL does not work to begin with");
  void *library = load(argv[1]);
  check_traps();
  if (!openssl_works()) fail("OpenSSL stopped working when the library was loaded");

  pthread_t busy, users[kMaxImages];
  if (pthread_create(&busy, NULL, use_openssl, NULL) != 0) fail("no thread");
  stacyvm_options options;
  stacyvm_instance *vm = NULL;
  stacyvm_error *e = NULL;
  lib.stacyvm_struct_init(&options, sizeof options);
  options.state_dir = argv[2];
  must(lib.stacyvm_open(&options, &vm, &e), e, "open");
  must(lib.stacyvm_session_open(vm, NULL, &session, &e), e, "session");

  /* An error is an exception inside. */
  stacyvm_spawn_options missing;
  stacyvm_sandbox *none = NULL;
  lib.stacyvm_struct_init(&missing, sizeof missing);
  missing.image = "/nowhere/root.tar.gz";
  if (lib.stacyvm_spawn(session, &missing, &none, &e) != STACYVM_E_NOT_FOUND || none || !e) fail("an image that is not there was found");
  lib.stacyvm_error_free(e);

  for (int i = 0; i < images; ++i)
    if (pthread_create(&users[i], NULL, use_image, argv[3 + i]) != 0) fail("no thread");
  stacyvm_sandbox *sandbox = spawn(argv[3]);
  run(sandbox, 1);
  fork_worker(sandbox);
  run(sandbox, 2);
  for (int i = 0; i < images; ++i) pthread_join(users[i], NULL);
  lib.stacyvm_sandbox_close(sandbox);
  lib.stacyvm_session_close(session);
  lib.stacyvm_close(vm);

  stop = 1;
  pthread_join(busy, NULL);
  if (library && dlclose(library) != 0) fail("%s", dlerror());
  if (broken || rounds == 0 || !openssl_works()) fail("OpenSSL stopped working");
  printf("%d images, %zu symbols in the way, OpenSSL used %d times meanwhile\n", images, sizeof traps / sizeof *traps, rounds);
  return 0;
}
