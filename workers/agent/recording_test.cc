#include "workers/agent/recording.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zstd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "tests/catch.h"
#include "workers/agent/files.h"

namespace sextant::agent {
namespace {
namespace fs = std::filesystem;

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/sextant-recording-XXXXXX";
    path = mkdtemp(name);
    fs::create_directories(path / "pass/results");
    fs::create_directories(path / "played/results");
  }
  ~Directory() { RemoveTree(path).IgnoreError(); }

  void Write(const std::string& file, const std::string& text) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file, std::ios::binary) << text;
  }
  std::string Read(const std::string& file) const {
    std::ifstream in(path / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  absl::StatusOr<v1::Recording> Unpack(const std::string& file,
                                       uint64_t max_bytes = 1 << 30) const {
    fs::remove_all(path / "played");
    fs::create_directories(path / "played/results");
    const Fd fd(open((path / file).c_str(), O_RDONLY | O_CLOEXEC));
    return UnpackRecordingUntrusted(fd.get(), path / "played", max_bytes);
  }

  fs::path path;
};

v1::Recording Recorded() {
  v1::Recording recording;
  v1::Assignment& assignment = *recording.mutable_assignment();
  assignment.mutable_spec()->set_backend("activity");
  assignment.mutable_workload()->add_argv("program");
  assignment.mutable_workload()->set_kernels("mm.*");
  assignment.mutable_workload()->set_stdin_text("private");
  (*assignment.mutable_workload()->mutable_env())["TOKEN"] = "private";
  assignment.mutable_workload()->add_files()->set_path("private");
  recording.mutable_exit()->set_verdict(v1::EXITED);
  recording.mutable_provenance()->set_machine_class("gpu:H200");
  return recording;
}

// A file in the format, whatever it says.
std::string Forged(const v1::Recording& recording, const std::string& contents) {
  const std::string header = recording.SerializeAsString();
  std::string plain;
  for (int i = 0; i < 4; ++i) plain.push_back(static_cast<char>(header.size() >> (8 * i)));
  plain += header + contents;
  std::string frame(ZSTD_compressBound(plain.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), plain.data(), plain.size(), 1));
  return "sxrec 1\n" + frame;
}

v1::Recording Listing(const std::string& path, uint64_t size_bytes) {
  v1::Recording recording = Recorded();
  v1::RecordedFile& file = *recording.add_files();
  file.set_path(path);
  file.set_size_bytes(size_bytes);
  return recording;
}

TEST_CASE("what a pass left comes out of its recording byte for byte") {
  Directory directory;
  std::string large;
  for (uint64_t i = 0; i < 300'000; ++i) large += std::to_string(i * 7919 % 10007) + ",";
  directory.Write("pass/results/trace.bin", large);
  directory.Write("pass/results/ir/kernel.ptx", ".version");
  directory.Write("pass/results/empty", "");
  directory.Write("pass/stdout", "said\n");
  fs::create_symlink("/etc/passwd", directory.path / "pass/results/link");
  REQUIRE(mkfifo((directory.path / "pass/results/pipe").c_str(), 0600) == 0);
  const absl::Status written =
      WriteRecording(Recorded(), directory.path / "pass", directory.path / "a.rec");
  INFO(written.ToString());
  REQUIRE(written.ok());
  const auto played = directory.Unpack("a.rec");
  INFO(played.status().ToString());
  REQUIRE(played.ok());
  CHECK(directory.Read("played/results/trace.bin") == large);
  CHECK(directory.Read("played/results/ir/kernel.ptx") == ".version");
  CHECK(fs::file_size(directory.path / "played/results/empty") == 0);
  CHECK(directory.Read("played/stdout") == "said\n");
  CHECK_FALSE(fs::exists(directory.path / "played/results/link"));
  CHECK_FALSE(fs::exists(directory.path / "played/results/pipe"));
  CHECK(played->assignment().spec().backend() == "activity");
  CHECK(played->assignment().workload().kernels() == "mm.*");
  CHECK(played->provenance().machine_class() == "gpu:H200");
}

TEST_CASE("a recording tells nothing of environment, files and standard input") {
  Directory directory;
  REQUIRE(WriteRecording(Recorded(), directory.path / "pass", directory.path / "a.rec").ok());
  const auto played = directory.Unpack("a.rec");
  REQUIRE(played.ok());
  CHECK_FALSE(absl::StrContains(played->SerializeAsString(), "private"));
}

TEST_CASE("a recording cannot write outside the pass's directory") {
  Directory directory;
  for (const char* path :
       {"../escaped", "results/../../escaped", "/tmp/escaped", "results/", "work/x", "results//x",
        "results/./x", "results/..", "stdout/x", "", "results"}) {
    INFO(path);
    directory.Write("bad.rec", Forged(Listing(path, 1), "x"));
    const auto played = directory.Unpack("bad.rec");
    CHECK(played.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_FALSE(fs::exists(directory.path / "escaped"));
  }
}

TEST_CASE("a file that a recording lists twice is refused") {
  Directory directory;
  v1::Recording recording = Listing("results/x", 1);
  *recording.add_files() = recording.files(0);
  directory.Write("bad.rec", Forged(recording, "xy"));
  CHECK_FALSE(directory.Unpack("bad.rec").ok());
}

TEST_CASE("a recording that unpacks to more than it may is refused before anything is written") {
  Directory directory;
  directory.Write("big.rec", Forged(Listing("results/x", 1001), std::string(1001, 'x')));
  const auto played = directory.Unpack("big.rec", 1000);
  CHECK(played.status().code() == absl::StatusCode::kOutOfRange);
  CHECK(absl::StrContains(played.status().message(), "limits.disk_bytes"));
  CHECK(fs::is_empty(directory.path / "played/results"));
  CHECK(directory.Unpack("big.rec", 1001).ok());
  v1::Recording wraps = Listing("results/x", UINT64_MAX);
  *wraps.add_files() = Listing("results/y", 2).files(0);
  directory.Write("wraps.rec", Forged(wraps, ""));
  CHECK(directory.Unpack("wraps.rec").status().code() == absl::StatusCode::kOutOfRange);
}

TEST_CASE("a recording is cut off, damaged or followed by something: each is found") {
  Directory directory;
  directory.Write("pass/results/trace", "0123456789 0123456789");
  REQUIRE(WriteRecording(Recorded(), directory.path / "pass", directory.path / "a.rec").ok());
  const std::string whole = directory.Read("a.rec");
  for (size_t size = 0; size < whole.size(); ++size) {
    directory.Write("cut.rec", whole.substr(0, size));
    INFO(size);
    CHECK_FALSE(directory.Unpack("cut.rec").ok());
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x20);
    directory.Write("changed.rec", changed);
    const auto played = directory.Unpack("changed.rec");
    // A bit of the frame's header that changes nothing may pass; what comes out must be the same.
    if (played.ok()) CHECK(directory.Read("played/results/trace") == "0123456789 0123456789");
  }
  directory.Write("longer.rec", whole + "x");
  CHECK(directory.Unpack("longer.rec").status().code() == absl::StatusCode::kDataLoss);
  directory.Write("more.rec", Forged(Listing("results/x", 1), "xy"));
  CHECK(directory.Unpack("more.rec").status().code() == absl::StatusCode::kDataLoss);
  directory.Write("less.rec", Forged(Listing("results/x", 3), "xy"));
  CHECK(directory.Unpack("less.rec").status().code() == absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace sextant::agent
