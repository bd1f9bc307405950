// Which regions spread, where the spread comes from, and what goes with it.
#pragma once

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"
#include "server/analysis/sample_cache.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

inline constexpr size_t kMaxVariedRegions = 48;
inline constexpr size_t kMaxVariedInstances = 20'000;   // of one region; a regular part of more
inline constexpr double kGoesWithPValue = 0.01;

// Durations of every region of every role, over passes, launches, CTAs, SMs and iterations.
//
// Components: variance_components.h with passes, launches within passes, CTAs within launches (host: threads
// within passes), SMs (crossed: what an SM does to all its CTAs, in every pass), iterations (crossed: the
// ordinal) and the rest. Modes: bimodality.h.
// What goes with it, of means of CTAs unless another unit is named: the SM clock (medians of passes), the
// wave, the SM (η), the ordinal (medians of ordinals), the time the CTA's other roles spent in their waits.
// Listed when p ≤ kGoesWithPValue in a permutation test (rank_tests.h), strongest first: an association, not a
// cause.
absl::StatusOr<v1::Variation> FindVariation(const Evidence& evidence, const SampleReader& samples);

}  // namespace sextant::analysis
