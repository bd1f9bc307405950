// What the instrument `sassmetrics` left, turned into a table and counters. Pure; every byte is taken
// for hostile.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "workers/backends/backend.h"
#include "workers/backends/profiling/frames.h"

namespace sextant::backends::sassmetrics {

class Importer {
 public:
  explicit Importer(const std::string& kernels);

  void Take(const injected::Process& from, uint32_t process, uint32_t type,
            std::string_view payload);

  // Call once, last. False: no instruction of a kernel that matches was counted.
  bool Finish(Collected* collected);

  absl::Status ProblemStatus() const { return common_.ProblemStatus(); }

 private:
  struct Counts {
    uint64_t executed = 0;  // by warps
    uint64_t threads = 0;
    uint64_t predicated_on = 0;
  };
  // What a kernel did in all.
  struct Mix {
    Counts counts;
    std::map<std::string, uint64_t> executed_by_class;
  };

  void TakeInstructions(const injected::Process& from, uint32_t process, std::string_view payload);

  profiling::CommonFrames common_;
  profiling::KernelNames names_;
  std::map<std::pair<int64_t, profiling::CodeKey>, Counts> counts_;  // by launch and instruction
  uint64_t over_limit_ = 0;
};

}  // namespace sextant::backends::sassmetrics
