// Takes one pass from its assignment to a spooled result.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sextant/v1/worker.pb.h"
#include "workers/agent/blob_cache.h"
#include "workers/agent/machine.h"
#include "workers/agent/options.h"
#include "workers/agent/pass.h"
#include "workers/agent/spool.h"
#include "workers/agent/warm_pool.h"
#include "workers/backends/backend.h"
#include "workers/gpu/pool.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

// A backend with what it answered when it was probed at the worker's start.
struct OfferedBackend {
  std::unique_ptr<backends::Backend> backend;
  v1::BackendOffer offer;
};

// The id of passes that prove backends; the coordinator gives out none below 1.
inline constexpr int64_t kProofPass = 0;

// What passes use together. Borrowed by the runner; all of it is thread-safe.
struct RunnerRooms {
  sandbox::Sandbox& sandbox;
  BlobCache& blobs;
  const std::map<std::string, OfferedBackend>& backends;
  const Machine& machine;
  gpu::Pool& gpus;
  WarmPool& warm;
};

// Thread-safe; Run is called from the pass's own thread.
class PassRunner {
 public:
  using PhaseChanged = std::function<void()>;

  PassRunner(const AgentOptions& options, RunnerRooms rooms, PhaseChanged phase_changed);

  // Never fails: what goes wrong becomes the Failure of the result. Nothing of the pass stays on
  // disk beside the entry (and the kept directory, where the assignment asks for one). Absent: the
  // pass was stopped.
  std::unique_ptr<SpoolEntry> Run(Pass& pass);

  // An entry that says nothing but why the pass was not run; it is on no disk.
  SpoolEntry Refuse(const v1::Assignment& assignment, const std::string& step,
                    const std::string& message, const std::string& remedy) const;

 private:
  struct Attempt;

  absl::Status MakeDirs(const Attempt& attempt) const;
  // Each of the steps sets the failure of the result and returns false when the next must not be.
  void Execute(Pass& pass, Attempt& attempt);
  bool Fetch(Pass& pass, Attempt& attempt);
  bool Plan(Attempt& attempt);
  void AddSelfTest(Attempt& attempt) const;
  // Whether the pass may be forked, and what is to be imported. False: the option is wrong.
  bool PlanWarm(const backends::LaunchPlan& plan, Attempt& attempt);
  // On a GPU: waits for its turn, and takes it with everything written down around the run.
  bool RunOnDevice(Pass& pass, Attempt& attempt);
  bool RunProgram(Pass& pass, Attempt& attempt);
  absl::StatusOr<std::unique_ptr<sandbox::Running>> StartProgram(Pass& pass, Attempt& attempt);
  // Instead of RunProgram: unpacks the recording to where a run would have left its files.
  bool Play(Attempt& attempt);
  bool BeginImport(Attempt& attempt);
  void NoteImport(const backends::Imported& imported, Attempt& attempt) const;
  // What the run was and how it ended becomes the result's; false: there is nothing to collect.
  bool NoteEnd(Attempt& attempt);
  void Collect(Attempt& attempt);
  std::unique_ptr<SpoolEntry> Spool(Pass& pass, Attempt& attempt);
  absl::Status SpoolFiles(Attempt& attempt, SpoolWriter& writer);
  // False, with a note, when there are max_artifacts already.
  bool RoomForArtifact(v1::PassResult& result) const;
  absl::Status AddMade(const std::string& name, const std::string& kind, std::string_view bytes,
                       SpoolWriter& writer, v1::PassResult& result) const;
  void Keep(Attempt& attempt);
  // Writes what the pass left to options.record_dir; a failure becomes a note.
  void Record(Attempt& attempt) const;
  void Enter(Pass& pass, Phase phase);

  const AgentOptions& options_;
  const StateDirs state_;
  RunnerRooms rooms_;
  const PhaseChanged phase_changed_;
};

// What is searched inside for programs, where the workload does not say.
inline constexpr char kPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// What the site lets programs see and find: its exposed directories, and its own before `path`. Not
// with a root file system of the user's.
void AddSiteTo(const backends::Site& site, std::string& path, sandbox::RunSpec& spec);

// The limits with the worker's own values where the assignment has none.
v1::ResourceLimits FillLimits(v1::ResourceLimits limits);

// INVALID_ARGUMENT: no allowed prefix leads to it, or it is no directory. Links are resolved first.
absl::StatusOr<std::filesystem::path> AllowedRootfs(const std::string& rootfs,
                                                    const std::vector<std::string>& allowed);

}  // namespace sextant::agent
