#include "workers/installation.h"

#include <fstream>

#include "tests/catch.h"

namespace sextant {
namespace {

namespace fs = std::filesystem;

class Prefix {
 public:
  Prefix() {
    std::string path = fs::temp_directory_path() / "installation-XXXXXX";
    path_ = mkdtemp(path.data());
    fs::create_directory(path_ / "bin");
  }
  ~Prefix() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST_CASE("a worker alone in its directory carries nothing") {
  const Prefix prefix;
  const Installation found = FindInstallation(prefix.path() / "bin/sextant-worker");
  CHECK(found.bwrap.empty());
  CHECK(found.libraries.empty());
}

TEST_CASE("bubblewrap and the libraries for passes are found from the worker's own place") {
  const Prefix prefix;
  const fs::path bwrap = prefix.path() / "bin/bwrap";
  std::ofstream(bwrap) << "#!/bin/sh\n";
  fs::create_directories(prefix.path() / "lib/sextant");
  SECTION("a bwrap that cannot be run is not taken") {
    fs::permissions(bwrap, fs::perms::owner_read);
    CHECK(FindInstallation(prefix.path() / "bin/sextant-worker").bwrap.empty());
  }
  SECTION("both are there") {
    fs::permissions(bwrap, fs::perms::owner_all);
    const Installation found = FindInstallation(prefix.path() / "bin/sextant-worker");
    CHECK(found.bwrap == bwrap);
    CHECK(found.libraries == prefix.path() / "lib/sextant");
  }
}

}  // namespace
}  // namespace sextant
