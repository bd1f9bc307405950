// Runs one program safely and says how it ended. Two implementations: Bubblewrap (the real one) and
// Bare (no isolation beyond rlimits and a process group: for measuring what the sandbox costs, and
// where a site asks for it in so many words).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sextant/v1/types.pb.h"

namespace sextant::sandbox {

// Everything that decides what the program may see and use. A value: BwrapArguments(spec) is pure.
struct RunSpec {
  std::vector<std::string> argv;              // argv[0]: looked up in /work, then in PATH inside
  std::map<std::string, std::string> env;     // the whole environment, nothing is inherited
  std::filesystem::path rootfs;               // empty: the worker's own system, read-only
  std::filesystem::path work_dir;             // bound read-write to /work, the working directory
  std::filesystem::path results_dir;          // bound read-write to /results
  struct Mount {
    std::filesystem::path source;
    std::string target;
    bool writable = false;
  };
  std::vector<Mount> mounts;
  struct Device {
    std::filesystem::path source;             // the node on this machine, "/dev/nvidia0"
    std::string target;                       // inside
  };
  std::vector<Device> devices;                // device nodes to pass through
  v1::ResourceLimits limits;                  // every field set: the agent filled in defaults
  bool allow_perf_events = false;
  std::string stdin_text;
  std::filesystem::path stdout_path;          // written by the sandbox, at most output_bytes each
  std::filesystem::path stderr_path;
  std::string name;                           // for the cgroup and logs: "pass-<id>-<epoch>"
};

// A started program. Destroying it kills the whole group first.
class Running {
 public:
  virtual ~Running() = default;

  // CLOCK_REALTIME and CLOCK_MONOTONIC just before the program was started.
  virtual uint64_t started_unix_ns() const = 0;
  virtual uint64_t started_monotonic_ns() const = 0;

  // Waits until the program and everything it started are gone. Called once.
  virtual v1::ExitReport Wait() = 0;

  // Kills everything; Wait returns soon after, with verdict KILLED and `reason` as detail unless an
  // earlier verdict stands. From any thread, any number of times.
  virtual void Kill(const std::string& reason) = 0;
};

class WarmContainer;
struct WarmSpec;

// Thread-safe; Start may be called from several threads.
class Sandbox {
 public:
  virtual ~Sandbox() = default;
  virtual std::string Description() const = 0;  // "bwrap 0.8.0", "none"

  // The program being missing or failing is an ExitReport (NOT_STARTED); only our own failures
  // (no bubblewrap, no memory, no disk) are a Status.
  virtual absl::StatusOr<std::unique_ptr<Running>> Start(const RunSpec& spec) = 0;

  // A container in which runs start without importing (workers/sandbox/warm.h). Returns at once; the
  // imports go on meanwhile. UNIMPLEMENTED: this sandbox makes none.
  virtual absl::StatusOr<std::unique_ptr<WarmContainer>> StartWarm(const WarmSpec& spec);
};

struct SandboxOptions {
  std::string bwrap_path;          // empty: looked up in PATH
  std::string unprivileged_user;   // when the worker is root: run programs as this user; empty:
                                   // "nobody" with bubblewrap, root itself with the bare sandbox
  bool cgroups = true;             // false: limits are watched from /proc instead
};

// When the worker is root, work_dir and results_dir and all in them are given to the unprivileged
// user at each start: never put hard links to other files there.

// FAILED_PRECONDITION names what is missing (bubblewrap, user namespaces) and the remedy. Tries a
// program once.
absl::StatusOr<std::unique_ptr<Sandbox>> MakeBubblewrapSandbox(SandboxOptions options);

// No namespaces, so no /work and /results: a value of argv or env that is or begins with one of
// these directories is rewritten to the real place. A program that leaves its session and its
// parents escapes Kill, unless cgroups can be made.
std::unique_ptr<Sandbox> MakeBareSandbox(SandboxOptions options);

}  // namespace sextant::sandbox
