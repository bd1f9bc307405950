// The processes below one process, read from /proc: the only view of a run where no cgroup can be
// made.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace sextant::sandbox {

struct ProcessUse {
  uint64_t resident_bytes = 0;  // a page shared by two processes counts twice
  uint64_t threads = 0;  // processes and their threads, without `root` itself
  double cpu_s = 0;      // of those alive, and of children they have waited for
  std::vector<pid_t> pids;  // root first
};

// Costs time in proportion to the run's threads, not to the machine's processes.
ProcessUse MeasureProcesses(pid_t root);

// Like resident_bytes, a shared page counted once; much slower. Processes that cannot be looked into
// count 0.
uint64_t ProportionalBytes(const std::vector<pid_t>& pids);

// Bytes of files that these processes hold open though they have no name any more. Needs the right
// to look (same user, or root); what cannot be seen counts as 0.
uint64_t NamelessBytes(const std::vector<pid_t>& pids);

}  // namespace sextant::sandbox
