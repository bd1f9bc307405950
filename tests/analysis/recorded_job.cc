#include "tests/analysis/recorded_job.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "workers/agent/recording.h"
#include "workers/backends/backend.h"

namespace sextant::analysis {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxBytes = 1u << 30;

// A directory of its own, gone afterwards.
class Scratch {
 public:
  Scratch() : path_((fs::temp_directory_path() / "sextant-recorded-XXXXXX").string()) {
    REQUIRE(mkdtemp(path_.data()) != nullptr);
    fs::create_directory(path() / "results");
    fs::create_directory(path() / "work");
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

std::string Slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Play(const fs::path& path, const std::vector<std::unique_ptr<backends::Backend>>& all, TestJob* job,
          const std::set<std::string>& only) {
  INFO(path.string());
  const Scratch scratch;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  const auto recording = agent::UnpackRecordingUntrusted(fd, scratch.path(), kMaxBytes);
  close(fd);
  INFO(recording.status().ToString());
  REQUIRE(recording.ok());
  const v1::PassSpec& spec = recording->assignment().spec();
  if (!only.empty() && !only.contains(spec.backend())) return;
  const auto backend = std::find_if(all.begin(), all.end(),
                                    [&](const auto& one) { return one->Name() == spec.backend(); });
  REQUIRE(backend != all.end());
  backends::RunRecord run;
  run.assignment = &recording->assignment();
  run.exit = recording->exit();
  run.results_dir = scratch.path() / "results";
  run.work_dir = scratch.path() / "work";
  run.started_unix_ns = recording->started_unix_ns();
  run.started_monotonic_ns = recording->started_monotonic_ns();
  run.recorded_clock_hz = recording->provenance().clock_hz();
  auto collected = (*backend)->Collect(run);
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());

  job->Pass(spec.backend(), {spec.options().begin(), spec.options().end()});
  v1::PassResult& result = *(*job)->mutable_result();
  *result.mutable_provenance() = recording->provenance();
  *result.mutable_exit() = recording->exit();
  result.set_dropped(collected->dropped);
  for (const std::string& note : collected->notes) result.add_notes(note);
  for (const v1::Counter& counter : collected->counters) *result.add_counters() = counter;
  for (v1::DataTable& table : collected->tables) job->Add(std::move(table));
  for (const auto& artifact : collected->artifacts)
    job->Artifact(artifact.name, artifact.kind, Slurp(artifact.path));
  for (const auto& artifact : collected->made) job->Artifact(artifact.name, artifact.kind, artifact.bytes);
  if (collected->chunks.empty()) return;
  std::vector<chunk::Decoded> chunks;
  for (const std::string& bytes : collected->chunks) {
    auto chunk = chunk::DecodeUntrusted(bytes);
    REQUIRE(chunk.ok());
    chunks.push_back(*std::move(chunk));
  }
  job->Trace(std::move(chunks));
}

}  // namespace

void AddRecordings(const std::string& directory, TestJob* job, const std::set<std::string>& only) {
  std::vector<fs::path> recordings;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".rec") recordings.push_back(entry.path());
  REQUIRE_FALSE(recordings.empty());
  std::sort(recordings.begin(), recordings.end());
  const auto all = backends::AllBackends({});
  for (const fs::path& recording : recordings) Play(recording, all, job, only);
}

void AddSources(const std::string& directory, TestJob* job) {
  bool any = false;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() != ".py") continue;
    job->File(entry.path().filename().string(), Slurp(entry.path()));
    any = true;
  }
  REQUIRE(any);
}

}  // namespace sextant::analysis
