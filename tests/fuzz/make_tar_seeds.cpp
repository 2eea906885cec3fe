// Writes the seed corpus of the tar reader: `make-tar-seeds tests/fuzz/corpus/tar_reader`. The first byte is the size of pieces
// less one.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "archives.hpp"
#include "writer.hpp"

namespace {
using namespace svm::images::test;

class Corpus {
 public:
  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) { std::filesystem::create_directories(folder_); }
  void add(const std::string& name, const std::string& bytes, char piece = '\x63') const {
    std::ofstream file(folder_ / name, std::ios::binary);
    file << piece << bytes;
    if (!file.flush()) throw std::runtime_error("cannot write " + (folder_ / name).string());
  }

 private:
  std::filesystem::path folder_;
};

void write_seeds(const Corpus& corpus) {
  const std::string end = end_mark();
  const std::string tree = directory("./") + directory("a", 0700) + entry("a/b", "hello") + soft_link("a/l", "../b") + hard_link("h", "a/b") +
                           Header("null", '3').bytes() + entry("dev/x", "1") + directory("a", 0500) + end;
  corpus.add("tree", tree);
  corpus.add("tree-whole", tree, '\xff');
  corpus.add("tree-bytes", tree, '\0');
  corpus.add("gzip", compress(tree, Compression::gzip));
  corpus.add("zstd", compress(tree, Compression::zstd));
  corpus.add("xz", compress(tree, Compression::xz));
  corpus.add("bzip2", compress(tree, Compression::bzip2));
  corpus.add("gzip-twice", compress(compress(tree, Compression::gzip), Compression::gzip));
  corpus.add("gzip-members", compress(entry("a", "1"), Compression::gzip) + compress(entry("b", "2") + end, Compression::gzip));
  corpus.add("bomb", compress(entry("zeros", std::string(3 << 20, '\0')) + end, Compression::gzip));

  const std::string records = record("path", "long/name") + record("size", "5") + record("mtime", "1.5") + record("comment", "c");
  corpus.add("pax", pax(records) + entry("n", "hello") + end);
  corpus.add("pax-link", pax(record("linkpath", "to")) + soft_link("s", "from") + end);
  corpus.add("pax-global", pax(record("comment", "c"), 'g') + entry("n", "") + end);
  corpus.add("pax-global-path", pax(record("path", "c"), 'g') + entry("n", "") + end);
  corpus.add("pax-size", pax(record("size", "600")) + entry("n", "hello") + end);
  corpus.add("pax-sparse", pax(record("GNU.sparse.major", "1")) + entry("n", "") + end);
  corpus.add("pax-nul", pax(record("path", std::string("a\0b", 3))) + entry("n", "") + end);
  corpus.add("pax-twice", pax(record("path", "a") + record("path", "b")) + entry("n", "") + end);
  corpus.add("pax-length", pax("99 path=a\n") + entry("n", "") + end);
  corpus.add("pax-then-gnu", pax(record("path", "a")) + gnu('L', "b") + entry("n", "") + end);
  corpus.add("gnu", gnu('K', "target") + gnu('L', "name") + soft_link("s", "t") + end);
  corpus.add("gnu-end", gnu('L', "name") + end);
  corpus.add("prefix", Header("b").prefix("a").bytes() + end);
  corpus.add("old", Header("b").put(257, std::string(8, '\0')).bytes() + end);
  corpus.add("binary-size", Header("a").put(124, std::string("\x80\0\0\0\0\0\0\0\0\0\0\5", 12)).bytes() + padded("hello") + end);
  corpus.add("negative-size", Header("a").put(124, std::string(12, '\xff')).bytes() + end);
  corpus.add("huge-size", Header("a").put(124, "77777777777").bytes() + end);
  corpus.add("up", entry("a/../../b", "x") + end);
  corpus.add("absolute", entry("//a/./b", "x") + end);
  corpus.add("link-outside", hard_link("a", "/etc/passwd") + end);
  corpus.add("through-link", soft_link("l", "/etc") + entry("l/x", "1") + end);
  corpus.add("link-then-directory", soft_link("a", "/") + directory("a") + end);
  corpus.add("below-file", entry("a", "1") + entry("a/b", "2") + end);
  corpus.add("modes", entry("a", "", 07777) + directory("d", 07777) + end);
  corpus.add("two-archives", entry("a", "1") + end + entry("b", "2") + end);
  corpus.add("cut", tree.substr(0, tree.size() / 2));
  corpus.add("no-end", entry("a", "hello"));
  corpus.add("no-tar", "hello");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make-tar-seeds DIRECTORY\n", stderr);
    return 2;
  }
  try {
    write_seeds(Corpus(argv[1]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
