// What a program does with the library, all of it in short: every fail point is passed on the way.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace svm::test {

struct Failure {
  int32_t code = 0;
  std::string message, details;
};

/// What a process told before it ended, or was killed.
struct Told {
  std::vector<std::string> sandboxes;  // that it was given
  std::vector<Failure> failures;       // of the lives that it tried, in order; none: all went well
  unsigned lives = 0;                  // that went well to their end
  bool killed = false;
  std::string info;                    // of a sandbox
};

/// What the lives of this run use.
struct Setting {
  std::string state, directory;  // the state directory; one for images and mounts
  bool limits = true;            // ask for limits by name: they are enforced, or an error
  bool detached = false;         // spawn, let go, adopt; otherwise everything else
};

/// Another process that lives so often; each life goes on where the last one failed, with the library opened anew.
Told live(const Setting& setting, unsigned lives);

/// Makes what lives need in the directory.
void furnish(const std::string& directory);

}  // namespace svm::test
