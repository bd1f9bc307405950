// `--pass NAME[:key=value,…][*N]`: how a pass is written on the command line.
//   host*20                         20 passes of the backend "host"
//   host:counters=cycles+instructions*5
//   exec:mytool:depth=3             the third party backend "exec:mytool" with an option
//   replay:DIRECTORY                every recording in it, one pass each; also replay:FILE
// Values end at a comma; lists inside a value are written with '+'.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::cli {

inline constexpr char kDefaultPass[] = "host*20";

// INVALID_ARGUMENT: the message shows the text and points at the place that is wrong.
absl::StatusOr<v1::PassSpec> ParsePass(absl::string_view text);

}  // namespace sextant::cli
