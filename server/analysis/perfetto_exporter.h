// Perfetto's native format (https://perfetto.dev/docs/reference/synthetic-track-event).
#pragma once

#include <memory>

#include "server/analysis/export.h"

namespace sextant::analysis {

// A process for each pass; beneath it a track for each launch and role, beneath that one for each warp
// or thread; slices that overlap without nesting go to further tracks of the same one. Slices carry
// their ordinal, and their cycles where the trace has them. Signals to barriers are instants, with a
// flow to the end of each wait that they ended.
//
// `timeline` becomes the process "statistical timeline": a track for each role with every instance from
// its median start to its median end (or the quantile nearest to the median), and a counter for each
// region and quantile, whose value is the duration. One without lanes leaves nothing.
std::unique_ptr<TraceExporter> MakePerfettoExporter(v1::Timeline timeline, ByteSink sink);

}  // namespace sextant::analysis
