#include "workers/agent/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/catch.h"
#include "workers/agent/digest.h"

namespace sextant::agent {
namespace {

class Stage {
 public:
  Stage() {
    char name[] = "/tmp/sextant-spool-XXXXXX";
    root = mkdtemp(name);
    std::filesystem::create_directory(root / "spool");
  }
  ~Stage() { RemoveTree(root).IgnoreError(); }

  SpoolEntry Write(int64_t pass_id) {
    v1::PassCommit commit;
    commit.mutable_pass()->set_pass_id(pass_id);
    commit.mutable_pass()->set_epoch(2);
    auto writer = SpoolWriter::Create(root / "spool", commit.pass());
    REQUIRE(writer.ok());
    REQUIRE((*writer)->AddChunk("a chunk").ok());
    std::ofstream(root / "log") << "a log";
    Fd log(open((root / "log").c_str(), O_RDONLY));
    REQUIRE((*writer)->AddBlob(log.get(), commit.mutable_result()->add_artifacts()).ok());
    commit.mutable_result()->set_trace_digest((*writer)->TraceDigest());
    auto entry = (*writer)->Finish(commit);
    REQUIRE(entry.ok());
    return *std::move(entry);
  }

  std::filesystem::path root;
};

}  // namespace

TEST_CASE("a spooled pass is read back as it was written") {
  Stage stage;
  const SpoolEntry written = stage.Write(1);
  const auto read = LoadSpoolEntry(stage.root / "spool/1-2");
  REQUIRE(read.ok());
  CHECK(read->commit.SerializeAsString() == written.commit.SerializeAsString());
  REQUIRE(read->chunks.size() == 1);
  CHECK(read->chunks[0].digest == Digest("a chunk"));
  CHECK(read->chunks[0].offset == written.chunks[0].offset);
  REQUIRE(read->blobs.size() == 1);
  CHECK(read->blobs[0].digest == Digest("a log"));
  CHECK(read->blobs[0].size_bytes == 5);
  CHECK(read->commit.result().artifacts(0).digest() == Digest("a log"));
}

TEST_CASE("an entry that is not whole is dropped and named, the others are kept") {
  Stage stage;
  stage.Write(1);
  stage.Write(2);
  stage.Write(3);
  const std::filesystem::path second = stage.root / "spool/2-2";
  const auto size = std::filesystem::file_size(second);
  for (uintmax_t cut = 0; cut < size; ++cut) {
    std::filesystem::copy_file(second, stage.root / "cut",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(stage.root / "cut", cut);
    CHECK_FALSE(LoadSpoolEntry(stage.root / "cut").ok());
  }
  std::filesystem::resize_file(second, size - 1);
  std::ofstream(stage.root / "spool/4-1.coming") << "cut short";
  std::vector<std::string> bad;
  const std::vector<SpoolEntry> entries = LoadSpool(stage.root / "spool", &bad);
  CHECK(entries.size() == 2);
  CHECK(bad.size() == 2);
  CHECK_FALSE(std::filesystem::exists(second));
}

TEST_CASE("a writer that does not finish leaves nothing") {
  Stage stage;
  v1::PassRef pass;
  pass.set_pass_id(9);
  { REQUIRE(SpoolWriter::Create(stage.root / "spool", pass).ok()); }
  CHECK(std::filesystem::is_empty(stage.root / "spool"));
}

}  // namespace sextant::agent
