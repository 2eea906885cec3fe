// What reaches a TreeWriter, and in which order.
#include <doctest/doctest.h>

#include <stdexcept>

#include "archives.hpp"
#include "core/error.hpp"
#include "images/unpack.hpp"

using namespace svm::images;
using namespace svm::images::test;
using Lines = std::vector<std::string>;

namespace {

class Recorder final : public TreeWriter {
 public:
  void mkdir(std::string_view path, uint32_t mode) override { add("mkdir", path, mode); }
  void begin_file(std::string_view path, uint32_t mode, uint64_t size) override {
    add("file", path, mode);
    lines.back() += ' ' + std::to_string(size) + ':';
  }
  void data(std::string_view bytes) override { lines.back() += bytes; }
  void commit_file() override { lines.back() += '.'; }
  void symlink(std::string_view path, std::string_view target) override {
    lines.push_back("symlink " + std::string(path) + ' ' + std::string(target));
  }
  void hardlink(std::string_view path, std::string_view existing) override {
    lines.push_back("hardlink " + std::string(path) + ' ' + std::string(existing));
  }
  void chmod(std::string_view path, uint32_t mode) override { add("chmod", path, mode); }
  void finish() override { lines.push_back("finish"); }

  Lines lines;

 private:
  void add(const char* what, std::string_view path, uint32_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, " %o ", mode);
    lines.push_back(what + (text + std::string(path)));
  }
};

}  // namespace

TEST_CASE("entries in their order, and what was done") {
  const std::string tar = directory("./") + directory("a") + entry("a/f", "hello") + entry("a/e", "") + soft_link("l", "a/f") + hard_link("h", "a/f") +
                          Header("n", '3').bytes() + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  Recorder writer;
  const Unpacked done = unpack(reader, writer);
  CHECK(writer.lines == Lines{"mkdir 755 a", "file 644 a/f 5:hello.", "file 644 a/e 0:.", "symlink l a/f", "hardlink h a/f", "finish"});
  CHECK(done.entries == 5);
  CHECK(done.skipped == 2);
  CHECK(done.bytes == 5);
}

TEST_CASE("a directory that its owner cannot write to gets its mode last, those below it before it") {
  const std::string tar = directory("a", 0555) + directory("a/b", 0) + entry("a/b/c", "") + directory("d", 01777) + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  Recorder writer;
  (void)unpack(reader, writer);
  CHECK(writer.lines ==
        Lines{"mkdir 755 a", "mkdir 700 a/b", "file 644 a/b/c 0:.", "mkdir 1777 d", "chmod 0 a/b", "chmod 555 a", "finish"});
}

TEST_CASE("a directory that comes after its contents, or again") {
  const std::string tar = entry("a/f", "") + directory("a", 0700) + directory("d", 0500) + directory("d", 0711) + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  Recorder writer;
  (void)unpack(reader, writer);
  CHECK(writer.lines == Lines{"file 644 a/f 0:.", "mkdir 700 d", "chmod 500 d", "chmod 711 d", "chmod 700 a", "finish"});
}

TEST_CASE("an archive that is refused does not finish") {
  const std::string tar = entry("a", "") + entry("a", "") + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  Recorder writer;
  CHECK_THROWS_AS((void)unpack(reader, writer), svm::Error);
  CHECK(writer.lines == Lines{"file 644 a 0:."});
}

TEST_CASE("a writer's failure stops the reading") {
  class Full final : public TreeWriter {
   public:
    void mkdir(std::string_view, uint32_t) override {}
    void begin_file(std::string_view, uint32_t, uint64_t) override {}
    void data(std::string_view) override { throw svm::Error(svm::Code::limit, "the disk is full"); }
    void commit_file() override {}
    void symlink(std::string_view, std::string_view) override { throw std::logic_error("went on"); }
    void hardlink(std::string_view, std::string_view) override {}
    void chmod(std::string_view, uint32_t) override {}
    void finish() override { throw std::logic_error("finished"); }
  };
  const std::string tar = directory("a") + entry("f", "x") + soft_link("s", "t") + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  Full writer;
  CHECK_THROWS_WITH_AS((void)unpack(reader, writer), "the disk is full", svm::Error);
}
