#include "server/job/states.h"

namespace sextant::job {

bool CanMove(v1::State from, v1::State to) {
  switch (from) {
    case v1::WAITING:
      return to == v1::READY || to == v1::RUNNING || IsFinal(to);
    case v1::READY:
      return to == v1::RUNNING || to == v1::FAILED || to == v1::CANCELLED;
    case v1::RUNNING:
      return to == v1::READY || IsFinal(to);
    default:
      return false;
  }
}

bool IsFinal(v1::State state) {
  return state == v1::DONE || state == v1::FAILED || state == v1::CANCELLED;
}

absl::string_view StateWord(v1::State state) {
  switch (state) {
    case v1::WAITING: return "waiting";
    case v1::READY: return "ready";
    case v1::RUNNING: return "running";
    case v1::DONE: return "done";
    case v1::FAILED: return "failed";
    case v1::CANCELLED: return "cancelled";
    default: return "unspecified";
  }
}

}  // namespace sextant::job
