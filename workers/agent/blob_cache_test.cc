#include "workers/agent/blob_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/catch.h"
#include "workers/agent/digest.h"

namespace sextant::agent {
namespace {

// A service that holds some blobs, a cache in front of it, and a working directory.
class Stage {
 public:
  Stage() {
    char name[] = "/tmp/sextant-blobs-XXXXXX";
    root_ = mkdtemp(name);
    mkdir((root_ / "work").c_str(), 0755);
    Reopen();
  }
  ~Stage() { RemoveTree(root_).IgnoreError(); }

  void Reopen() {
    cache = std::make_unique<BlobCache>(
        root_ / "blobs", /*max_bytes=*/100, [this](const std::string& digest, const auto& piece) {
          ++fetches;
          auto it = held.find(digest);
          return it == held.end() ? absl::NotFoundError("no such blob") : piece(it->second);
        });
    REQUIRE(cache->Open().ok());
  }

  v1::File Hold(const std::string& path, const std::string& content) {
    v1::File file;
    file.set_path(path);
    file.set_digest(Digest(content));
    file.set_size_bytes(content.size());
    held[file.digest()] = content;
    return file;
  }

  absl::Status Place(const v1::File& file) {
    std::filesystem::remove(root_ / "work" / file.path());
    absl::StatusOr<Fd> work = OpenDirectory(root_ / "work");
    return cache->Place(file, work->get());
  }

  std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(root_ / path).rdbuf();
    return text.str();
  }

  std::filesystem::path root_;
  std::map<std::string, std::string> held;
  std::unique_ptr<BlobCache> cache;
  int fetches = 0;
};

}  // namespace

TEST_CASE("a blob is fetched once and copied for each pass") {
  Stage stage;
  v1::File file = stage.Hold("dir/file", "content");
  file.set_mode(04755);
  CHECK(stage.Place(file).ok());
  CHECK(stage.Place(file).ok());
  CHECK(stage.fetches == 1);
  CHECK(stage.Read("work/dir/file") == "content");
  struct stat facts;
  REQUIRE(stat((stage.root_ / "work/dir/file").c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07777) == 0755);  // never set-user-id
  std::ofstream(stage.root_ / "work/dir/file") << "altered by the program";
  CHECK(stage.Place(file).ok());
  CHECK(stage.Read("work/dir/file") == "content");
  CHECK(stage.fetches == 1);
}

TEST_CASE("the least recently used blobs make room") {
  Stage stage;
  const v1::File a = stage.Hold("a", std::string(40, 'a'));
  const v1::File b = stage.Hold("b", std::string(40, 'b'));
  const v1::File c = stage.Hold("c", std::string(40, 'c'));
  for (const v1::File& file : {a, b, a, c}) CHECK(stage.Place(file).ok());
  CHECK(stage.cache->size_bytes() == 80);
  stage.fetches = 0;
  CHECK(stage.Place(a).ok());
  CHECK(stage.fetches == 0);
  CHECK(stage.Place(b).ok());
  CHECK(stage.fetches == 1);
}

TEST_CASE("what an earlier worker left is used again unless it is damaged") {
  Stage stage;
  const v1::File file = stage.Hold("file", "content");
  CHECK(stage.Place(file).ok());
  stage.Reopen();
  stage.fetches = 0;
  CHECK(stage.Place(file).ok());
  CHECK(stage.fetches == 0);
  std::ofstream(stage.root_ / "blobs" / Hex(file.digest())) << "zeroes!";
  stage.Reopen();
  CHECK(stage.Place(file).ok());
  CHECK(stage.fetches == 1);
  CHECK(stage.Read("work/file") == "content");
}

TEST_CASE("content with another digest is never used") {
  Stage stage;
  v1::File file = stage.Hold("file", "content");
  stage.held[file.digest()] = "CONTENT";
  CHECK(stage.Place(file).code() == absl::StatusCode::kDataLoss);
  stage.held[file.digest()] = "content and more";
  CHECK(stage.Place(file).code() == absl::StatusCode::kDataLoss);
  stage.held.clear();
  CHECK(stage.Place(file).code() == absl::StatusCode::kNotFound);
  CHECK(stage.cache->size_bytes() == 0);
}

}  // namespace sextant::agent
