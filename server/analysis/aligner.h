// Joins what several passes saw of the same instances.
//
// The rule. Two instances of two passes are the same thing when they agree in
//   * the lane: the role of their thread or warp as named or inferred (role_inference.h), or, where
//     there is neither, the thread;
//   * the launch, or with `from_cta` the kernel (the processes of a host trace are more threads of the
//     same role);
//   * the region;
//   * the ordinal: the rank among the instances of that region on its thread or warp. It counts from
//     the last one in lanes where a buffer that wrapped lost the head in any pass.
// The threads (warps, CTAs) of one role do the same thing, so they are further observations of it:
// an instance has up to passes × threads observations.
//
// Confidence of a lane, 0…1: over all (launch, CTA, rank of the thread within its role, region), the
// sum of the smallest number of instances in any pass ÷ the sum of the largest, times the share of
// observations whose predecessor on their thread is the region that usually goes before. Where tiles
// move between CTAs, these numbers differ from pass to pass while the role's number of a launch stays:
// then the first factor is taken over (launch, region) of the whole role, and the reason says so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

struct AlignOptions {
  uint32_t max_instances = 4096;             // per lane and region
  absl::flat_hash_set<std::string> regions;  // empty: all
  absl::flat_hash_set<std::string> roles;    // as named, or as a lane is
  // Traces of kernels: times count from the start of the CTA, and launches of a kernel are further
  // observations, as its CTAs are.
  bool from_cta = false;
  // A region is in some passes alone by their options: those that lack it say nothing of the others.
  bool regions_spread = false;
};

// Lanes in order of name, named roles first; instances in order of their median start. Linear in the
// instances of the sample, 30 bytes for each.
std::vector<v1::RoleLane> Align(const TraceSample& sample, const AlignOptions& options,
                                absl::Span<const double> quantiles);

}  // namespace sextant::analysis
