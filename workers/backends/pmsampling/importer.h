// What the instrument `pmsampling` left, turned into a table and counters. Pure; every byte is taken
// for hostile.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "workers/backends/backend.h"
#include "workers/backends/profiling/frames.h"

namespace sextant::backends::pmsampling {

class Importer {
 public:
  // Times of the table are ns since `began_ns` of CLOCK_MONOTONIC.
  explicit Importer(uint64_t began_ns);

  void Take(const injected::Process& from, uint32_t process, uint32_t type,
            std::string_view payload);

  // Call once, last. False: no sample was taken.
  bool Finish(Collected* collected);

  absl::Status ProblemStatus() const { return common_.ProblemStatus(); }

 private:
  struct Row {
    uint64_t start_ns, end_ns;
    uint32_t metric;  // index into metrics_
    double value;
  };
  struct Mean {
    double sum = 0;
    uint64_t samples = 0;
  };

  void TakeSamples(uint32_t process, std::string_view payload);
  uint32_t MetricOf(const profiling::Metric& metric);

  profiling::CommonFrames common_;
  const uint64_t began_ns_;
  std::vector<std::pair<std::string, std::string>> metrics_;  // name, unit
  std::map<std::string, uint32_t> metric_index_;
  std::vector<Row> rows_;
  uint64_t samples_ = 0;
  uint64_t gaps_ = 0;       // places where samples are missing
  uint64_t unreadable_ = 0;
  uint64_t backwards_ = 0;  // samples that end before they begin
  uint64_t malformed_ = 0;
  uint64_t over_limit_ = 0;
};

}  // namespace sextant::backends::pmsampling
