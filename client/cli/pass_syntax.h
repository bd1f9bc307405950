// `--pass NAME[:key=value,…][*N]`: how a pass is written on the command line.
//   host*20                         20 passes of the backend "host"
//   host:counters=cycles+instructions*5
//   counters:ipc,stalls             a word alone belongs to the backend's main option: set=ipc+stalls
//   exec:mytool:depth=3             the third party backend "exec:mytool" with an option
//   replay:DIRECTORY                every recording in it, one pass each; also replay:FILE
// Values end at a comma; lists inside a value are written with '+'. testdata/pass_syntax.txt is what both
// readers of this syntax (the other: client/python/src/sextant/passes.py) are tested with.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::cli {

inline constexpr char kDefaultPass[] = "host*20";

// INVALID_ARGUMENT: the message shows the text and points at the place that is wrong.
absl::StatusOr<v1::PassSpec> ParsePass(absl::string_view text);

}  // namespace sextant::cli
