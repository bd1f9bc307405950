// What the instruments on CUPTI's profiling APIs have in common in their results files
// (workers/inject/profiler_format.h). Every byte is taken for hostile.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "workers/backends/backend.h"
#include "workers/backends/injected/reader.h"
#include "workers/inject/kernels.h"
#include "workers/inject/profiler_format.h"

namespace sextant::backends::profiling {

struct Metric {
  std::string name;
  std::string dimension;  // CUPTI's unit of the base metric
};

struct Plan {
  std::string chip;
  inject::PlanRecord record = {};
};

// An instruction that counts or samples refer to.
struct Code {
  std::string sass_digest;  // hex; "" where not known
  std::string_view opcode;  // static storage
  std::string file;         // path; "" without line information
  int64_t line = 0;
};

// Where an instruction is: process (index), CRC of the cubin, mangled kernel, pc.
using CodeKey = std::tuple<uint32_t, uint64_t, std::string, uint64_t>;

inline constexpr size_t kMaxMetrics = 4096;
inline constexpr size_t kMaxCode = 4'000'000;

// Takes the frames that are alike in all four ranges. One for a pass.
class CommonFrames {
 public:
  explicit CommonFrames(uint32_t range) : range_(range) {}

  // True where the frame was one of these. `process` is the index of the process.
  bool Take(const injected::Process& from, uint32_t process, uint32_t type,
            std::string_view payload);

  // The metrics of a process, by index; an index that was not announced is absent.
  const std::map<uint32_t, Metric>& MetricsOf(uint32_t process) const;
  const std::vector<Plan>& plans() const { return plans_; }
  const Code* Find(const CodeKey& key) const;

  // The error of the first problem that a process told of; OK without one.
  absl::Status ProblemStatus() const { return problem_; }

 private:
  void TakeCode(const injected::Process& from, uint32_t process, std::string_view payload);

  const uint32_t range_;
  std::map<uint32_t, std::map<uint32_t, Metric>> metrics_;  // by process
  std::vector<Plan> plans_;
  std::map<CodeKey, Code> code_;
  absl::Status problem_;
};

// Reads all files of `instrument`: `take(process, index, type, payload)` for each frame. Notes say what
// was left out.
struct ReadFiles {
  std::vector<injected::Process> processes;
  std::vector<std::string> notes;
};
using IndexedSink = std::function<void(const injected::Process& process, uint32_t index,
                                       uint32_t type, std::string_view payload)>;
absl::StatusOr<ReadFiles> ReadAll(const RunRecord& run, const std::string& instrument,
                                  const IndexedSink& take);

// Demangled names, and whether they are those that workload.kernels asks for.
class KernelNames {
 public:
  explicit KernelNames(const std::string& kernels);
  const std::string& Demangled(const std::string& mangled);
  bool Matches(const std::string& mangled);

 private:
  struct Known {
    std::string demangled;
    bool matches;
  };
  const Known& Find(const std::string& mangled);

  std::unique_ptr<inject::Kernels> filter_;
  std::map<std::string, Known> known_;
};

// "1.5 ms", "340 µs": a time for a sentence.
std::string TimeText(uint64_t ns);

}  // namespace sextant::backends::profiling
