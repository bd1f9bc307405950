// The bucketed view of a part of the time, from the instances themselves.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/sextant.pb.h"
#include "server/trace/sketch.h"

namespace sextant::analysis {

// An instance belongs to the bucket in which it starts, as in the rollups. One thread.
class Rebucket {
 public:
  static constexpr size_t kMaxBins = 16 << 20;   // 8 bytes each, over all sketches

  struct Options {
    uint64_t from_ns = 0;
    uint64_t bucket_ns = 1;
    uint32_t buckets = 0;
    absl::flat_hash_set<std::string> regions;   // empty: all
    absl::flat_hash_set<std::string> roles;
  };
  explicit Rebucket(Options options) : options_(std::move(options)) {}

  // RESOURCE_EXHAUSTED: too much to keep; ask for fewer regions or buckets.
  absl::Status Add(const chunk::Decoded& chunk);
  // By region; durations in ns within trace::kRelativeError.
  std::vector<v1::BucketSeries> Finish(absl::Span<const double> quantiles) const;

 private:
  const Options options_;
  std::map<std::string, std::map<uint32_t, trace::Sketch>> cells_;   // region, bucket
  double ns_per_unit_ = 1;
  size_t bins_ = 0;
};

}  // namespace sextant::analysis
