// In what passes of one kind must agree for their times to be joined: the code of their kernels, the
// shapes of the launches, and the SM clock.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "sextant/v1/types.pb.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

inline constexpr double kClockTolerance = 0.05;

struct KernelTraits {
  std::set<std::string> codes;    // SASS digests; empty: not known
  std::set<std::string> shapes;   // "132×1×1 of 384×1×1"; empty: not known
};
using PassTraits = std::map<std::string, KernelTraits>;   // by kernel

// By pass: the kernel of each launch, of passes whose launches are of several kernels.
using LaunchedKernels = absl::flat_hash_map<int64_t, Kernels>;
LaunchedKernels KernelsByLaunch(absl::Span<const PassLaunches> passes);

// Of the launches that passes left, by pass.
absl::flat_hash_map<int64_t, PassTraits> TraitsOfPasses(absl::Span<const PassLaunches> passes);

// SM clock during a pass in MHz: what its recorder measured (`scopes`), else the higher of the gauge's
// readings before and after it (an idle GPU shows less); 0: not known.
double SmClockMhz(const v1::PassInfo& pass);

// The clock was held back during the pass, by power, heat, or something else but idleness.
bool Throttled(const v1::PassInfo& pass);

// Splits passes into those to join and those left out, each with why: "ran other code of gemm". Kept are
// the largest number of passes that agree (then those with the first pass); kernels and values that are
// not known agree with any. A clock that differs by more than kClockTolerance from the median is a reason
// where the recorder measured it, or where it was held back.
struct Agreement {
  std::vector<const v1::PassInfo*> joined;
  std::map<std::string, std::vector<const v1::PassInfo*>> left_out;   // by reason
};
Agreement Agree(absl::Span<const v1::PassInfo* const> passes,
                const absl::flat_hash_map<int64_t, PassTraits>& traits);

}  // namespace sextant::analysis
