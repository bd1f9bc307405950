// Which passes of a task may be joined. Statistics never silently mix.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/v1/analysis.pb.h"
#include "sextant/v1/types.pb.h"
#include "server/analysis/pass_traits.h"

namespace sextant::analysis {

struct Selection {
  std::vector<const v1::PassInfo*> joined;   // borrowed, in order of ordinal
  std::string group;                         // names what they agree in; never two alike
  uint32_t left_out = 0;
  std::vector<std::string> notes;            // which were left out, and why: groups alike in one note
  std::vector<v1::PassSet> sets;             // the joined ones first, then one for each group left out
};

using AllTraits = absl::flat_hash_map<int64_t, PassTraits>;   // by pass

// Joins the passes that ended well, left a trace, and agree in backend, its options and the machine
// class; of several such groups one that looked into kernels, or else at CPU threads, rather than at
// launches; then the largest (then the one with the smallest ordinal). Of that group those are joined
// that agree in their `traits` (pass_traits.h). `backend` limits the choice; empty: any. Passes that are
// `disturbed` are left out. FAILED_PRECONDITION says what is missing and what to do: no pass ended yet,
// all failed, none has a trace.
absl::StatusOr<Selection> SelectPasses(
    absl::Span<const v1::PassInfo> passes, absl::string_view backend,
    absl::FunctionRef<bool(const v1::PassInfo&)> disturbed = [](const v1::PassInfo&) {
      return false;
    },
    const AllTraits& traits = {});

// What measured a pass: of a replayed one, what it was when it was recorded; else its own.
inline const v1::PassSpec& MeasuredAs(const v1::PassInfo& pass) {
  return pass.result().has_replayed() ? pass.result().replayed() : pass.spec();
}

// Whether a name of Provenance.extra is what a gauge showed during one pass: clocks, power,
// temperature, energy, throttled time.
bool IsReading(absl::string_view name);

// The distinct ones of `passes`, where what differs from run to run (time, load, a GPU's readings) makes
// no difference; of those that are alike, the first.
std::vector<v1::Provenance> DistinctProvenance(absl::Span<const v1::PassInfo* const> passes);

}  // namespace sextant::analysis
