// Questions to a rollup. Values are in the rollup's unit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/trace/rollup.h"

namespace sextant::trace {

// Which series a question is about; empty: all.
struct Selection {
  std::vector<std::string> regions = {};
  std::vector<std::string> roles = {};
};

// One (role, region).
struct RegionStat {
  std::string role;
  std::string region;
  Totals totals;                    // exact
  std::vector<double> quantiles;    // of the duration, within kRelativeError; 0 and 1 exact
};

// Sorted by role, then region. `quantiles` ascend within [0, 1].
std::vector<RegionStat> RegionStats(const Rollup& rollup, absl::Span<const double> quantiles,
                                    const Selection& selection = {});

struct BucketRequest {
  uint32_t buckets = kMaxBuckets;   // at most; neighbours are joined until they fit
  uint64_t from_ns = 0;
  uint64_t to_ns = 0;               // 0: to the end
  std::vector<double> quantiles = {0.2, 0.5, 0.8};
  Selection selection = {};
};

// One region, its roles together.
struct RegionBuckets {
  std::string region;
  std::vector<uint64_t> counts;     // [buckets]
  std::vector<double> quantiles;    // [buckets × quantiles], row-major; NaN: empty
};

struct BucketView {
  uint64_t bucket_ns = 0;
  uint64_t first_bucket_ns = 0;     // where the first bucket begins, ns since the pass began
  uint32_t buckets = 0;
  std::vector<RegionBuckets> regions;   // by name; those that occur in the rollup
};

// INVALID_ARGUMENT: quantiles out of order or of [0, 1], no bucket, times the wrong way round.
absl::StatusOr<BucketView> Buckets(const Rollup& rollup, const BucketRequest& request);

// Ascending within [0, 1]; INVALID_ARGUMENT names the one that is not.
absl::Status CheckQuantiles(absl::Span<const double> quantiles);

}  // namespace sextant::trace
