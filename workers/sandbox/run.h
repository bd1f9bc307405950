// One program from start to end, on one thread of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/files.h"
#include "workers/sandbox/sandbox.h"
#include "workers/sandbox/spawn.h"

namespace sextant::sandbox {

// Everything opened and made for one start.
struct Launch {
  RunSpec spec;
  std::string started_program;      // what the spawned process is called when it cannot be executed
  SpawnRequest spawn;               // stdio and fds refer to the descriptors below
  // May be null. Shared: runs in a warm container look at the container's.
  std::shared_ptr<Cgroup> cgroup;
  uint64_t placed_bytes = 0;        // in work_dir and results_dir before the start
  Fd stdin_file;
  Pipe out, err;
  bool contained = false;           // bubblewrap and our init report over these two
  Pipe status, report;
  std::vector<Fd> others;           // closed once the process runs
};

// Opens standard streams and fills launch.spawn.stdio.
absl::Status PrepareStreams(Launch& launch);

// Makes the run's cgroup, if any can be made, and fills launch.spawn's ways into it.
absl::Status PrepareCgroup(const CgroupMaker& maker, int own_processes, Launch& launch);

// Starts it and returns when the process exists. Its thread ends when everything is gone.
absl::StatusOr<std::unique_ptr<Running>> StartRun(Launch launch);

}  // namespace sextant::sandbox
