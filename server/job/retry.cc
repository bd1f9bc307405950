#include "server/job/retry.h"

#include <algorithm>

namespace sextant::job {

bool RunsAgain(v1::Cause cause, int attempts, int max_attempts) {
  switch (cause) {
    case v1::WORKER_LOST:
    case v1::DEVICE_UNHEALTHY:
      return attempts < max_attempts;
    case v1::TOOL_FAILED:
      return attempts < std::min(2, max_attempts);
    default:
      return false;
  }
}

}  // namespace sextant::job
