/* The library opened at run time: every listed symbol is there, opening it does nothing, and closing it leaves it in place. */
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int count(const char *directory) {
  DIR *d = opendir(directory);
  int n = 0;
  if (!d) return -1;
  while (readdir(d)) ++n;
  closedir(d);
  return n;
}

static int mapped(void) {
  char line[4096];
  int found = 0;
  FILE *f = fopen("/proc/self/maps", "re");
  if (!f) return -1;
  while (fgets(line, sizeof line, f))
    if (strstr(line, "libstacyvm.so.1")) found = 1;
  fclose(f);
  return found;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  /* Who started this program may have left some ignored. */
  struct sigaction before_it[32];
  for (int signo = 1; signo < 32; ++signo)
    if (sigaction(signo, NULL, &before_it[signo]) != 0) return 2;
  const int threads = count("/proc/self/task"), fds = count("/proc/self/fd");
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
  if (count("/proc/self/task") != threads || count("/proc/self/fd") != fds) return fprintf(stderr, "opening has effects\n"), 1;
  for (int signo = 1; signo < 32; ++signo) {
    struct sigaction action;
    if (sigaction(signo, NULL, &action) != 0 || action.sa_handler != before_it[signo].sa_handler) return fprintf(stderr, "a handler for signal %d\n", signo), 1;
  }
  char line[256], name[128];
  int n = 0;
  FILE *list = fopen(argv[2], "re");
  if (!list) return 2;
  while (fgets(line, sizeof line, list)) {
    if (line[0] == '#' || sscanf(line, "%127s", name) != 1) continue;
    if (!dlsym(library, name)) return fprintf(stderr, "%s is missing\n", name), 1;
    ++n;
  }
  fclose(list);
  uint32_t (*version)(void);
  *(void **)&version = dlsym(library, "stacyvm_version");
  const uint32_t before = version();
  if (dlclose(library) != 0 || mapped() != 1) return fprintf(stderr, "dlclose removed it\n"), 1;
  if (version() != before) return 1;
  printf("%d symbols, version %#x\n", n, before);
  return n > 0 ? 0 : 1;
}
