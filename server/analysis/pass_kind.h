// Passes as the command line writes them.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/v1/types.pb.h"
#include "server/job/pass_kind.h"

namespace sextant::analysis {

using job::KindOfPass;

// The reverse, with its number: "activity:light=1*5". What is not well formed becomes part of a name.
v1::PassSpec ParsePass(absl::string_view text);

// Whether such a pass records some of the regions alone, and others of its task the rest (`scopes:split=N`).
bool RegionsAreSpread(const v1::PassSpec& spec);

// Seconds of the device that a pass would take, from what the passes of its task took: those of its backend, else
// the fastest one times what the backend typically takes (job::TypicalCostOf).
double ExpectedCostS(absl::string_view pass, absl::Span<const v1::PassInfo> passes);

}  // namespace sextant::analysis
