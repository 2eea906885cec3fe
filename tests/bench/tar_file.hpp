// A tar to unpack: the shape of a small distribution's root file system.
#pragma once
#include <string>

namespace bench {

/// `files` regular files of 0 to 20 kB, one directory for every 15 and one symbolic link for every 12 of them. The same bytes every time.
void write_root_tar(const std::string& path, unsigned files);

}  // namespace bench
