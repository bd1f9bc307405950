// How what goes wrong during a pass is called, and what to do about it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::agent {

v1::Failure MakeFailure(v1::Cause cause, absl::string_view step, absl::string_view message,
                        absl::string_view remedy);

// Of a step of the worker's own work: a full disk is the tool's (another try is worth it), what the
// workload asked for and cannot have is REJECTED, the rest is INTERNAL.
v1::Failure FailureOfStatus(absl::string_view step, const absl::Status& status);

// Of a backend's Collect, with the remedy its status carries.
v1::Failure FailureOfCollect(const absl::Status& status);

// Whether it was the tool that failed, whatever the program's exit code says.
bool IsOfTool(const absl::Status& collect);

// False: the program ended with exit code 0 and there is no failure.
bool FailureOfExit(const v1::ExitReport& exit, absl::string_view task_kind, v1::Failure* failure);

}  // namespace sextant::agent
