// Processes this program starts and leaves running, and how it knows them again: a pid file holds the
// pid and the start time in clock ticks since boot, so that a pid used again is never mistaken.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::cli {

struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;   // field 22 of /proc/PID/stat
};

// The process `pid` as it is now; absent when there is none, or it is a zombie.
std::optional<ProcessId> Identify(pid_t pid);
// True while exactly this process runs.
bool Alive(const ProcessId& process);

absl::Status WritePidFile(const std::string& path, const ProcessId& process);
// The process the file names, if it still runs.
std::optional<ProcessId> ReadPidFile(const std::string& path);

// Starts argv[0] in its own session, standard input from /dev/null, output appended to `log`.
absl::StatusOr<ProcessId> SpawnDetached(const std::vector<std::string>& argv, const std::string& log);

// Sends `signal_number` and waits until the process is gone; false after `timeout_s`.
bool SignalAndWait(const ProcessId& process, int signal_number, double timeout_s);

// What a program that ends by itself printed on standard output, and its exit code.
struct Output {
  int exit_code = -1;   // −signal when it was killed
  std::string text;
};
// Runs and waits; standard error is dropped. NOT_FOUND when it cannot be started,
// DEADLINE_EXCEEDED (and killed) after `timeout_s`.
absl::StatusOr<Output> RunAndRead(const std::vector<std::string>& argv, double timeout_s);

// Replaces this program. Returns only on failure. Signals are unblocked and as by default.
absl::Status Exec(const std::vector<std::string>& argv);

// The last lines of a file, at most `bytes` of it.
std::string TailOf(const std::string& path, size_t bytes);

}  // namespace sextant::cli
