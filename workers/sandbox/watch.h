// Looks at a running program from time to time and says when a limit is passed that the kernel does
// not stop by itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

struct Finding {
  v1::Verdict verdict;
  std::string detail;
};

// Monotonic time in ns, of the clock RunSpec's times are given in.
uint64_t MonotonicNs();

// Owned and used by the one thread that waits for the run.
class Watch {
 public:
  // `cgroup` may be null, and must outlive the watch. `placed_bytes` lie in the directories already.
  Watch(const RunSpec& spec, const Cgroup* cgroup, uint64_t placed_bytes);

  // The program's first process. The clock of wall_s and hang_s starts.
  void Started(pid_t root, uint64_t now_ns);

  void SawOutput(uint64_t now_ns) { last_progress_ns_ = now_ns; }

  // When Check wants to be called next; never more than a second from now.
  uint64_t NextNs() const;

  // Cheap when nothing is due.
  std::optional<Finding> Check(uint64_t now_ns);

  // What was passed unnoticed before the program ended.
  std::optional<Finding> AtEnd();

  uint64_t peak_bytes() const;
  double cpu_s() const;

 private:
  std::optional<Finding> CheckCounts() const;      // the cgroup's events
  std::optional<Finding> CheckProcesses();         // where no cgroup holds the limit
  std::optional<Finding> CheckDisk(uint64_t now_ns, bool last);
  std::optional<Finding> CheckHang(uint64_t now_ns);

  const RunSpec& spec_;
  const Cgroup* const cgroup_;
  const bool count_processes_;
  const uint64_t placed_bytes_;
  pid_t root_ = 0;
  uint64_t started_ns_ = 0;

  uint64_t next_events_ns_ = 0;
  uint64_t next_processes_ns_ = 0;
  uint64_t next_disk_ns_ = 0;
  uint64_t next_hang_ns_ = 0;

  uint64_t walk_due_ns_ = 0;         // when the directories are walked whatever the disk says
  uint64_t written_at_walk_ = 0;     // by the run
  uint64_t disk_used_at_walk_ = 0;   // by everybody, from statvfs

  uint64_t last_progress_ns_ = 0;
  double cpu_at_progress_s_ = 0;

  uint64_t peak_bytes_ = 0;
  double cpu_s_ = 0;
};

}  // namespace sextant::sandbox
