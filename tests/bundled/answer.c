/* The only program of the test's root file system: static, so that it needs nothing beside it. */
#include <stdio.h>

int main(int argc, char **argv) {
  printf("answer to %s\n", argc > 1 ? argv[1] : "nothing");
  return 42;
}
