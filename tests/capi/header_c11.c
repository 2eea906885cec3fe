/* The header by itself, as C11, pedantic. */
#include <stacyvm/stacyvm.h>

_Static_assert(sizeof(stacyvm_chunk) == 48, "no implicit padding");
_Static_assert(STACYVM_E_INTERNAL == -99, "codes are plain integers");

int main(void) {
  stacyvm_options o;
  STACYVM_INIT(&o);
  return o.struct_size == sizeof o && stacyvm_version() == STACYVM_VERSION ? 0 : 1;
}
