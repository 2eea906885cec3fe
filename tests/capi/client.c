/* A client of the installed library, in C11. */
#include <stacyvm/stacyvm.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  stacyvm_options o;
  stacyvm_instance *vm = NULL;
  stacyvm_error *e = NULL;
  STACYVM_INIT(&o);
  o.state_dir = "ftp://example.org";
  if (stacyvm_open(&o, &vm, &e) != STACYVM_E_UNSUPPORTED || vm) return 1;
  if (strcmp(stacyvm_error_details(e), "{\"field\":\"state_dir\"}") != 0) return 2;
  printf("stacyvm %s: %s\n", stacyvm_version_string(), stacyvm_error_message(e));
  stacyvm_error_free(e);
  return 0;
}
