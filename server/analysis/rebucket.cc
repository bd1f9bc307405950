#include "server/analysis/rebucket.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace sextant::analysis {

absl::Status Rebucket::Add(const chunk::Decoded& chunk) {
  const v1::ChunkHeader& header = chunk.header;
  ns_per_unit_ = header.unit() == v1::CYCLES ? header.ns_per_unit() : 1.0;
  std::vector<std::map<uint32_t, trace::Sketch>*> of_region(header.regions_size(), nullptr);
  for (int i = 0; i < header.regions_size(); ++i)
    if (options_.regions.empty() || options_.regions.contains(header.regions(i)))
      of_region[i] = &cells_[header.regions(i)];
  for (const chunk::TrackSlice& slice : chunk.tracks) {
    if (!options_.roles.empty() && !options_.roles.contains(header.roles(slice.track.role)))
      continue;
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      auto* const cells = of_region[chunk.region[i]];
      const uint64_t ns = chunk::PlaceNs(slice.track.origin_ns, chunk.start[i], ns_per_unit_);
      if (cells == nullptr || ns < options_.from_ns) continue;
      const uint64_t bucket = (ns - options_.from_ns) / options_.bucket_ns;
      if (bucket >= options_.buckets) continue;
      bins_ += (*cells)[bucket].Add(chunk.duration[i]);
    }
    if (bins_ > kMaxBins)
      return absl::ResourceExhaustedError(
          absl::StrCat("buckets: more than ", kMaxBins,
                       " histogram bins; ask for fewer buckets, or name regions"));
  }
  return absl::OkStatus();
}

std::vector<v1::BucketSeries> Rebucket::Finish(absl::Span<const double> quantiles) const {
  std::vector<v1::BucketSeries> result;
  std::vector<double> values(quantiles.size());
  for (const auto& [region, cells] : cells_) {
    if (cells.empty()) continue;
    v1::BucketSeries& out = result.emplace_back();
    out.set_region(region);
    for (uint32_t bucket = 0; bucket < options_.buckets; ++bucket) {
      const auto cell = cells.find(bucket);
      values.assign(quantiles.size(), std::numeric_limits<double>::quiet_NaN());
      if (cell != cells.end()) cell->second.Quantiles(quantiles, values.data());
      out.add_counts(cell == cells.end() ? 0 : cell->second.count());
      for (double value : values) out.add_duration_ns(value * ns_per_unit_);
    }
  }
  return result;
}

}  // namespace sextant::analysis
