// Hostile commands, one for each first argument. Static, without dependencies; on a host it refuses to run.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// The initial user namespace maps every id to itself.
static int on_a_host(void) {
  unsigned inside = 0, outside = 0, count = 0;
  FILE *f = fopen("/proc/self/uid_map", "re");
  if (!f) return 1;
  const int fields = fscanf(f, "%u %u %u", &inside, &outside, &count);
  fclose(f);
  return fields != 3 || count == 4294967295u;
}

static void tell(const char *what, long value, int error) {
  printf("%s %ld %s\n", what, value, error ? strerrorname_np(error) : "-");
  fflush(stdout);
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

_Noreturn static void hold(void) {
  for (;;) pause();
}

/// Tells once that no more processes are to be had, and goes on.
_Noreturn static void fork_bomb(void) {
  int told = 0;
  for (;;) {
    if (fork() >= 0 || told) continue;
    tell("full", 0, errno);
    told = 1;
  }
}

_Noreturn static void take_memory(void) {
  for (;;) {
    void *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) continue;
    memset(block, 1, 1 << 20);
  }
}

static int fill_file(const char *path) {
  static char block[65536];
  const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  long total = 0;
  for (;;) {
    const ssize_t n = fd < 0 ? -1 : write(fd, block, sizeof block);
    if (n <= 0) break;
    total += n;
  }
  tell("bytes", total, errno);
  return 0;
}

static int fill_directory(const char *path) {
  if (mkdir(path, 0755) != 0 || chdir(path) != 0) return 1;
  long count = 0;
  for (;; ++count) {
    char name[32];
    snprintf(name, sizeof name, "%ld", count);
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) break;
    close(fd);
  }
  tell("files", count, errno);
  return 0;
}

static int spin(const char *milliseconds) {
  const int64_t end = now_ms() + atoi(milliseconds);
  for (int i = 0; i < 3; ++i)
    if (fork() == 0) break;
  while (now_ms() < end) {
  }
  return 0;
}

static int flood(void) {
  static char block[65536];
  memset(block, 'x', sizeof block);
  while (write(1, block, sizeof block) > 0) {
  }
  return 0;
}

static int take_descriptors(void) {
  long count = 0;
  while (open("/dev/null", O_RDONLY) >= 0) ++count;
  tell("descriptors", count, errno);
  hold();
}

static int take_inotify(void) {
  long count = 0;
  while (inotify_init1(IN_CLOEXEC) >= 0) ++count;
  tell("instances", count, errno);
  hold();
}

static int fill_pipes(void) {
  static char block[65536];
  long total = 0;
  for (int pair[2]; pipe2(pair, O_NONBLOCK | O_CLOEXEC) == 0;) {
    (void)fcntl(pair[1], F_SETPIPE_SZ, 1 << 20);
    for (ssize_t n; (n = write(pair[1], block, sizeof block)) > 0;) total += n;
  }
  tell("bytes", total, errno);
  hold();
}

_Noreturn static void silence(void) {
  for (int fd = 0; fd < 3; ++fd) close(fd);
  hold();
}

/// Processes that have left their parent, session and terminal, and ignore what can be ignored.
static int daemons(const char *count) {
  for (int i = atoi(count); i > 0; --i) {
    if (fork() != 0) continue;
    setsid();
    if (fork() != 0) _exit(0);
    for (int number = 1; number < 65; ++number) signal(number, SIG_IGN);
    silence();
  }
  return 0;
}

static int forge_signals(const char *milliseconds) {
  long delivered = 0;
  for (const int64_t end = now_ms() + atoi(milliseconds); now_ms() < end;)
    for (int number = 1; number <= 64; ++number) {
      siginfo_t info = {.si_signo = number, .si_code = SI_QUEUE};
      delivered += kill(1, number) == 0;
      delivered += syscall(SYS_rt_sigqueueinfo, 1, number, &info) == 0;
      delivered += syscall(SYS_tgkill, 1, 1, number) == 0;
    }
  tell("delivered", delivered, 0);
  return 0;
}

/// Exchanges two names for ever.
_Noreturn static void swap(const char *a, const char *b) {
  tell("swapping", 0, 0);
  for (;;)
    if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */) != 0) sched_yield();
}

/// Right after the call: errno is its own.
static void tell_result(const char *what, long result) { tell(what, result < 0 ? -1 : 0, result < 0 ? errno : 0); }

/// Tries to type into the terminal it has, and to take over the one it is given.
static int type_into(const char *path) {
  tell_result("sti", ioctl(STDIN_FILENO, TIOCSTI, "x"));
  tell_result("sti-high", syscall(SYS_ioctl, STDIN_FILENO, 0xdead00000000UL | TIOCSTI, "x"));
  tell_result("console", ioctl(STDIN_FILENO, TIOCCONS));
  if (!*path) return 0;
  const int fd = open(path, O_RDWR | O_NOCTTY);
  tell_result("open", fd);
  tell_result("write", open(path, O_WRONLY | O_NOCTTY));
  if (fd >= 0) tell_result("steal", ioctl(fd, TIOCSCTTY, 1));
  return 0;
}

/// Leaves processes behind that hold the terminal, fork as fast as they can and ignore the hang-up, and ends.
static int hold_terminal(void) {
  signal(SIGHUP, SIG_IGN);
  for (int i = 0; i < 8; ++i) {
    if (fork() != 0) continue;
    setsid();
    for (;;) {
      if (fork() == 0) continue;
      (void)!write(STDOUT_FILENO, "x", 1);
      usleep(1000);
      while (waitpid(-1, NULL, WNOHANG) > 0) {
      }
      if (fork() == 0) _exit(0);
    }
  }
  usleep(100000);
  return 4;
}

int main(int argc, char **argv) {
  if (on_a_host()) {
    fputs("this is not a sandbox\n", stderr);
    return 2;
  }
  const char *what = argc > 1 ? argv[1] : "", *first = argc > 2 ? argv[2] : "", *second = argc > 3 ? argv[3] : "";
#define IS(name) (strcmp(what, name) == 0)
  if (IS("fork")) fork_bomb();
  if (IS("type")) return type_into(first);
  if (IS("hold-terminal")) return hold_terminal();
  if (IS("memory")) take_memory();
  if (IS("file")) return fill_file(first);
  if (IS("inodes")) return fill_directory(first);
  if (IS("cpu")) return spin(first);
  if (IS("flood")) return flood();
  if (IS("descriptors")) return take_descriptors();
  if (IS("inotify")) return take_inotify();
  if (IS("pipes")) return fill_pipes();
  if (IS("silence")) silence();
  if (IS("daemons")) return daemons(first);
  if (IS("signals")) return forge_signals(first);
  if (IS("swap")) swap(first, second);
  if (IS("kill-all")) return kill(-1, SIGKILL) == 0 || errno == ESRCH ? 0 : 1;
  if (IS("stop-all")) return kill(-1, SIGSTOP) == 0 || errno == ESRCH ? 0 : 1;
  if (IS("user")) return tell("user", (long)geteuid(), 0), 0;
  fprintf(stderr, "%s: not known\n", what);
  return 2;
}
