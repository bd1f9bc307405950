// Exact aggregates of every region from the instances themselves, in bounded memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// Reads every instance twice: the first scan counts durations in narrow bins, the second collects
// the values of the bins in which the asked-for order statistics lie. One thread.
//
//   for (chunk : trace) exact.Count(chunk);
//   exact.Aim(quantiles);
//   for (chunk : trace) exact.Collect(chunk);
//   exact.Finish();
class ExactAggregates {
 public:
  // Roles as named ("" for threads that named none) and regions to read; empty: all.
  ExactAggregates(absl::flat_hash_set<std::string> regions, absl::flat_hash_set<std::string> roles)
      : regions_(std::move(regions)), roles_(std::move(roles)) {}

  void Count(const chunk::Decoded& chunk);
  void Aim(absl::Span<const double> quantiles);
  void Collect(const chunk::Decoded& chunk);
  // In order of role and region. relative_error is 0.
  std::vector<v1::RegionAggregate> Finish() const;

 private:
  struct Aggregate {
    uint64_t count = 0;
    double sum_ns = 0;
    double min_ns = 0;
    double max_ns = 0;
    absl::flat_hash_map<uint64_t, uint64_t> bins;             // first scan
    std::map<uint64_t, uint64_t> before;                      // aimed at: how many lie in lower bins
    std::map<uint64_t, std::map<double, uint64_t>> values;    // second scan: how often each value
  };
  template <typename Visit>
  void ForEach(const chunk::Decoded& chunk, Visit visit);
  double OrderStatistic(const Aggregate& aggregate, uint64_t rank) const;

  const absl::flat_hash_set<std::string> regions_;
  const absl::flat_hash_set<std::string> roles_;
  std::vector<double> quantiles_;
  std::map<std::pair<std::string, std::string>, Aggregate> aggregates_;   // role, region
};

}  // namespace sextant::analysis
