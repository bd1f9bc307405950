// How much passes changed what they measured: kernels' durations, registers, occupancy and code in
// instrumented passes against the clean ones.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/pass_tables.h"

namespace sextant::analysis {

inline constexpr double kFlaggedRatio = 1.15;
inline constexpr double kDisturbedRatio = 2.0;

// A pass that ended well, and its table `launches`.
struct PassLaunches {
  const v1::PassInfo* pass = nullptr;
  Table launches;
};

// Certificates of passes that look into kernels and left no table `launches`: without a kernel, "unknown",
// and why; one for each kind of pass.
std::vector<v1::Perturbation> WithoutLaunches(absl::Span<const v1::PassInfo* const> passes);

// Clean: `activity`, with kernel records alone where there are such passes.
bool IsCleanPass(const v1::PassInfo& pass);

// Whether launches take their own time under this backend: it neither replays nor serialises them.
bool TimesKernels(absl::string_view backend);

// How far a pass's durations of launches can be trusted: 3 clean, 2 `activity`, 1 it disturbs, 0 it replays.
int TimeRank(const v1::PassInfo& pass);

// One certificate for each kernel and kind of instrumented pass (backend with its options), in order
// of kernel and first pass. A ratio is the median duration over all launches of the kernel in these
// passes ÷ that in the clean passes; of backends that replay or serialise kernels (`counters`, `ncu`,
// `sassmetrics`, `sanitizer`) durations say nothing of disturbance and are not compared.
std::vector<v1::Perturbation> Perturbations(absl::Span<const PassLaunches> passes);

// Whether these passes' times must not be joined with others: one of their kernels is "disturbed".
bool Disturbed(absl::Span<const v1::Perturbation> certificates, int64_t pass_id);

}  // namespace sextant::analysis
