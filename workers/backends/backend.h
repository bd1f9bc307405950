// A backend is one way of looking at a workload: three functions, no state of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/table.pb.h"
#include "sextant/v1/types.pb.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::backends {

// What a backend wants of the sandbox for one pass. The agent adds files, limits and devices.
struct LaunchPlan {
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  // Directory inside the sandbox, always "/results", is bound to the pass's private results
  // directory; a backend passes it on through `env`.
  struct Mount {
    std::string source;  // on the worker
    std::string target;  // inside
    bool writable = false;
  };
  std::vector<Mount> mounts;
  // Python modules that the backend's own part of the program imports: passes that are forked have
  // them behind them.
  std::vector<std::string> warm_modules;
  bool allow_perf_events = false;  // relaxes the seccomp filter for perf_event_open alone
  // Path beneath /work of a recording. Not empty: no program is started; what the recorded pass left
  // takes the place of what a run would leave, and the backend that recorded it collects.
  std::string recording;
  // No program is started either: Collect makes the pass of the workload's files in work_dir.
  bool imports = false;
};

// One program run inside the worker's sandbox for a backend, on what a pass left.
struct InsideCommand {
  std::vector<std::string> argv;
  std::vector<LaunchPlan::Mount> mounts;
  std::filesystem::path work_dir;      // seen as /work, the working directory
  std::filesystem::path results_dir;   // seen as /results
  std::string stdin_text;
  v1::ResourceLimits limits;           // every field set
};
struct InsideEnd {
  v1::ExitReport exit;
  std::string out, err;   // standard output and error, each at most limits.output_bytes
};
// The program failing is an InsideEnd; only our own failures are a Status. Thread-safe.
using RunInside = std::function<absl::StatusOr<InsideEnd>(const InsideCommand&)>;

// Where this worker's own files and the site's tools are. A value, given to the backends at start.
struct Site {
  // Holds libsextant_inject.so; a backend mounts it read-only at kInsideLibraries.
  std::filesystem::path libraries;
  // The CUDA toolkit (…/bin/ncu, …/extras/CUPTI/lib64); empty: none found.
  std::filesystem::path cuda;
  // Third-party backends: one executable for each exec:NAME. Empty: none.
  std::filesystem::path exec_backends;
  // Tools that are not part of the toolkit, by name ("cutracer"): the site says where they are.
  std::map<std::string, std::string> tools;
  // Directories of this machine that programs see too, read-only, at the same place (never with a
  // root file system of the user's). Holds what `path` needs.
  std::vector<std::filesystem::path> exposed;
  // Searched before the system's own by programs inside, and by backends that look for a tool of
  // the user's world (python3 with its packages).
  std::vector<std::filesystem::path> path;
  // For backends that hand hostile files to a program. Empty where nothing is run (--probe).
  RunInside run_inside;
};
inline constexpr char kInsideLibraries[] = "/sextant/lib";

// A feature "excludes-env:NAME" of a BackendOffer: its passes cannot be planned for a workload that
// sets this variable, because only one of both can be in the process. CUDA loads one injection
// library, and CUPTI, ncu, compute-sanitizer and NVBit exclude each other there.
inline constexpr char kExcludesEnvironment[] = "excludes-env:";

// What was left by a run, as the agent hands it to Collect.
struct RunRecord {
  const v1::Assignment* assignment;
  v1::ExitReport exit;
  std::filesystem::path results_dir;  // what the program saw as /results
  std::filesystem::path work_dir;     // what the program saw as /work
  uint64_t started_unix_ns = 0;
  uint64_t started_monotonic_ns = 0;  // CLOCK_MONOTONIC just before the program was started
  // Of a replayed pass: Provenance.clock_hz of the recording, whose machine this one's clocks say
  // nothing about. 0: the run was here, just now.
  double recorded_clock_hz = 0;
};

// What is known of a pass that was not run here, but whose files were sent.
struct Imported {
  std::string tool;            // "kineto", …: who wrote them
  v1::PassSpec measured_as;    // the pass that would have left them
  std::string machine;         // "NVIDIA H200"; empty: not known
  uint64_t started_unix_ns = 0;   // 0: not known
};

// What a backend makes of it. Chunks are serialized v1::Chunk in order.
struct Collected {
  std::vector<std::string> chunks;
  std::vector<v1::Counter> counters;
  struct FileArtifact {
    std::string name;
    std::string kind;
    std::filesystem::path path;   // beneath results_dir
  };
  std::vector<FileArtifact> artifacts;
  struct MadeArtifact {
    std::string name;
    std::string kind;
    std::string bytes;
  };
  std::vector<MadeArtifact> made;     // what Collect itself made
  std::vector<v1::DataTable> tables;  // become artifacts "<name>.table" (docs/tables.md)
  uint64_t events = 0;
  uint64_t dropped = 0;
  double clock_hz = 0;
  std::vector<std::string> notes;
  std::optional<Imported> imported;   // where LaunchPlan.imports was set
};

// How the worker proves that a backend sees something, before it is offered (workers/agent/prover.h).
struct Proof {
  bool needed = true;              // false: Probe's word is enough
  std::vector<std::string> argv;   // empty: the self-test program, whose work is known
  std::string stdin_text;          // for it
  std::map<std::string, std::string> options;  // of the pass
};

// Implemented once per tool (workers/backends/<name>/). Called from the agent's pass threads: all
// three functions are const and thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string Name() const = 0;

  // Can this backend work here, and if not why. Cheap; called at start and by `sextant doctor`.
  virtual v1::BackendOffer Probe() const = 0;

  // Asked of backends on GPUs alone.
  virtual Proof HowToProve() const { return {}; }

  // Checks the pass's options and says how to start it. INVALID_ARGUMENT names the option.
  virtual absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const = 0;

  // Turns the files left into artifacts. Everything in the results directory is hostile input.
  // An error may carry a remedy (proto/status). FAILED_PRECONDITION: an empty capture.
  // PERMISSION_DENIED, UNIMPLEMENTED: the tool may not, or cannot, work here; UNAVAILABLE: it failed;
  // these three stand even where the program seems to have failed, because it was the tool that did.
  virtual absl::StatusOr<Collected> Collect(const RunRecord& run) const = 0;
};

// The visible list of all backends of this worker.
std::vector<std::unique_ptr<Backend>> AllBackends(const Site& site);

}  // namespace sextant::backends
