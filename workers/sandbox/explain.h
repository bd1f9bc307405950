// From a wait status to a verdict.
#pragma once

#include "sextant/v1/types.pb.h"

namespace sextant::sandbox {

// Fills verdict, exit_code or signal, and detail, of a program that ended by itself: signals that
// the kernel sends for our limits and our filter are VIOLATION and TIMED_OUT.
void ExplainEnd(int wait_status, const v1::ResourceLimits& limits, v1::ExitReport& report);

}  // namespace sextant::sandbox
