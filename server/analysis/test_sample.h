// Samples of the passes of a TestJob.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "server/analysis/pass_traits.h"
#include "server/analysis/sample_cache.h"
#include "server/analysis/test_job.h"

namespace sextant::analysis {

// `max_instances` over all passes.
inline SampleReader TestSamples(uint64_t max_instances = 2 << 20) {
  return [max_instances](const Evidence& evidence, const PassList& passes)
             -> absl::StatusOr<std::shared_ptr<const TraceSample>> {
    std::vector<PassToRead> wanted;
    for (const v1::PassInfo* pass : passes) wanted.push_back({pass, nullptr});
    auto sample = ReadSample(
        [&](const v1::PassInfo& pass, absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) {
          return evidence.ReadTrace(pass, {}, use);
        },
        wanted, {.max_instances = max_instances});
    if (!sample.ok()) return sample.status();
    return std::make_shared<const TraceSample>(*std::move(sample));
  };
}

}  // namespace sextant::analysis
