// The last samples read, so that the sections of a report, and questions one after the other, scan the
// traces once.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

// A sample that borrows nothing from its readers: it brings the passes it was made of. Several readers
// use one at the same time, and the cache may forget it meanwhile: hence shared.
//
// Thread-safe. Owns at most kSamples samples of at most ReadSampleOptions::max_instances instances each
// (24 B); the one not used longest is forgotten first. Traces never change, so nothing in it grows old.
class SampleCache {
 public:
  static constexpr size_t kSamples = 2;

  // As ReadSample. SampledPass::info and kernels stay valid as long as the sample.
  absl::StatusOr<std::shared_ptr<const TraceSample>> Read(TraceSource source,
                                                          absl::Span<const PassToRead> passes,
                                                          const ReadSampleOptions& options);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const TraceSample> sample;
  };

  absl::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);   // used last: last
};

class Evidence;

// Reads a sample of passes of one task, all kernels, for an analysis.
using SampleReader = std::function<absl::StatusOr<std::shared_ptr<const TraceSample>>(
    const Evidence& evidence, const std::vector<const v1::PassInfo*>& passes)>;

}  // namespace sextant::analysis
