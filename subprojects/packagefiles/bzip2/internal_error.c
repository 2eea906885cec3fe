/* What bzlib calls where it finds a fault of its own. The usual one writes to the host's stderr and calls exit. */
#include <stdlib.h>

void bz_internal_error(int errcode);
void bz_internal_error(int errcode) {
  (void)errcode;
  abort();
}
