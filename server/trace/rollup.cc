#include "server/trace/rollup.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::trace {
namespace {

constexpr uint32_t kUnknown = UINT32_MAX;

}  // namespace

void Totals::Merge(const Totals& other) {
  count += other.count;
  sum = sum + other.sum < sum ? UINT64_MAX : sum + other.sum;
  min = std::min(min, other.min);
  max = std::max(max, other.max);
}

absl::StatusOr<uint32_t> Rollup::SeriesOf(std::string_view role, std::string_view region) {
  auto [it, added] = index_.try_emplace({std::string(role), std::string(region)},
                                        static_cast<uint32_t>(series_.size()));
  if (!added) return it->second;
  if (series_.size() == kMaxSeries) {
    index_.erase(it);
    return absl::ResourceExhaustedError(
        absl::StrCat("rollup: more than ", kMaxSeries, " pairs of role and region; name fewer"));
  }
  Series& series = series_.emplace_back();
  series.role = role;
  series.region = region;
  return it->second;
}

Sketch& Rollup::CellOf(Series& series, uint32_t bucket) {
  if (bucket >= series.cells.size()) series.cells.resize(bucket + 1);
  uint32_t& at = series.cells[bucket];
  if (at == 0) {
    cells_.emplace_back();
    at = static_cast<uint32_t>(cells_.size());
  }
  return cells_[at - 1];
}

void Rollup::Coarsen() {
  const uint64_t first = first_bucket_ >> 1;
  for (Series& series : series_) {
    std::vector<uint32_t> wider;
    for (uint32_t b = 0; b < series.cells.size(); ++b) {
      const uint32_t from = series.cells[b];
      if (from == 0) continue;
      const size_t to = ((first_bucket_ + b) >> 1) - first;
      if (to >= wider.size()) wider.resize(to + 1);
      if (wider[to] == 0) {
        wider[to] = from;
      } else {
        cells_[wider[to] - 1].Merge(cells_[from - 1]);
        cells_[from - 1] = Sketch();
      }
    }
    series.cells = std::move(wider);
  }
  buckets_ = buckets_ == 0 ? 0 : static_cast<uint32_t>(((first_bucket_ + buckets_ - 1) >> 1) - first + 1);
  first_bucket_ = first;
  ++shift_;

  // Close the gaps that merging left.
  std::vector<Sketch> kept;
  bins_ = 0;
  for (Series& series : series_) {
    bins_ += series.all.bins();
    for (uint32_t& at : series.cells) {
      if (at == 0) continue;
      bins_ += cells_[at - 1].bins();
      kept.push_back(std::move(cells_[at - 1]));
      at = static_cast<uint32_t>(kept.size());
    }
  }
  cells_ = std::move(kept);
}

absl::Status Rollup::Cover(uint64_t first_ns, uint64_t last_ns) {
  for (;;) {
    uint64_t first = first_ns >> shift_, last = last_ns >> shift_;
    if (buckets_ > 0) {
      first = std::min(first, first_bucket_);
      last = std::max(last, first_bucket_ + buckets_ - 1);
    }
    if (last - first >= kMaxBuckets) {
      Coarsen();
      continue;
    }
    if (buckets_ > 0 && first < first_bucket_) {
      for (Series& series : series_) {
        if (!series.cells.empty()) {
          series.cells.insert(series.cells.begin(), first_bucket_ - first, 0);
        }
      }
    }
    first_bucket_ = first;
    buckets_ = static_cast<uint32_t>(last - first + 1);
    return KeepWithinMemory();
  }
}

absl::Status Rollup::KeepWithinMemory() {
  while ((bins_ > kMaxBins || series_.size() * buckets_ > kMaxCells) && buckets_ > 1) Coarsen();
  if (bins_ > kMaxBins) {
    return absl::ResourceExhaustedError(
        absl::StrCat("rollup: the durations of ", series_.size(),
                     " pairs of role and region spread too far; name fewer"));
  }
  return absl::OkStatus();
}

absl::Status Rollup::Add(const chunk::Decoded& chunk) {
  const v1::ChunkHeader& h = chunk.header;
  const double scale = h.ns_per_unit();
  if (unit_ == v1::TIME_UNIT_UNSPECIFIED) {
    unit_ = h.unit();
    min_ns_per_unit_ = max_ns_per_unit_ = scale;
    kernel_ = h.kernel();
  }
  if (h.unit() != unit_) {
    return absl::InvalidArgumentError("rollup: header.unit differs from that of earlier chunks");
  }
  min_ns_per_unit_ = std::min(min_ns_per_unit_, scale);
  max_ns_per_unit_ = std::max(max_ns_per_unit_, scale);
  events_ += h.events();
  dropped_ += h.dropped();
  if (h.events() == 0) return absl::OkStatus();

  uint64_t last_start_ns = h.first_ns();
  for (const chunk::TrackSlice& slice : chunk.tracks) {
    if (slice.count == 0) continue;
    const uint64_t start = chunk.start[slice.begin + slice.count - 1];
    last_start_ns = std::max(last_start_ns, chunk::PlaceNs(slice.track.origin_ns, start, scale));
  }
  const size_t regions = h.regions_size();
  // (role, region) of this chunk → series; filled as they appear. Roles that occur are few.
  std::vector<std::vector<uint32_t>> known(h.roles_size());
  RETURN_IF_ERROR(Cover(h.first_ns(), last_start_ns));
  for (const chunk::TrackSlice& slice : chunk.tracks) {
    if (slice.count == 0) continue;
    std::vector<uint32_t>& of_role = known[slice.track.role];
    if (of_role.empty()) of_role.assign(regions, kUnknown);
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      uint32_t& id = of_role[chunk.region[i]];
      if (id == kUnknown) {
        ASSIGN_OR_RETURN(
            id, SeriesOf(h.roles(static_cast<int>(slice.track.role)),
                         h.regions(static_cast<int>(chunk.region[i]))));
        RETURN_IF_ERROR(KeepWithinMemory());
      }
      Series& series = series_[id];
      const uint64_t ns = chunk::PlaceNs(slice.track.origin_ns, chunk.start[i], scale);
      const uint32_t bucket = static_cast<uint32_t>((ns >> shift_) - first_bucket_);
      series.totals.Add(chunk.duration[i]);
      if (const size_t more = CellOf(series, bucket).Add(chunk.duration[i]); more > 0) {
        bins_ += more;
        if (bins_ > kMaxBins) RETURN_IF_ERROR(KeepWithinMemory());
      }
    }
  }
  return absl::OkStatus();
}

void Rollup::SumUp() {
  for (Series& series : series_) {
    bins_ -= series.all.bins();
    series.all = Sketch();
    for (uint32_t at : series.cells) {
      if (at != 0) bins_ += series.all.Merge(cells_[at - 1]);
    }
  }
  std::sort(series_.begin(), series_.end(), [](const Series& a, const Series& b) {
    return std::tie(a.role, a.region) < std::tie(b.role, b.region);
  });
  for (uint32_t i = 0; i < series_.size(); ++i) index_[{series_[i].role, series_[i].region}] = i;
}

absl::Status Rollup::Merge(const Rollup& other) {
  if (other.unit_ == v1::TIME_UNIT_UNSPECIFIED) return absl::OkStatus();
  if (unit_ == v1::TIME_UNIT_UNSPECIFIED) {
    unit_ = other.unit_;
    min_ns_per_unit_ = other.min_ns_per_unit_;
    max_ns_per_unit_ = other.max_ns_per_unit_;
    kernel_ = other.kernel_;
  }
  if (unit_ != other.unit_) {
    return absl::FailedPreconditionError(
        "rollup: durations in nanoseconds and in cycles are never merged; ask for one backend");
  }
  min_ns_per_unit_ = std::min(min_ns_per_unit_, other.min_ns_per_unit_);
  max_ns_per_unit_ = std::max(max_ns_per_unit_, other.max_ns_per_unit_);
  coarse_ |= other.coarse_;
  events_ += other.events_;
  dropped_ += other.dropped_;
  if (other.buckets_ == 0) return absl::OkStatus();

  while (shift_ < other.shift_) Coarsen();
  for (const Series& theirs : other.series_) {
    RETURN_IF_ERROR(SeriesOf(theirs.role, theirs.region).status());
  }
  RETURN_IF_ERROR(Cover(other.first_bucket_ << other.shift_,
                        (other.first_bucket_ + other.buckets_ - 1) << other.shift_));
  for (const Series& theirs : other.series_) {
    ASSIGN_OR_RETURN(const uint32_t id, SeriesOf(theirs.role, theirs.region));
    Series& ours = series_[id];
    ours.totals.Merge(theirs.totals);
    bins_ += ours.all.Merge(theirs.all);
    for (uint32_t b = 0; b < theirs.cells.size(); ++b) {
      if (theirs.cells[b] == 0) continue;
      const uint64_t at = (other.first_bucket_ + b) >> (shift_ - other.shift_);
      Sketch& cell = CellOf(ours, static_cast<uint32_t>(at - first_bucket_));
      bins_ += cell.Merge(other.cells_[theirs.cells[b] - 1]);
      if (bins_ > kMaxBins) RETURN_IF_ERROR(KeepWithinMemory());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Rollup::MergePass(int64_t pass_id, const Rollup& pass) {
  const auto at = std::lower_bound(passes_.begin(), passes_.end(), pass_id);
  if (at != passes_.end() && *at == pass_id) return false;
  const auto position = at - passes_.begin();
  RETURN_IF_ERROR(Merge(pass));
  passes_.insert(passes_.begin() + position, pass_id);
  return true;
}

absl::Status Rollup::MergePasses(const Rollup& passes) {
  std::vector<int64_t> all;
  std::set_union(passes_.begin(), passes_.end(), passes.passes_.begin(), passes.passes_.end(),
                 std::back_inserter(all));
  if (all.size() != passes_.size() + passes.passes_.size()) {
    return absl::AlreadyExistsError("rollup: some of the passes are in it already");
  }
  RETURN_IF_ERROR(Merge(passes));
  passes_ = std::move(all);
  return absl::OkStatus();
}

}  // namespace sextant::trace
