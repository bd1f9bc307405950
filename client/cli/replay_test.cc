#include "client/cli/replay.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "client/cli/pass_syntax.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "sextant-replay-XXXXXX").string();
    directory = mkdtemp(name.data());
    for (const char* file :
         {"gemm/b.rec", "gemm/a.rec", "gemm/notes.txt", "empty/x", "other/a.rec"}) {
      fs::create_directories((directory / file).parent_path());
      std::ofstream(directory / file) << file;
    }
  }
  ~Scratch() { fs::remove_all(directory); }

  absl::StatusOr<std::vector<std::string>> Add(const std::string& rest, Bundle& bundle) const {
    const auto spec = ParsePass("replay:" + (directory / rest).string());
    if (!spec.ok()) return spec.status();
    const auto passes = AddRecordings(*spec, bundle);
    if (!passes.ok()) return passes.status();
    std::vector<std::string> paths;
    for (const v1::PassSpec& pass : *passes) {
      CHECK(pass.backend() == "replay");
      CHECK(pass.repeat() == 1);
      paths.push_back(pass.options().at("recording"));
    }
    return paths;
  }

  fs::path directory;
};

using Paths = std::vector<std::string>;

TEST_CASE("each recording of a directory becomes a pass, in order of their names") {
  const Scratch scratch;
  Bundle bundle;
  CHECK(*scratch.Add("gemm", bundle) == Paths{"recordings/gemm/a.rec", "recordings/gemm/b.rec"});
  CHECK(bundle.Has("recordings/gemm/a.rec"));
  CHECK(bundle.files().size() == 2);
  CHECK(*scratch.Add("other", bundle) == Paths{"recordings/other/a.rec"});
}

TEST_CASE("one recording may be named, with or without its ending") {
  const Scratch scratch;
  Bundle bundle;
  CHECK(*scratch.Add("gemm/b", bundle) == Paths{"recordings/gemm/b.rec"});
  CHECK(*scratch.Add("gemm/b.rec", bundle) == Paths{"recordings/gemm/b.rec"});
}

TEST_CASE("fewer passes than recordings play the first, more are refused") {
  const Scratch scratch;
  Bundle bundle;
  CHECK(*scratch.Add("gemm*1", bundle) == Paths{"recordings/gemm/a.rec"});
  const auto more = scratch.Add("gemm*3", bundle);
  CHECK(more.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(absl::StrContains(more.status().message(), "3 passes are asked for"));
  CHECK(absl::StrContains(more.status().message(), "2 recordings"));
}

TEST_CASE("what holds no recording is said") {
  const Scratch scratch;
  Bundle bundle;
  CHECK(absl::StrContains(scratch.Add("empty", bundle).status().message(), "holds no recording"));
  CHECK(absl::StrContains(scratch.Add("none", bundle).status().message(),
                          "neither a recording nor a directory"));
}

}  // namespace
}  // namespace sextant::cli
