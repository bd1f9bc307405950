// Why there is nothing, or not all, in what the injection library left: one place for the words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "workers/backends/backend.h"
#include "workers/backends/injected/reader.h"

namespace sextant::backends::injected {

// Nothing was recorded. FAILED_PRECONDITION: the program gave no occasion, `detail` says why in the
// instrument's words where it got that far ("" otherwise). UNAVAILABLE: the instrument could not
// work: CUPTI is missing or refused.
absl::Status NothingRecorded(const RunRecord& run, const std::vector<Process>& processes,
                             const std::string& detail);

// What a reader of the result should know of each process: notes of the library, losses, a process
// that died before it could write everything, a crash inside the library.
std::vector<std::string> NotesOf(const RunRecord& run, const std::vector<Process>& processes);

}  // namespace sextant::backends::injected
