#include "server/analysis/sample_cache.h"

#include <algorithm>
#include <deque>
#include <map>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::analysis {
namespace {

// A sample with what it borrows.
struct Kept {
  std::deque<v1::PassInfo> passes;
  std::deque<Kernels> kernels;
  TraceSample sample;
};

std::string KeyOf(absl::Span<const PassToRead> passes, const ReadSampleOptions& options) {
  std::string key = absl::StrCat(options.max_instances, ",", options.max_ctas, ",", options.kernel.size(), ":",
                                 options.kernel);
  for (const PassToRead& pass : passes) {
    absl::StrAppend(&key, "|", pass.info->pass_id(), ":", pass.info->result().trace_digest());
    if (pass.kernels == nullptr) continue;
    for (const auto& [launch, kernel] : std::map<uint32_t, std::string>(pass.kernels->begin(), pass.kernels->end()))
      absl::StrAppend(&key, ";", launch, "=", kernel);
  }
  return key;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TraceSample>> SampleCache::Read(TraceSource source,
                                                                     absl::Span<const PassToRead> passes,
                                                                     const ReadSampleOptions& options) {
  const std::string key = KeyOf(passes, options);
  {
    absl::MutexLock lock(&mutex_);
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return entry.key == key; });
    if (found != entries_.end()) {
      std::rotate(found, found + 1, entries_.end());
      return entries_.back().sample;
    }
  }
  auto kept = std::make_shared<Kept>();
  std::vector<PassToRead> own;
  for (const PassToRead& pass : passes) {
    kept->passes.push_back(*pass.info);
    if (pass.kernels != nullptr) kept->kernels.push_back(*pass.kernels);
    own.push_back({&kept->passes.back(), pass.kernels == nullptr ? nullptr : &kept->kernels.back()});
  }
  ASSIGN_OR_RETURN(kept->sample, ReadSample(source, own, options));
  std::shared_ptr<const TraceSample> sample(kept, &kept->sample);
  absl::MutexLock lock(&mutex_);
  if (entries_.size() >= kSamples) entries_.erase(entries_.begin());
  entries_.push_back({key, sample});
  return sample;
}

}  // namespace sextant::analysis
