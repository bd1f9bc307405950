#include "workers/agent/pass_runner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "spdlog/spdlog.h"
#include "workers/agent/digest.h"
#include "workers/agent/failures.h"
#include "workers/agent/gpu_turn.h"
#include "workers/agent/log.h"
#include "workers/agent/pass_attempt.h"

namespace sextant::agent {
namespace {

constexpr int kDirectoryTries = 16;

// Stands for every limit an assignment leaves out; the service fills in its own before. Cores: as many
// as the machine has.
v1::ResourceLimits OwnLimits() {
  v1::ResourceLimits limits;
  limits.set_memory_bytes(2ull << 30);
  limits.set_pids(256);
  limits.set_wall_s(600);
  limits.set_file_bytes(1ull << 30);
  limits.set_disk_bytes(2ull << 30);
  limits.set_output_bytes(16ull << 20);
  limits.set_open_files(1024);
  return limits;
}

constexpr char kMendGpu[] =
    "the pass runs on another GPU if there is one; `nvidia-smi -q` and the kernel's log say more, "
    "and a GPU that needs it is reset by `nvidia-smi --gpu-reset` or a restart of its machine";

absl::Status CheckEnvironmentName(const std::string& name) {
  if (!name.empty() && name.find('=') == std::string::npos &&
      name.find('\0') == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("workload.env: \"", name, "\" cannot be the name of a variable"));
}

}  // namespace

PassRunner::PassRunner(const AgentOptions& options, RunnerRooms rooms, PhaseChanged phase_changed)
    : options_(options),
      state_(options.state_dir),
      rooms_(rooms),
      phase_changed_(std::move(phase_changed)) {}

std::unique_ptr<SpoolEntry> PassRunner::Run(Pass& pass) {
  const v1::Assignment& assignment = pass.assignment();
  Attempt attempt(assignment, state_.passes);
  *attempt.commit.mutable_pass() = pass.ref();
  attempt.commit.set_started_unix_ns(NowUnixNs());
  v1::Provenance& provenance = *attempt.result().mutable_provenance();
  provenance = MachineProvenance(rooms_.machine);
  provenance.set_worker(options_.name);
  provenance.set_sandbox(rooms_.sandbox.Description());
  provenance.set_device(assignment.device());
  provenance.set_load_average(LoadAverage());

  if (!pass.stopped()) Execute(pass, attempt);
  pass.ClearRunning();
  attempt.commit.set_finished_unix_ns(NowUnixNs());
  std::unique_ptr<SpoolEntry> entry;
  if (!pass.stopped()) entry = Spool(pass, attempt);
  const absl::Status removed = RemoveTree(attempt.root);
  if (attempt.in_job_directory) rmdir(attempt.root.parent_path().c_str());  // when it is empty
  if (!removed.ok()) {
    spdlog::error("msg=\"cannot remove what a pass left\" pass={} epoch={} error={}",
                  pass.ref().pass_id(), pass.ref().epoch(), Quoted(removed.message()));
  }
  return entry;
}

SpoolEntry PassRunner::Refuse(const v1::Assignment& assignment, const std::string& step,
                              const std::string& message, const std::string& remedy) const {
  SpoolEntry entry;
  *entry.commit.mutable_pass() = assignment.pass();
  v1::PassResult& result = *entry.commit.mutable_result();
  *result.mutable_provenance() = MachineProvenance(rooms_.machine);
  result.mutable_provenance()->set_worker(options_.name);
  *result.mutable_failure() = MakeFailure(v1::REJECTED, step, message, remedy);
  entry.commit.set_started_unix_ns(NowUnixNs());
  entry.commit.set_finished_unix_ns(entry.commit.started_unix_ns());
  return entry;
}

absl::Status PassRunner::MakeDirs(const Attempt& attempt) const {
  RETURN_IF_ERROR(RemoveTree(attempt.root));
  if (attempt.in_job_directory) {
    // Another pass of the job may be removing it just now, being the last there.
    for (int i = 0; i < kDirectoryTries; ++i) {
      RETURN_IF_ERROR(MakeDirectory(attempt.root.parent_path(), 0711));
      if (!absl::IsNotFound(MakeDirectory(attempt.root, 0711))) break;
    }
  }
  RETURN_IF_ERROR(MakeDirectory(attempt.root, 0711));
  RETURN_IF_ERROR(MakeDirectory(attempt.work, 0700));
  return MakeDirectory(attempt.results, 0700);
}

void PassRunner::Execute(Pass& pass, Attempt& attempt) {
  const std::string name =
      attempt.assignment.spec().backend().empty() ? "run" : attempt.assignment.spec().backend();
  attempt.result().mutable_provenance()->set_backend(name);
  auto offered = rooms_.backends.find(name);
  if (offered == rooms_.backends.end()) {
    attempt.Fail(MakeFailure(v1::REJECTED, "prepare",
                             absl::StrCat("this worker has no backend \"", name, "\""),
                             "`sextant doctor` lists the backends of a worker"));
    return;
  }
  if (!offered->second.offer.available()) {
    attempt.Fail(MakeFailure(v1::REJECTED, "prepare",
                             absl::StrCat("backend \"", name, "\" cannot work here"),
                             offered->second.offer.reason()));
    return;
  }
  attempt.backend = offered->second.backend.get();
  attempt.result().mutable_provenance()->set_tool_digest(offered->second.offer.tool_digest());
  if (Fetch(pass, attempt) && Plan(attempt) && RunOnDevice(pass, attempt)) {
    Enter(pass, Phase::kCollect);
    Collect(attempt);
  }
  const bool started = attempt.recording.empty() && !attempt.imports;
  if (attempt.ran && !pass.stopped() && started && !options_.record_dir.empty() &&
      attempt.assignment.kind() == "profile") {
    Record(attempt);
  }
}

bool PassRunner::Fetch(Pass& pass, Attempt& attempt) {
  Enter(pass, Phase::kFetch);
  const absl::Status made = MakeDirs(attempt);
  if (!made.ok()) return attempt.Fail(FailureOfStatus("fetch", made));
  absl::StatusOr<Fd> work = OpenDirectory(attempt.work);
  if (!work.ok()) return attempt.Fail(FailureOfStatus("fetch", work.status()));
  for (const v1::File& file : attempt.assignment.workload().files()) {
    Backoff backoff(options_.times.reconnect);
    for (;;) {
      if (pass.stopped()) return false;
      const absl::Status placed = rooms_.blobs.Place(file, work->get());
      if (placed.ok()) break;
      // The coordinator may be restarting, or not take our token now; the lease or a stop ends the waiting.
      if (!absl::IsUnavailable(placed) && !absl::IsUnauthenticated(placed)) {
        return attempt.Fail(FailureOfStatus("fetch", placed));
      }
      if (pass.WaitStopped(std::chrono::steady_clock::now() + backoff.Next())) return false;
    }
  }
  return true;
}

bool PassRunner::Plan(Attempt& attempt) {
  const v1::Assignment& assignment = attempt.assignment;
  const v1::Workload& workload = assignment.workload();
  absl::StatusOr<backends::LaunchPlan> plan = attempt.backend->Prepare(assignment);
  if (!plan.ok()) {
    return attempt.Fail(MakeFailure(v1::REJECTED, "prepare", plan.status().message(),
                                    "correct what is named and submit again"));
  }
  attempt.recording = std::move(plan->recording);
  attempt.imports = plan->imports;
  sandbox::RunSpec& spec = attempt.spec;
  if (!workload.rootfs().empty()) {
    absl::StatusOr<std::filesystem::path> rootfs =
        AllowedRootfs(workload.rootfs(), options_.rootfs_allowed);
    if (!rootfs.ok()) {
      return attempt.Fail(MakeFailure(v1::REJECTED, "prepare", rootfs.status().message(),
                                      "start the worker with --allow-rootfs PREFIX"));
    }
    spec.rootfs = *std::move(rootfs);
  }
  spec.argv = plan->argv;
  spec.env = {{"PATH", kPath}, {"HOME", "/tmp"}, {"LANG", "C.UTF-8"}, {"TMPDIR", "/tmp"}};
  for (const auto& [name, value] : workload.env()) {
    const absl::Status good = CheckEnvironmentName(name);
    if (!good.ok()) return attempt.Fail(FailureOfStatus("prepare", good));
    spec.env[name] = value;
  }
  for (const auto& [name, value] : plan->env) spec.env[name] = value;
  spec.env["SEXTANT_PASS_ORDINAL"] = absl::StrCat(assignment.ordinal());
  spec.env["SEXTANT_JOB"] = absl::StrCat(assignment.job_id());
  spec.env["SEXTANT_TASK"] = assignment.task();
  spec.work_dir = attempt.work;
  spec.results_dir = attempt.results;
  for (const backends::LaunchPlan::Mount& mount : plan->mounts) {
    spec.mounts.push_back({mount.source, mount.target, mount.writable});
  }
  AddSelfTest(attempt);
  if (spec.rootfs.empty()) AddSiteTo(options_.site, spec.env["PATH"], spec);
  spec.limits = FillLimits(workload.limits());
  spec.allow_perf_events = plan->allow_perf_events;
  spec.stdin_text = workload.stdin_text();
  spec.stdout_path = attempt.out;
  spec.stderr_path = attempt.err;
  spec.name = absl::StrCat("pass-", AttemptName(assignment.pass()));
  return PlanWarm(*plan, attempt);
}

// The self-test program lies beside what the backend may mount anyway.
void PassRunner::AddSelfTest(Attempt& attempt) const {
  sandbox::RunSpec& spec = attempt.spec;
  if (attempt.assignment.pass().pass_id() != kProofPass) return;
  const bool mounted =
      std::any_of(spec.mounts.begin(), spec.mounts.end(), [](const sandbox::RunSpec::Mount& mount) {
        return mount.target == backends::kInsideLibraries;
      });
  if (!mounted) {
    spec.mounts.push_back({options_.site.libraries, backends::kInsideLibraries, false});
  }
}

bool PassRunner::RunOnDevice(Pass& pass, Attempt& attempt) {
  const gpu::Gpu* gpu = rooms_.gpus.Find(attempt.assignment.device());
  if (gpu == nullptr) return RunProgram(pass, attempt);
  GpuTurn turn(rooms_.gpus, *gpu);
  const absl::Status begun = turn.Begin(pass, attempt.result());
  if (absl::IsUnavailable(begun)) {
    phase_changed_();  // the coordinator is told
    return attempt.Fail(MakeFailure(v1::DEVICE_UNHEALTHY, "run", begun.message(), kMendGpu));
  }
  if (!begun.ok()) return attempt.Fail(FailureOfStatus("run", begun));
  turn.AddTo(attempt.spec);
  const bool ran = RunProgram(pass, attempt);
  const std::string why = turn.End(attempt.result());
  if (why.empty()) return ran;
  // Whatever the program did: its failure may be the GPU's, and its numbers are not to be believed.
  phase_changed_();
  *attempt.result().mutable_failure() = MakeFailure(
      v1::DEVICE_UNHEALTHY, "run", absl::StrCat(gpu->device, " (", gpu->uuid, "): ", why), kMendGpu);
  return false;
}

bool PassRunner::RunProgram(Pass& pass, Attempt& attempt) {
  if (pass.stopped()) return false;
  if (!attempt.recording.empty()) return Play(attempt);
  if (attempt.imports) return BeginImport(attempt);
  absl::StatusOr<std::unique_ptr<sandbox::Running>> started = StartProgram(pass, attempt);
  if (!started.ok()) return attempt.Fail(FailureOfStatus("run", started.status()));
  std::shared_ptr<sandbox::Running> running = *std::move(started);
  pass.SetRunning(running);
  phase_changed_();
  attempt.record.started_unix_ns = running->started_unix_ns();
  attempt.record.started_monotonic_ns = running->started_monotonic_ns();
  attempt.record.exit = running->Wait();
  if (attempt.forked) {
    // The container serves the next pass when nothing holds on to this one.
    pass.ClearRunning();
    running.reset();
    const v1::Assignment& assignment = attempt.assignment;
    const uint32_t passes = assignment.task_passes();
    rooms_.warm.Release(assignment.device(), passes > 0 && assignment.ordinal() + 1 >= passes);
  }
  attempt.record.assignment = &attempt.assignment;
  attempt.commit.set_started_unix_ns(attempt.record.started_unix_ns);
  attempt.result().mutable_provenance()->set_started_unix_ns(attempt.record.started_unix_ns);
  return NoteEnd(attempt);
}

bool PassRunner::NoteEnd(Attempt& attempt) {
  attempt.ran = true;
  *attempt.result().mutable_exit() = attempt.record.exit;
  v1::Failure failure;
  if (FailureOfExit(attempt.record.exit, attempt.assignment.kind(), &failure)) {
    attempt.Fail(std::move(failure));
    return attempt.record.exit.verdict() != v1::NOT_STARTED;
  }
  return true;
}

void PassRunner::Collect(Attempt& attempt) {
  attempt.record.results_dir = attempt.results;
  attempt.record.work_dir = attempt.work;
  v1::PassResult& result = attempt.result();
  const bool ended_well = !result.has_failure();
  absl::StatusOr<backends::Collected> collected = attempt.backend->Collect(attempt.record);
  if (!collected.ok()) {
    const absl::Status& status = collected.status();
    v1::Failure failure = FailureOfCollect(status);
    // The same files would fail in the same way again.
    if (attempt.imports && failure.cause() == v1::TOOL_FAILED) failure.set_cause(v1::REJECTED);
    if (ended_well) {
      attempt.Fail(std::move(failure));
    } else if (IsOfTool(status)) {
      *result.mutable_failure() = std::move(failure);
    } else {
      result.add_notes(absl::StrCat("nothing was kept: ", status.message()));
    }
    return;
  }
  attempt.collected = *std::move(collected);
  backends::Collected& kept = attempt.collected;
  result.set_partial(!ended_well && (!kept.chunks.empty() || !kept.counters.empty()));
  for (v1::Counter& counter : kept.counters) *result.add_counters() = std::move(counter);
  for (std::string& note : kept.notes) result.add_notes(std::move(note));
  result.set_events(kept.events);
  result.set_dropped(kept.dropped);
  if (kept.clock_hz > 0) result.mutable_provenance()->set_clock_hz(kept.clock_hz);
  if (kept.imported.has_value()) NoteImport(*kept.imported, attempt);
}

void PassRunner::Enter(Pass& pass, Phase phase) {
  pass.Enter(phase);
  phase_changed_();
}

void AddSiteTo(const backends::Site& site, std::string& path, sandbox::RunSpec& spec) {
  for (const std::filesystem::path& directory : site.exposed) {
    spec.mounts.push_back({directory, directory.string(), false});
  }
  if (site.path.empty()) return;
  path = absl::StrCat(absl::StrJoin(site.path, ":",
                                    [](std::string* out, const std::filesystem::path& directory) {
                                      out->append(directory.string());
                                    }),
                      ":", path);
}

v1::ResourceLimits FillLimits(v1::ResourceLimits limits) {
  v1::ResourceLimits filled = OwnLimits();
  // Absent numbers do not overwrite: proto3 merges what is not zero.
  filled.MergeFrom(limits);
  return filled;
}

absl::StatusOr<std::filesystem::path> AllowedRootfs(const std::string& rootfs,
                                                    const std::vector<std::string>& allowed) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(rootfs, error);
  if (error || !std::filesystem::is_directory(real, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("workload.rootfs: ", rootfs, " is no directory on this worker"));
  }
  for (const std::string& prefix : allowed) {
    const std::filesystem::path base = std::filesystem::canonical(prefix, error);
    if (error) continue;
    const std::string inside = base == "/" ? "/" : absl::StrCat(base.string(), "/");
    if (real == base || absl::StartsWith(real.string(), inside)) return real;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "workload.rootfs: ", rootfs, " is under none of the prefixes this worker allows"));
}

}  // namespace sextant::agent
