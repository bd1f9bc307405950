#include "server/trace/rollup_view.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::trace {
namespace {

bool Holds(const std::vector<std::string>& names, const std::string& name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

bool Selects(const Selection& selection, const Series& series) {
  return Holds(selection.regions, series.region) && Holds(selection.roles, series.role);
}

}  // namespace

absl::Status CheckQuantiles(absl::Span<const double> quantiles) {
  for (size_t i = 0; i < quantiles.size(); ++i) {
    if (!(quantiles[i] >= 0 && quantiles[i] <= 1) || (i > 0 && quantiles[i] < quantiles[i - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("quantiles[", i, "] is ", quantiles[i], "; they must ascend within 0 and 1"));
    }
  }
  return absl::OkStatus();
}

std::vector<RegionStat> RegionStats(const Rollup& rollup, absl::Span<const double> quantiles,
                                    const Selection& selection) {
  std::vector<RegionStat> stats;
  for (const Series& series : rollup.series()) {
    if (!Selects(selection, series)) continue;
    RegionStat& stat = stats.emplace_back();
    stat.role = series.role;
    stat.region = series.region;
    stat.totals = series.totals;
    stat.quantiles.resize(quantiles.size());
    series.all.Quantiles(quantiles, stat.quantiles.data());
    // What is known exactly bounds what is estimated.
    const double min = static_cast<double>(series.totals.min);
    const double max = static_cast<double>(series.totals.max);
    for (size_t q = 0; q < quantiles.size(); ++q) {
      double& value = stat.quantiles[q];
      value = quantiles[q] == 0 ? min : quantiles[q] == 1 ? max : std::clamp(value, min, max);
    }
  }
  std::sort(stats.begin(), stats.end(), [](const RegionStat& a, const RegionStat& b) {
    return std::tie(a.role, a.region) < std::tie(b.role, b.region);
  });
  return stats;
}

absl::StatusOr<BucketView> Buckets(const Rollup& rollup, const BucketRequest& request) {
  RETURN_IF_ERROR(CheckQuantiles(request.quantiles));
  if (request.buckets == 0) return absl::InvalidArgumentError("buckets is 0; ask for one at least");
  if (request.to_ns != 0 && request.to_ns <= request.from_ns) {
    return absl::InvalidArgumentError(
        absl::StrCat("to_ns is ", request.to_ns, ", from_ns ", request.from_ns));
  }
  BucketView view;
  view.bucket_ns = rollup.bucket_ns();
  if (rollup.buckets() == 0) return view;

  // Absolute numbers of the rollup's buckets that are asked for.
  const uint64_t begin = std::max(rollup.first_bucket(), request.from_ns / rollup.bucket_ns());
  uint64_t end = rollup.first_bucket() + rollup.buckets();
  if (request.to_ns != 0) end = std::min(end, (request.to_ns - 1) / rollup.bucket_ns() + 1);
  if (begin >= end) return view;
  // Joined in powers of two, on absolute boundaries, as coarser rollups are.
  int join = 0;
  while (((end - 1) >> join) - (begin >> join) >= request.buckets) ++join;
  const uint64_t first = begin >> join;
  view.buckets = static_cast<uint32_t>(((end - 1) >> join) - first + 1);
  view.bucket_ns = rollup.bucket_ns() << join;
  view.first_bucket_ns = first * view.bucket_ns;

  std::map<std::string, std::vector<const Series*>> by_region;
  for (const Series& series : rollup.series()) {
    if (Selects(request.selection, series)) by_region[series.region].push_back(&series);
  }
  const size_t width = request.quantiles.size();
  for (const auto& [region, roles] : by_region) {
    RegionBuckets& out = view.regions.emplace_back();
    out.region = region;
    out.counts.resize(view.buckets);
    out.quantiles.assign(view.buckets * width, std::numeric_limits<double>::quiet_NaN());
    for (uint32_t b = 0; b < view.buckets; ++b) {
      const Sketch* only = nullptr;   // the one cell of this bucket, or null
      Sketch joined;                  // their sum, when there are several
      const uint64_t from = std::max(begin, (first + b) << join);
      const uint64_t to = std::min(end, (first + b + 1) << join);
      for (const Series* series : roles) {
        for (uint64_t at = from; at < to; ++at) {
          const Sketch* cell =
              rollup.cell(*series, static_cast<uint32_t>(at - rollup.first_bucket()));
          if (cell == nullptr) continue;
          if (only != nullptr && joined.bins() == 0) joined.Merge(*only);
          if (only != nullptr) joined.Merge(*cell);
          only = cell;
        }
      }
      if (only == nullptr) continue;
      const Sketch& sketch = joined.bins() == 0 ? *only : joined;
      out.counts[b] = sketch.count();
      sketch.Quantiles(request.quantiles, out.quantiles.data() + b * width);
    }
  }
  return view;
}

}  // namespace sextant::trace
