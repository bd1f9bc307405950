// The states of jobs, tasks and passes, and which moves exist.
#pragma once


#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::job {

// Whether a job, task or pass may go from one state to the other. The database checks the same with
// triggers (jobs_move, tasks_move, passes_move).
bool CanMove(v1::State from, v1::State to);

// Done, failed or cancelled: nothing moves from here.
bool IsFinal(v1::State state);

// "waiting", "ready", …
absl::string_view StateWord(v1::State state);

}  // namespace sextant::job
