// All that is known of one kernel: the answers of the other analyses, and the facts beside them.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"
#include "server/analysis/facts.h"
#include "server/analysis/occupancy.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// Answers that need more than the evidence; an empty one is left out.
struct FactSources {
  std::function<absl::StatusOr<v1::Timeline>(const v1::GetTimelineRequest&)> timeline = {};
  SampleReader samples = {};   // occupancy and variation
};

// Asks every analysis about the kernel of `evidence`. What cannot be had is absent, and `basis` says why; it also
// gets the passes that were used. Errors are those that say nothing of the passes: UNAVAILABLE and the like.
absl::StatusOr<Facts> AllFacts(const Evidence& evidence, const v1::Subject& subject, const FactSources& sources,
                               v1::Basis* basis);

}  // namespace sextant::analysis
