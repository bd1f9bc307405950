// How a pass is written: NAME[:key=value,…][*N].
//   host*20                         20 passes of the backend "host"
//   host:counters=cycles+instructions*5
//   counters:ipc,stalls             a word alone belongs to the backend's main option: set=ipc+stalls
//   exec:mytool:depth=3             the third party backend "exec:mytool" with an option
//   replay:PATH                     a recording
// Values end at a comma; lists inside a value are written with '+'. client/cli/testdata/pass_syntax.txt is
// what both readers of this syntax (the other: client/python/src/sextant/passes.py) are tested with.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::pass {

inline constexpr char kReplay[] = "replay";
inline constexpr char kRecordingOption[] = "recording";

// INVALID_ARGUMENT says what is wrong; `at` is where, in bytes.
absl::StatusOr<v1::PassSpec> Parse(absl::string_view text, size_t* at);

// As it is written, options in order of their names.
std::string Text(const v1::PassSpec& spec);

// Puts before passes that disturb kernels clean ones, where a worker can make them: they give the time, and
// tell, when a later pass hangs, whether the program hangs without the instrument.
void AddCleanPasses(v1::ProfileTask* profile);

}  // namespace sextant::pass
