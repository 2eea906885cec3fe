// Files and trees between this machine and a sandbox.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include "copy_side.hpp"
#include "signals.hpp"

namespace cli {

struct Copied {
  uint64_t bytes = 0, files = 0;
};

/// What a copy needs beside its sides.
struct CopyContext {
  stacyvm::Session& session;
  stacyvm::Sandbox& sandbox;
  Signals& signals;
  bool progress;  // shown on standard error
};

/// Each throws stacyvm::Error, std::system_error, std::runtime_error and Interrupted, and then has left nothing at its target; of a tree that goes into a
/// directory that was there, what came before.
Copied download(CopyContext& context, const CopySide& from, const CopySide& to);
Copied upload(CopyContext& context, const CopySide& from, const CopySide& to);

}  // namespace cli
