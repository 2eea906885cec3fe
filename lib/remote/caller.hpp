// Who calls a server.
#pragma once
#include <string>

namespace svm::remote {

struct Caller {
  std::string api_key;     // "": none
  std::string owner;       // "": none
  std::string request_id;  // "": the server makes one
};

}  // namespace svm::remote
