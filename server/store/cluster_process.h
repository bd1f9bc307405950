// Programs of PostgreSQL, run as somebody who is not root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sextant::store {

// Whose processes and files a cluster's are.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  bool drop = false;  // this process is root: children become the account first
};

// Who we are; when root: the owner of `data` where it exists, else "postgres", else "nobody".
absl::StatusOr<Account> ChooseAccount(const std::string& data);

// Runs a program to its end. Its output, or INTERNAL with the end of it.
absl::StatusOr<std::string> RunToEnd(const Account& account, const std::vector<std::string>& argv,
                                     const std::string& directory);

// Starts a program in a session of its own, its output appended to `log`. The caller reaps it.
absl::StatusOr<pid_t> Spawn(const Account& account, const std::vector<std::string>& argv,
                            const std::string& directory, const std::string& log);

// True while the process runs; reaps it when it is our child and has ended.
bool IsRunning(pid_t pid);

// "postgres" for /proc/PID/comm; empty when there is no such process.
std::string ProgramOf(pid_t pid);

// Ends the processes named `program` whose working directory is `directory`, without mercy.
void KillAllIn(const std::string& directory, const std::string& program);

}  // namespace sextant::store
