// `--pass`: client/pass/pass_text.h, with errors that point at the place; of "replay:DIRECTORY" every
// recording is played (client/cli/replay.h).
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::cli {

inline constexpr char kDefaultPass[] = "host*20";

// INVALID_ARGUMENT: the message shows the text and points at the place that is wrong.
absl::StatusOr<v1::PassSpec> ParsePass(absl::string_view text);

}  // namespace sextant::cli
