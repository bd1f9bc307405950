// What the instrument `counters` left, turned into a table and counters. Pure: frames in, messages
// out. Every byte is taken for hostile.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sextant/v1/types.pb.h"
#include "workers/backends/backend.h"
#include "workers/backends/profiling/frames.h"

namespace sextant::backends::counters {

class Importer {
 public:
  explicit Importer(const std::string& kernels);

  void Take(const injected::Process& from, uint32_t process, uint32_t type,
            std::string_view payload);

  // Call once, last. False: no launch was counted.
  bool Finish(Collected* collected);

  // The error that the program's process told of; OK without one.
  absl::Status ProblemStatus() const { return common_.ProblemStatus(); }

 private:
  struct Value {
    std::string unit;
    double sum = 0, max = 0, min = 0;
    uint64_t launches = 0;
    uint64_t unreadable = 0;
  };
  struct Row {
    int64_t launch;
    uint32_t kernel;  // index into kernels_
    uint32_t metric;  // index into metrics_
    double value;
  };

  // What the table `launches` says of one; only of launches whose time was counted.
  struct Launch {
    int64_t launch;
    uint32_t process;
    uint32_t kernel;  // index into kernels_
    std::string mangled;
    uint32_t grid[3], block[3];
    double duration_ns;
  };

  void TakeLaunch(const injected::Process& from, uint32_t process, std::string_view payload);
  uint32_t KernelOf(const injected::Process& from, const inject::LaunchRecord& record);
  uint32_t MetricOf(const profiling::Metric& metric);
  void AddNotes(Collected* collected) const;
  v1::DataTable LaunchTable() const;

  profiling::CommonFrames common_;
  profiling::KernelNames names_;
  std::vector<std::string> kernels_;
  std::map<std::string, uint32_t> kernel_index_;
  std::vector<std::pair<std::string, std::string>> metrics_;  // name, unit
  std::map<std::string, uint32_t> metric_index_;
  std::vector<Row> rows_;
  std::vector<Launch> timed_;
  std::map<std::pair<uint32_t, uint32_t>, Value> sums_;  // by kernel, metric
  std::vector<uint64_t> kernel_launches_;
  uint64_t launches_ = 0;
  uint64_t call_ns_ = 0;
  uint64_t malformed_ = 0;
  uint64_t over_limit_ = 0;
};

}  // namespace sextant::backends::counters
