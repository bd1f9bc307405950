// `--pass replay:FILE[*N]`, `--pass replay:DIRECTORY[*N]`: recordings (docs/recordings.md) that are
// sent with the workload, one pass for each.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/bundle.h"
#include "client/pass/pass_text.h"
#include "sextant/v1/types.pb.h"

namespace sextant::cli {

using pass::kRecordingOption;
using pass::kReplay;
inline constexpr char kRecordingEnding[] = ".rec";

// The passes that `spec`, of the backend "replay", stands for: the i-th plays the i-th recording,
// in order of their names. Its option "recording" is a path here; the passes' are paths in the
// bundle, to which the files are added. INVALID_ARGUMENT: there is no such recording, or fewer than
// `repeat`: a recording that is played twice is no second sample.
absl::StatusOr<std::vector<v1::PassSpec>> AddRecordings(const v1::PassSpec& spec, Bundle& bundle);

}  // namespace sextant::cli
