// What the instrument `pcsampling` left, turned into a table and counters. Pure; every byte is taken
// for hostile.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "workers/backends/backend.h"
#include "workers/backends/profiling/frames.h"

namespace sextant::backends::pcsampling {

class Importer {
 public:
  explicit Importer(const std::string& kernels);

  void Take(const injected::Process& from, uint32_t process, uint32_t type,
            std::string_view payload);

  // Call once, last. False: there is no sample of a kernel that matches.
  bool Finish(Collected* collected);

  absl::Status ProblemStatus() const { return common_.ProblemStatus(); }
  uint64_t unmatched() const { return unmatched_; }  // samples of kernels that do not match

 private:
  struct Samples {
    uint64_t samples = 0;
    uint64_t not_issued = 0;
  };

  void TakePc(const injected::Process& from, uint32_t process, std::string_view payload);
  void AddNotes(Collected* collected) const;

  profiling::CommonFrames common_;
  profiling::KernelNames names_;
  // By instruction and stall reason.
  std::map<std::pair<profiling::CodeKey, std::string>, Samples> samples_;
  std::map<uint32_t, inject::PcTotals> totals_;  // by process; the last one is all
  uint64_t unmatched_ = 0;
  uint64_t malformed_ = 0;
  uint64_t over_limit_ = 0;
};

}  // namespace sextant::backends::pcsampling
