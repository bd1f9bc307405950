// One control group per run: memory, processes and cores, where this machine lets us make one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"
#include "workers/sandbox/files.h"

namespace sextant::sandbox {

// The directories of one run, one per hierarchy. Removes them when destroyed; kill first.
class Cgroup {
 public:
  struct Counts {
    uint64_t oom_kills = 0;      // processes killed for memory
    uint64_t pids_refused = 0;   // forks refused
  };
  struct Controls {
    bool memory = false;
    bool pids = false;
    bool cpu = false;      // cores
    bool cpuacct = false;  // time used
  };

  Cgroup(Controls controls, bool v2, std::vector<std::string> directories);
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  const Controls& controls() const { return controls_; }

  // For SpawnRequest::cgroup_files and cgroup_directory.
  struct Doors {
    std::vector<Fd> files;
    Fd directory;  // version 2 only
  };
  absl::StatusOr<Doors> OpenForEntry() const;

  Counts Read() const;
  std::optional<double> CpuSeconds() const;
  std::optional<uint64_t> PeakMemoryBytes() const;  // page cache included

  // SIGKILL to everything inside; true when nothing is left.
  bool KillAll() const;

  const std::vector<std::string>& directories() const { return directories_; }

 private:
  std::string Find(const char* file) const;  // path of the first directory that has it, or empty

  const Controls controls_;
  const bool v2_;
  const std::vector<std::string> directories_;
};

// Where cgroups can be made. Made once per worker; sweeps what dead workers left.
class CgroupMaker {
 public:
  // `mountinfo` and `self` are the texts of /proc/self/mountinfo and /proc/self/cgroup.
  // Directories are made as "sextant.<pid>.<start>.<namespace>.<name>"; the first three name this
  // worker.
  static CgroupMaker Find(const std::string& mountinfo, const std::string& self);
  static CgroupMaker Find();

  bool available() const { return !hierarchies_.empty(); }
  bool v2() const { return v2_; }
  const Cgroup::Controls& controls() const { return controls_; }
  const std::vector<std::string>& parents() const { return parents_; }
  const std::string& why_not() const { return why_not_; }  // one sentence, when not available

  // Null when not available. `own_processes` of the sandbox itself stand beside the program's and
  // are not held against its limit. RESOURCE_EXHAUSTED when a directory or limit cannot be made.
  absl::StatusOr<std::unique_ptr<Cgroup>> Make(const std::string& name,
                                               const v1::ResourceLimits& limits,
                                               int own_processes) const;

  // Kills and removes the groups of workers that no longer exist; of those in this PID namespace
  // alone, for nobody here can tell whether others live. Returns how many.
  int Sweep() const;

 private:
  struct Hierarchy {
    std::string parent;
    bool memory = false, pids = false, cpu = false, cpuacct = false;
  };

  void TryV1(const std::string& mountinfo, const std::string& self);
  void TryV2(const std::string& mountinfo, const std::string& self);

  std::vector<Hierarchy> hierarchies_;
  std::vector<std::string> parents_;
  Cgroup::Controls controls_;
  bool v2_ = false;
  std::string why_not_;
};

// When the process was started, in ticks since boot; 0 if there is none. With the pid it is unique.
uint64_t ProcessStart(pid_t pid);

// Which PID namespace this process is in; 0 where /proc does not say.
uint64_t PidNamespace();

}  // namespace sextant::sandbox
