// One run in a warm container, from start to end, on one thread of its own.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/files.h"
#include "workers/sandbox/run.h"
#include "workers/sandbox/sandbox.h"
#include "workers/sandbox/warm_protocol.h"

namespace sextant::sandbox {

// What the container and the run that is on have in common. Shared: the run's thread may see the
// container's end, and the container outlives its runs.
struct WarmLink {
  Fd control;                        // the worker's end; used by one of them at a time
  std::shared_ptr<Cgroup> cgroup;    // may be null
  std::unique_ptr<Running> container;
  pid_t init = 0;                    // the container's first process, as the worker sees it
};

// One message, and what came with it.
struct FromWarm {
  WarmMessage message = {};
  pid_t sender = 0;  // as the kernel says
  Fd fd;             // may be none
};

// False: nothing came within `timeout_ms`, or the other side is gone (`*gone`).
bool ReceiveWarm(const Fd& control, int timeout_ms, FromWarm* from, bool* gone);

// False and errno: the other side is gone.
bool SendWarm(const Fd& control, uint32_t kind, const int* fds, int count);

// Takes over when the program has started. `launch` has its streams; its cgroup is the link's.
// After a verdict of ours, and when the run could not be cleared away, the container is killed.
std::unique_ptr<Running> FollowWarmRun(std::shared_ptr<WarmLink> link, Launch launch,
                                       uint64_t started_unix_ns, uint64_t started_monotonic_ns);

}  // namespace sextant::sandbox
