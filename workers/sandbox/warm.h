// A container that stays: in it waits a Python interpreter that has imported what runs need, and every
// run is forked from it. docs/decisions/2026-11-26-warm-start.md
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

// Python's command line, taken apart.
struct PythonCommand {
  std::vector<std::string> interpreter;  // "python3", "-u", …
  std::vector<std::string> rest;         // the script, or -m or -c, and what follows
};

// Nothing when argv is no Python, or one whose options a forked interpreter cannot have.
std::optional<PythonCommand> ParsePythonCommand(const std::vector<std::string>& argv);

// What a warm container is started as.
struct WarmSpec {
  // As for a run, but argv is the interpreter with its options, and env what does not differ from
  // run to run. work_dir and results_dir are empty directories; wall_s and hang_s do not count.
  RunSpec base;
  std::vector<std::string> modules;     // to import
  // The directories of all runs lie beneath this one, which no other job uses.
  std::filesystem::path passes_dir;
};

// One owner; Start from one thread at a time, alive and Stop from any.
class WarmContainer {
 public:
  // Kills everything inside. No Running that it started may be left.
  virtual ~WarmContainer() = default;

  // False: it has ended or can start nothing any more; a new one is needed.
  virtual bool alive() const = 0;

  // Starts a run as Sandbox::Start does. `spec` has the container's mounts, devices, rootfs and
  // limits; its directories lie beneath passes_dir; its argv is Python's, with the same interpreter
  // and options. Waits until the modules are imported, looking at `stopped` meanwhile.
  // CANCELLED: `stopped` became true. Any other error: the container is of no use, start it cold.
  virtual absl::StatusOr<std::unique_ptr<Running>> Start(const RunSpec& spec,
                                                         const std::function<bool()>& stopped) = 0;
};

}  // namespace sextant::sandbox
