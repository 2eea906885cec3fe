// Our standard descriptors.
#pragma once

namespace cli {

/// Fills 0, 1 and 2 where our parent closed them, so that nothing which is opened later takes their place. Standard input then is
/// empty, and writing to the others fails as it would on a closed descriptor. Throws std::system_error.
void occupy_standard_descriptors();

}  // namespace cli
