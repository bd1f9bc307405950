#include "server/analysis/exact.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace sextant::analysis {
namespace {

// Doubles that are not negative order as their bits do. 14 bits of the mantissa: durations of one
// bin differ by less than 1 in 16,384, so few distinct values are kept of any bin.
uint64_t BinOf(double value) { return std::bit_cast<uint64_t>(value) >> (52 - 14); }

// The ranks between which type 7 interpolates.
std::pair<uint64_t, uint64_t> RanksOf(double q, uint64_t count) {
  const uint64_t below = static_cast<uint64_t>(q * static_cast<double>(count - 1));
  return {std::min(below, count - 1), std::min(below + 1, count - 1)};
}

}  // namespace

template <typename Visit>
void ExactAggregates::ForEach(const chunk::Decoded& chunk, Visit visit) {
  const double scale = chunk.header.unit() == v1::CYCLES ? chunk.header.ns_per_unit() : 1.0;
  std::vector<Aggregate*> of_region(chunk.header.regions_size());
  for (const chunk::TrackSlice& slice : chunk.tracks) {
    const std::string role = slice.track.role < static_cast<uint32_t>(chunk.header.roles_size())
                                 ? chunk.header.roles(slice.track.role)
                                 : std::string();
    if (!roles_.empty() && !roles_.contains(role)) continue;
    std::fill(of_region.begin(), of_region.end(), nullptr);
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      Aggregate*& aggregate = of_region[chunk.region[i]];
      if (aggregate == nullptr) {
        const std::string& region = chunk.header.regions(chunk.region[i]);
        if (!regions_.empty() && !regions_.contains(region)) continue;
        aggregate = &aggregates_[{role, region}];
      }
      visit(aggregate, static_cast<double>(chunk.duration[i]) * scale);
    }
  }
}

void ExactAggregates::Count(const chunk::Decoded& chunk) {
  ForEach(chunk, [](Aggregate* aggregate, double ns) {
    if (aggregate->count++ == 0) {
      aggregate->min_ns = aggregate->max_ns = ns;
    } else {
      aggregate->min_ns = std::min(aggregate->min_ns, ns);
      aggregate->max_ns = std::max(aggregate->max_ns, ns);
    }
    aggregate->sum_ns += ns;
    ++aggregate->bins[BinOf(ns)];
  });
}

void ExactAggregates::Aim(absl::Span<const double> quantiles) {
  quantiles_.assign(quantiles.begin(), quantiles.end());
  for (auto& [key, aggregate] : aggregates_) {
    const std::map<uint64_t, uint64_t> bins(aggregate.bins.begin(), aggregate.bins.end());
    aggregate.bins.clear();
    std::vector<uint64_t> ranks;
    for (double q : quantiles_) {
      const auto [below, above] = RanksOf(q, aggregate.count);
      ranks.push_back(below);
      ranks.push_back(above);
    }
    std::sort(ranks.begin(), ranks.end());
    uint64_t before = 0;
    auto rank = ranks.begin();
    for (const auto& [bin, count] : bins) {
      if (rank == ranks.end()) break;
      if (*rank < before + count) {
        aggregate.before[bin] = before;
        aggregate.values[bin];
        while (rank != ranks.end() && *rank < before + count) ++rank;
      }
      before += count;
    }
  }
}

void ExactAggregates::Collect(const chunk::Decoded& chunk) {
  ForEach(chunk, [](Aggregate* aggregate, double ns) {
    auto it = aggregate->values.find(BinOf(ns));
    if (it != aggregate->values.end()) ++it->second[ns];
  });
}

double ExactAggregates::OrderStatistic(const Aggregate& aggregate, uint64_t rank) const {
  for (const auto& [bin, values] : aggregate.values) {
    uint64_t before = aggregate.before.at(bin);
    if (rank < before) break;
    for (const auto& [value, count] : values) {
      before += count;
      if (rank < before) return value;
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<v1::RegionAggregate> ExactAggregates::Finish() const {
  std::vector<v1::RegionAggregate> result;
  for (const auto& [key, aggregate] : aggregates_) {
    if (aggregate.count == 0) continue;
    v1::RegionAggregate& out = result.emplace_back();
    out.set_role(key.first);
    out.set_region(key.second);
    out.set_count(aggregate.count);
    out.set_sum_ns(aggregate.sum_ns);
    out.set_min_ns(aggregate.min_ns);
    out.set_max_ns(aggregate.max_ns);
    for (double q : quantiles_) {
      const auto [below, above] = RanksOf(q, aggregate.count);
      const double low = OrderStatistic(aggregate, below);
      const double part =
          q * static_cast<double>(aggregate.count - 1) - static_cast<double>(below);
      out.add_duration_ns(part > 0 && above > below
                              ? low + part * (OrderStatistic(aggregate, above) - low)
                              : low);
    }
  }
  return result;
}

}  // namespace sextant::analysis
