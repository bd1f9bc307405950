// Which system calls a program may not make. Everything else is allowed: programs under a profiler
// are ordinary programs, and the namespaces do the rest.
#pragma once

#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace sextant::sandbox {

enum class Answer {
  kRefuse,   // EPERM; the program goes on
  kAbsent,   // ENOSYS: "this kernel has no such call", so that libraries take their other path
  kKill,     // SIGSYS, verdict VIOLATION: no honest program tries
};

struct ForbiddenCall {
  const char* name;
  Answer answer;
  const char* why;
};

// Forbidden whatever their arguments are. clone, ioctl, personality and socket are forbidden for
// some arguments only: see the source.
std::span<const ForbiddenCall> ForbiddenCalls();

// The filter as a program for the kernel (bubblewrap's --seccomp). With `allow_perf_events` the
// program may call perf_event_open; the kernel's own perf_event_paranoid still holds.
absl::StatusOr<std::string> BuildSeccompFilter(bool allow_perf_events);

}  // namespace sextant::sandbox
