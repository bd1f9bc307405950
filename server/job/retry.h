// Which failures run again.
#pragma once

#include "sextant/v1/types.pb.h"

namespace sextant::job {

// Whether a pass that failed for `cause` on its `attempts`-th attempt (1 is the first) runs again,
// given at most `max_attempts`. A lost worker or an unhealthy device: until attempts are used up.
// The tool: once more. The user's program and everything that would fail the same way: never.
bool RunsAgain(v1::Cause cause, int attempts, int max_attempts);

}  // namespace sextant::job
