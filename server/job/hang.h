// Whether an instrument made a program hang: told by passes of the same task that ran without one.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/v1/types.pb.h"

namespace sextant::job {

// A pass of the task that has ended.
struct EndedPass {
  v1::PassSpec spec;
  v1::ExitReport exit;
  bool done = false;
};

// Stopped because it did nothing, or ran for too long.
bool Hung(const v1::ExitReport& exit);

// Nothing in the program but, at most, records of its launches.
bool IsClean(const v1::PassSpec& spec);

// A sentence about `stuck`, which hung, from the other passes of its task: the clean ones ended too, or
// hung as well, or there is none that has ended.
std::string JudgeHang(const EndedPass& stuck, absl::Span<const EndedPass> others);

}  // namespace sextant::job
