// The header by itself, as C++11, pedantic.
#include <stacyvm/stacyvm.h>

static_assert(sizeof(stacyvm_chunk) == 48, "no implicit padding");

int main() {
  stacyvm_options o;
  STACYVM_INIT(&o);
  return o.struct_size == sizeof o && stacyvm_version() == STACYVM_VERSION ? 0 : 1;
}
