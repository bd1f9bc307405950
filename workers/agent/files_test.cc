#include "workers/agent/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/catch.h"

namespace sextant::agent {
namespace {

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/sextant-files-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Directory() { RemoveTree(path_).IgnoreError(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("a tree is removed however deep it is") {
  Directory directory;
  const std::filesystem::path top = directory.path() / "tree";
  mkdir(top.c_str(), 0755);
  Fd at(open(top.c_str(), O_RDONLY | O_DIRECTORY));
  for (int depth = 0; depth < 5000; ++depth) {
    REQUIRE(mkdirat(at.get(), "a-name-that-soon-passes-PATH_MAX", 0755) == 0);
    at = Fd(openat(at.get(), "a-name-that-soon-passes-PATH_MAX", O_RDONLY | O_DIRECTORY));
  }
  CHECK(RemoveTree(top).ok());
  CHECK_FALSE(std::filesystem::exists(top));
}

TEST_CASE("a tree is removed whatever its modes and kinds, and links are not followed") {
  Directory directory;
  const std::filesystem::path top = directory.path() / "tree";
  const std::filesystem::path outside = directory.path() / "outside";
  std::filesystem::create_directories(top / "closed/inner");
  std::filesystem::create_directories(top / "~0/~1");  // names the removal itself would choose
  std::ofstream(top / "closed/inner/file") << "x";
  std::filesystem::create_directories(outside);
  std::ofstream(outside / "file") << "stays";
  std::filesystem::create_symlink(outside, top / "link");
  std::filesystem::create_symlink(outside, top / "closed/link");
  mkfifo((top / "pipe").c_str(), 0);
  chmod((top / "closed/inner").c_str(), 0);
  chmod((top / "closed").c_str(), 0);
  CHECK(RemoveTree(top).ok());
  CHECK_FALSE(std::filesystem::exists(top));
  CHECK(std::filesystem::exists(outside / "file"));
  CHECK(RemoveTree(top).ok());  // a missing one is success
}

TEST_CASE("a path that leaves its directory is not opened") {
  Directory directory;
  std::ofstream(directory.path() / "secret") << "x";
  std::filesystem::create_directories(directory.path() / "in/sub");
  std::filesystem::create_symlink("../secret", directory.path() / "in/link");
  std::filesystem::create_symlink("..", directory.path() / "in/up");
  std::filesystem::create_symlink("/", directory.path() / "in/root");
  std::ofstream(directory.path() / "in/sub/file") << "y";
  absl::StatusOr<Fd> in = OpenDirectory(directory.path() / "in");
  REQUIRE(in.ok());
  for (const char* path : {"link", "up/secret", "../secret", "/etc/passwd", "root/etc/passwd",
                           "sub/../../secret", "", "sub"}) {
    INFO(path);
    CHECK_FALSE(OpenRegularBeneath(in->get(), path).ok());
  }
  CHECK(OpenRegularBeneath(in->get(), "sub/file").ok());
  CHECK_FALSE(MakeParentsBeneath(in->get(), "root/made/file").ok());
  CHECK_FALSE(MakeParentsBeneath(in->get(), "sub/../../made/file").ok());
  CHECK(MakeParentsBeneath(in->get(), "a/b/c/file").ok());
  CHECK(std::filesystem::is_directory(directory.path() / "in/a/b/c"));
}

}  // namespace sextant::agent
