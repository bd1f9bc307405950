// Starts a process without copying the worker: the child shares the worker's memory until exec, so
// the cost does not grow with the worker.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/sandbox/files.h"

namespace sextant::sandbox {

struct SpawnRequest {
  std::string path;
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  std::string cwd;                     // empty: the worker's
  int stdio[3] = {-1, -1, -1};         // standard input, output, error; borrowed
  std::vector<int> fds;                // become 3, 4, …; borrowed. Nothing else is inherited
  std::vector<int> cgroup_files;       // "0" is written to each, by the child; borrowed
  int cgroup_directory = -1;           // version 2: the child is born there, and the files are
                                       // only for kernels that cannot; borrowed
  std::vector<std::pair<int, rlimit>> rlimits;
  bool new_session = false;

  // Set groups and user before exec. Only for root.
  bool change_user = false;
  uid_t uid = 0;
  gid_t gid = 0;

  // Before the user changes, in a mount namespace of its own: the i-th becomes visible at
  // `StagedPath(i)`, for sources that the user could not reach by name. Only for root.
  struct Staged {
    std::string path;
    bool directory;
  };
  std::vector<Staged> staged;  // at most kMaxStaged
};

inline constexpr size_t kMaxStaged = 256;

// Where the i-th staged source is visible.
std::string StagedPath(size_t i);

struct Spawned {
  pid_t pid = -1;
  Fd pidfd;
  int exec_errno = 0;  // not 0: the program could not be executed; `step` says what failed
  const char* step = "";
};

// The child dies when the calling *thread* ends (PR_SET_PDEATHSIG): call it from the thread that
// waits. A program that cannot be executed is a Spawned with exec_errno and no pid; RESOURCE_EXHAUSTED
// when no process can be made.
absl::StatusOr<Spawned> Spawn(const SpawnRequest& request);

}  // namespace sextant::sandbox
