// The worker's life against a coordinator in memory.
#include "workers/agent/agent.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "spdlog/spdlog.h"
#include "tests/catch.h"
#include "workers/agent/digest.h"
#include "workers/agent/fake_coordinator.h"
#include "workers/agent/fakes.h"
#include "workers/agent/recording.h"
#include "workers/backends/replay/replay_backend.h"
#include "workers/backends/run/run_backend.h"

namespace sextant::agent {
namespace {

// A directory for one test, a coordinator in it, and as many lives of one worker as the test wants.
class Stage {
 public:
  Stage() : coordinator(Root() / "socket") {
    spdlog::set_level(spdlog::level::off);
    coordinator.Start();
  }
  ~Stage() {
    worker.reset();
    coordinator.Stop();
    RemoveTree(root_).IgnoreError();
  }

  void StartWorker(FakeRunning::Program program) {
    AgentOptions options;
    options.coordinator = coordinator.address();
    options.state_dir = root_ / "state";
    options.name = "w";
    options.cpu_slots = 2;
    options.endpoint = endpoint;
    options.times.reconnect = {std::chrono::milliseconds(1), std::chrono::milliseconds(5)};
    options.times.refused = {std::chrono::milliseconds(1), std::chrono::milliseconds(5)};
    std::vector<std::unique_ptr<backends::Backend>> backends;
    options.record_dir = record_dir;
    backends.push_back(std::make_unique<backends::RunBackend>());
    backends.push_back(std::make_unique<backends::ReplayBackend>());
    backends.push_back(std::make_unique<FakeBackend>());
    auto started = Agent::Start(options, std::make_unique<FakeSandbox>(std::move(program)),
                                std::move(backends));
    REQUIRE(started.ok());
    worker = *std::move(started);
  }

  // Waits until nothing is held any more.
  void Drain() {
    worker->Drain();
    REQUIRE(worker->WaitDrained());
  }

  size_t FilesIn(const std::string& directory) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(root_ / "state" / directory)) {
      ++count;
    }
    return count;
  }

  std::filesystem::path root() const { return root_; }

 private:
  const std::filesystem::path& Root() {
    char name[] = "/tmp/sextant-agent-XXXXXX";
    root_ = mkdtemp(name);
    return root_;
  }
  std::filesystem::path root_;

 public:
  std::filesystem::path record_dir;   // --record
  endpoint::Options endpoint;
  FakeCoordinator coordinator;
  std::unique_ptr<Agent> worker;
};

v1::Assignment RunPass(int64_t pass_id, int64_t epoch = 1) {
  v1::Assignment assignment;
  assignment.mutable_pass()->set_pass_id(pass_id);
  assignment.mutable_pass()->set_epoch(epoch);
  assignment.set_job_id(7);
  assignment.set_task("group/task");
  assignment.set_kind("build");
  assignment.set_ordinal(3);
  assignment.mutable_spec()->set_backend("run");
  assignment.mutable_workload()->add_argv("program");
  return assignment;
}

v1::Assignment MeasuringPass(int64_t pass_id, int64_t epoch = 1) {
  v1::Assignment assignment = RunPass(pass_id, epoch);
  assignment.set_kind("profile");
  assignment.set_device("cpu");
  assignment.mutable_spec()->set_backend("fake");
  return assignment;
}

v1::DesiredState StopOf(int64_t pass_id, int64_t epoch) {
  v1::DesiredState desired;
  desired.add_stop()->set_pass_id(pass_id);
  desired.mutable_stop(0)->set_epoch(epoch);
  return desired;
}

bool Holds(const v1::WorkerState& state, int64_t pass_id, const std::string& phase) {
  for (const v1::PassProgress& progress : state.running()) {
    if (progress.pass().pass_id() == pass_id && progress.phase() == phase) return true;
  }
  return false;
}

auto InPhase(int64_t pass_id, const std::string& phase) {
  return [=](const v1::WorkerState& state) { return Holds(state, pass_id, phase); };
}

bool HoldsNothing(const v1::WorkerState& state) { return state.running().empty(); }

v1::ExitReport Succeed(const sandbox::RunSpec&, FakeRunning&) { return Exit(0); }

v1::ExitReport SpinUntilKilled(const sandbox::RunSpec&, FakeRunning& running) {
  return running.UntilKilled();
}

std::string ArtifactDigest(const v1::PassResult& result, const std::string& name) {
  for (const v1::Artifact& artifact : result.artifacts()) {
    if (artifact.name() == name) return artifact.digest();
  }
  return "";
}

}  // namespace

TEST_CASE("a worker attaches, runs a plain command and commits its result") {
  Stage stage;
  const std::string input = stage.coordinator.PutBlob("input text");
  std::map<std::string, std::string> env;
  std::string seen;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    env = spec.env;
    std::ifstream(spec.work_dir / "data/in.txt") >> std::noskipws >> seen;
    std::getline(std::ifstream(spec.work_dir / "data/in.txt"), seen);
    WriteFile(spec.work_dir / "out.txt", "output text");
    WriteFile(spec.stdout_path, "hello\n");
    return Exit(0);
  });
  v1::WorkerState first =
      stage.coordinator.AwaitState([](const v1::WorkerState& state) { return state.has_info(); });
  CHECK(first.info().name() == "w");
  CHECK(first.info().devices(0).name() == "cpu");
  CHECK(first.info().backends_size() == 3);

  v1::Assignment assignment = RunPass(1);
  (*assignment.mutable_workload()->mutable_env())["MINE"] = "yes";
  v1::File* file = assignment.mutable_workload()->add_files();
  file->set_path("data/in.txt");
  file->set_digest(input);
  file->set_size_bytes(10);
  v1::Output* output = assignment.add_outputs();
  output->set_name("result");
  output->set_path("out.txt");
  stage.coordinator.Assign(assignment);

  const v1::PassCommit commit = stage.coordinator.AwaitCommit(1, 1);
  CHECK_FALSE(commit.result().has_failure());
  CHECK(commit.result().exit().verdict() == v1::EXITED);
  CHECK(commit.result().provenance().worker() == "w");
  CHECK(commit.result().provenance().backend() == "run");
  CHECK(commit.result().provenance().sandbox() == "fake");
  CHECK(stage.coordinator.Blob(ArtifactDigest(commit.result(), "result")) == "output text");
  CHECK(stage.coordinator.Blob(ArtifactDigest(commit.result(), "stdout")) == "hello\n");
  CHECK(ArtifactDigest(commit.result(), "stderr").empty());
  CHECK(seen == "input text");
  CHECK(env["MINE"] == "yes");
  CHECK(env["HOME"] == "/tmp");
  CHECK(env["SEXTANT_PASS_ORDINAL"] == "3");
  CHECK(env["SEXTANT_TASK"] == "group/task");

  stage.Drain();
  CHECK(stage.FilesIn("passes") == 0);
  CHECK(stage.FilesIn("spool") == 0);
}

TEST_CASE("a measuring pass uploads its trace before it commits") {
  Stage stage;
  stage.StartWorker([](const sandbox::RunSpec& spec, FakeRunning&) {
    WriteFile(spec.results_dir / "trace", "recorded");
    return Exit(0);
  });
  stage.coordinator.Assign(MeasuringPass(5));
  const v1::PassCommit commit = stage.coordinator.AwaitCommit(5, 1);
  CHECK_FALSE(commit.result().has_failure());
  CHECK(commit.result().events() == 2);
  CHECK(commit.result().provenance().device() == "cpu");
  CHECK(commit.result().provenance().tool_digest() == "abcd");
  CHECK(stage.coordinator.Trace(5) == std::vector<std::string>{"first chunk", "second chunk"});
  CHECK(commit.result().trace_digest() == Digest(Digest("first chunk") + Digest("second chunk")));
}

TEST_CASE("an empty capture is a failure with a reason") {
  Stage stage;
  stage.StartWorker(Succeed);
  stage.coordinator.Assign(MeasuringPass(5));
  const v1::PassResult result = stage.coordinator.AwaitCommit(5, 1).result();
  CHECK(result.failure().cause() == v1::EMPTY_CAPTURE);
  CHECK(result.failure().message() == "the program recorded nothing");
}

TEST_CASE("what a failed program recorded is kept as a partial result") {
  Stage stage;
  stage.StartWorker([](const sandbox::RunSpec& spec, FakeRunning&) {
    WriteFile(spec.results_dir / "trace", "recorded");
    return Exit(3);
  });
  stage.coordinator.Assign(MeasuringPass(5));
  const v1::PassResult result = stage.coordinator.AwaitCommit(5, 1).result();
  CHECK(result.failure().cause() == v1::PROGRAM_FAILED);
  CHECK(result.failure().message() == "the program exited with code 3");
  CHECK(result.partial());
  CHECK(result.events() == 2);
}

TEST_CASE("a verify task whose program exits non-zero is not verified") {
  Stage stage;
  stage.StartWorker([](const sandbox::RunSpec&, FakeRunning&) { return Exit(1); });
  v1::Assignment assignment = RunPass(1);
  assignment.set_kind("verify");
  stage.coordinator.Assign(assignment);
  CHECK(stage.coordinator.AwaitCommit(1, 1).result().failure().cause() == v1::VERIFY_FAILED);
}

TEST_CASE("an assignment sent twice runs once") {
  Stage stage;
  std::atomic<int> runs{0};
  absl::Notification go;
  stage.StartWorker([&](const sandbox::RunSpec&, FakeRunning&) {
    ++runs;
    go.WaitForNotification();
    return Exit(0);
  });
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.Assign(RunPass(2));
  stage.coordinator.AwaitState(InPhase(2, "run"));
  go.Notify();
  stage.coordinator.AwaitCommit(1, 1);
  stage.coordinator.AwaitCommit(2, 1);
  stage.coordinator.AwaitState(HoldsNothing);
  stage.coordinator.Assign(RunPass(1));  // crossed its commit on the way
  stage.coordinator.Assign(RunPass(3));
  stage.coordinator.AwaitCommit(3, 1);
  stage.Drain();
  CHECK(runs == 3);
  CHECK(stage.coordinator.Commits(1) == 1);
}

TEST_CASE("a stopped pass is killed and its result dropped") {
  Stage stage;
  std::string reason;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning& running) {
    v1::ExitReport exit = running.UntilKilled();
    reason = exit.detail();
    return exit;
  });
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  stage.coordinator.Send(StopOf(1, 1));
  stage.Drain();
  CHECK(reason == "cancelled");
  CHECK(stage.coordinator.Commits(1) == 0);
  CHECK(stage.FilesIn("passes") == 0);
  CHECK(stage.FilesIn("spool") == 0);
}

TEST_CASE("a newer epoch of a pass takes the place of the older") {
  Stage stage;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning& running) {
    return spec.name == "pass-1-1" ? running.UntilKilled() : Exit(0);
  });
  stage.coordinator.Assign(MeasuringPass(1, 1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  v1::Assignment again = MeasuringPass(1, 2);
  again.mutable_spec()->set_backend("run");
  stage.coordinator.Assign(again);
  CHECK_FALSE(stage.coordinator.AwaitCommit(1, 2).result().has_failure());
  CHECK(stage.coordinator.Commits(1) == 1);
}

TEST_CASE("a lease that is not renewed kills what runs") {
  Stage stage;
  absl::Notification killed;
  std::string reason;
  stage.StartWorker([&](const sandbox::RunSpec&, FakeRunning& running) {
    v1::ExitReport exit = running.UntilKilled();
    reason = exit.detail();
    killed.Notify();
    return exit;
  });
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  stage.coordinator.SetLease(0);  // the coordinator falls silent
  v1::DesiredState last;
  last.set_lease_s(0.01);
  stage.coordinator.Send(last);
  killed.WaitForNotification();
  CHECK(reason == "lease ended");
  stage.Drain();
  CHECK(stage.coordinator.Commits(1) == 0);
}

TEST_CASE("a pass survives the restart of its coordinator") {
  Stage stage;
  absl::Notification go;
  stage.StartWorker([&](const sandbox::RunSpec&, FakeRunning&) {
    go.WaitForNotification();
    return Exit(0);
  });
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  stage.coordinator.Stop();
  stage.coordinator.Start();
  stage.coordinator.AwaitAttached(2);
  const v1::WorkerState again =
      stage.coordinator.AwaitState([](const v1::WorkerState& state) { return state.has_info(); });
  CHECK(Holds(again, 1, "run"));
  go.Notify();
  CHECK_FALSE(stage.coordinator.AwaitCommit(1, 1).result().has_failure());
}

TEST_CASE("a result made while the coordinator is away is committed when it is back") {
  Stage stage;
  absl::Notification go;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    go.WaitForNotification();
    WriteFile(spec.results_dir / "trace", "recorded");
    WriteFile(spec.stdout_path, "said while alone");
    return Exit(0);
  });
  stage.coordinator.Assign(MeasuringPass(1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  stage.coordinator.Stop();
  go.Notify();
  stage.coordinator.Start();
  const v1::PassResult result = stage.coordinator.AwaitCommit(1, 1).result();
  CHECK(stage.coordinator.Blob(ArtifactDigest(result, "stdout")) == "said while alone");
  CHECK(stage.coordinator.Trace(1).size() == 2);
}

TEST_CASE("a commit that got no answer is sent again") {
  Stage stage;
  stage.StartWorker(Succeed);
  stage.coordinator.FailCommits(3);
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitCommit(1, 1);
  stage.Drain();
  CHECK(stage.FilesIn("spool") == 0);
}

TEST_CASE("a worker that died takes its spooled results along and forgets what had not ended") {
  Stage stage;
  stage.coordinator.FailCommits(1 << 30);
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning& running) {
    if (spec.name == "pass-2-1") return running.UntilKilled();
    WriteFile(spec.results_dir / "trace", "recorded");
    return Exit(0);
  });
  stage.coordinator.Assign(MeasuringPass(1));
  stage.coordinator.AwaitState(InPhase(1, "spooled"));
  stage.coordinator.Assign(RunPass(2));
  stage.coordinator.AwaitState(InPhase(2, "run"));
  stage.worker.reset();
  CHECK(stage.FilesIn("spool") == 1);
  std::filesystem::create_directories(stage.root() / "state/passes/2-1/work");

  stage.coordinator.Stop();
  stage.coordinator.FailCommits(0);
  stage.StartWorker(Succeed);
  CHECK(stage.FilesIn("passes") == 0);
  stage.coordinator.Start();
  const v1::PassCommit commit = stage.coordinator.AwaitCommit(1, 1);
  CHECK(commit.result().events() == 2);
  CHECK(stage.coordinator.Trace(1).size() == 2);
  stage.Drain();
  CHECK(stage.FilesIn("spool") == 0);
  CHECK(stage.coordinator.Commits(2) == 0);
}

TEST_CASE("a worker whose token is refused tries again, with the token that its file holds then") {
  Stage stage;
  const std::string file = stage.root() / "token";
  const auto write = [&](const std::string& token) {
    WriteFile(file + ".new", token);
    std::filesystem::permissions(file + ".new", std::filesystem::perms::owner_read);
    std::filesystem::rename(file + ".new", file);
  };
  write("sx_1_old");
  stage.endpoint.token_file = {file, "--token-file"};
  stage.coordinator.AskForToken("sx_2_new");
  stage.StartWorker(Succeed);
  stage.coordinator.AwaitRefused(3);
  write("sx_2_new\n");
  stage.coordinator.AwaitAttached(1);
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitCommit(1, 1);
  stage.Drain();
}

TEST_CASE("a result outlives its worker's token") {
  Stage stage;
  const std::string file = stage.root() / "token";
  WriteFile(file, "sx_1_old");
  std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  stage.endpoint.token_file = {file, "--token-file"};
  stage.coordinator.AskForToken("sx_1_old");
  stage.StartWorker([&](const sandbox::RunSpec&, FakeRunning&) {
    stage.coordinator.AskForToken("sx_2_new");
    return Exit(0);
  });
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitRefused(2);
  WriteFile(file, "sx_2_new");
  CHECK(stage.coordinator.AwaitCommit(1, 1).result().exit().exit_code() == 0);
  stage.Drain();
  CHECK(stage.FilesIn("spool") == 0);
}

TEST_CASE("a worker that would send its token unencrypted does not start") {
  Stage stage;
  AgentOptions options;
  options.coordinator = "gpu7.example.org:7070";
  options.state_dir = stage.root() / "state";
  options.endpoint.token = {"sx_1_secret", "SEXTANT_TOKEN"};
  const auto started = Agent::Start(options, std::make_unique<FakeSandbox>(Succeed), {});
  CHECK(absl::StartsWith(started.status().message(), "SEXTANT_TOKEN: the token would be sent unencrypted"));
}

TEST_CASE("a result with a stale epoch is dropped from the spool") {
  Stage stage;
  stage.StartWorker(Succeed);
  const v1::CommitOutcome outcome =
      GENERATE(v1::STALE_EPOCH, v1::UNKNOWN_PASS, v1::REFUSED, v1::PASS_CANCELLED);
  stage.coordinator.SetOutcome(1, 1, outcome);
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.AwaitCommit(1, 1);
  stage.Drain();
  CHECK(stage.FilesIn("spool") == 0);
  CHECK(stage.coordinator.Commits(1) == 1);
}

TEST_CASE("a missing output fails the pass and names it") {
  Stage stage;
  stage.StartWorker(Succeed);
  v1::Assignment assignment = RunPass(1);
  v1::Output* output = assignment.add_outputs();
  output->set_name("binary");
  output->set_path("build/a.out");
  stage.coordinator.Assign(assignment);
  const v1::Failure failure = stage.coordinator.AwaitCommit(1, 1).result().failure();
  CHECK(failure.cause() == v1::PROGRAM_FAILED);
  CHECK(failure.message() == "output \"binary\": build/a.out: No such file or directory");
}

TEST_CASE("an output that leads out of the working directory is not followed") {
  Stage stage;
  const std::string path =
      GENERATE("link", "linked/secret", "../../../secret", "pipe", "directory");
  WriteFile(stage.root() / "secret", "not yours");
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    std::filesystem::create_symlink(stage.root() / "secret", spec.work_dir / "link");
    std::filesystem::create_symlink(stage.root(), spec.work_dir / "linked");
    std::filesystem::create_directory(spec.work_dir / "directory");
    mkfifo((spec.work_dir / "pipe").c_str(), 0666);
    return Exit(0);
  });
  v1::Assignment assignment = RunPass(1);
  v1::Output* output = assignment.add_outputs();
  output->set_name("secret");
  output->set_path(path);
  stage.coordinator.Assign(assignment);
  const v1::PassResult result = stage.coordinator.AwaitCommit(1, 1).result();
  CHECK(result.failure().cause() == v1::PROGRAM_FAILED);
  CHECK(result.artifacts().empty());
  CHECK_FALSE(stage.coordinator.HasBlob(Digest("not yours")));
}

TEST_CASE("a device measures one pass at a time, beside CPU tasks") {
  Stage stage;
  stage.StartWorker(SpinUntilKilled);
  stage.coordinator.Assign(MeasuringPass(1));
  stage.coordinator.AwaitState(InPhase(1, "run"));
  stage.coordinator.Assign(RunPass(2));
  stage.coordinator.AwaitState(InPhase(2, "run"));
  stage.coordinator.Assign(MeasuringPass(3));
  const v1::Failure failure = stage.coordinator.AwaitCommit(3, 1).result().failure();
  CHECK(failure.cause() == v1::REJECTED);
  CHECK(failure.message() == "device \"cpu\" is measuring pass 1");
}

TEST_CASE("what cannot be had is refused with its name") {
  Stage stage;
  stage.StartWorker(Succeed);
  v1::Assignment assignment = RunPass(1);
  std::string words;
  SECTION("a backend this worker lacks") {
    assignment.mutable_spec()->set_backend("ncu");
    words = "this worker has no backend \"ncu\"";
  }
  SECTION("an option the backend does not know") {
    (*assignment.mutable_spec()->mutable_options())["speed"] = "high";
    words = "options[\"speed\"]: backend \"run\" has no options";
  }
  SECTION("a root file system that is not allowed") {
    assignment.mutable_workload()->set_rootfs("/usr");
    words = "workload.rootfs: /usr is under none of the prefixes this worker allows";
  }
  SECTION("a device it does not have") {
    assignment.set_device("gpu0");
    words = "this worker has no device \"gpu0\"";
  }
  SECTION("a blob nobody holds") {
    v1::File* file = assignment.mutable_workload()->add_files();
    file->set_path("x");
    file->set_digest(std::string(32, 'x'));
    words = "x: no such blob";
  }
  SECTION("a file outside the working directory") {
    v1::File* file = assignment.mutable_workload()->add_files();
    file->set_path("../x");
    file->set_digest(stage.coordinator.PutBlob("x"));
    file->set_size_bytes(1);
    words = "../x: has an empty, \".\" or \"..\" part";
  }
  stage.coordinator.Assign(assignment);
  const v1::Failure failure = stage.coordinator.AwaitCommit(1, 1).result().failure();
  CHECK(failure.cause() == v1::REJECTED);
  CHECK(failure.message() == words);
  CHECK_FALSE(failure.remedy().empty());
}

TEST_CASE("a pass that is to be kept leaves its directory, and only that") {
  Stage stage;
  stage.StartWorker([](const sandbox::RunSpec& spec, FakeRunning&) {
    WriteFile(spec.work_dir / "scratch", "kept");
    return Exit(1);
  });
  v1::Assignment assignment = RunPass(1);
  assignment.set_keep(true);
  stage.coordinator.Assign(assignment);
  const std::string kept = stage.coordinator.AwaitCommit(1, 1).result().kept_path();
  CHECK(std::filesystem::exists(std::filesystem::path(kept) / "work/scratch"));
  stage.Drain();
  CHECK(stage.FilesIn("passes") == 0);
}

TEST_CASE("a worker that drains finishes what it has, or kills it when it may wait no longer") {
  Stage stage;
  absl::Notification go;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning& running) {
    if (spec.name == "pass-2-1") return running.UntilKilled();
    go.WaitForNotification();
    return Exit(0);
  });
  stage.coordinator.Assign(RunPass(1));
  stage.coordinator.Assign(RunPass(2));
  stage.coordinator.AwaitState(InPhase(2, "run"));
  stage.worker->Drain();
  const v1::WorkerState state =
      stage.coordinator.AwaitState([](const v1::WorkerState& state) { return state.draining(); });
  CHECK(state.running_size() == 2);
  go.Notify();
  stage.coordinator.AwaitCommit(1, 1);
  stage.worker->Drain(std::chrono::nanoseconds(0));
  CHECK_FALSE(stage.worker->WaitDrained());
  CHECK(stage.coordinator.Commits(2) == 0);
}

TEST_CASE("a state directory serves one worker") {
  Stage stage;
  stage.StartWorker(Succeed);
  AgentOptions options;
  options.coordinator = stage.coordinator.address();
  options.state_dir = stage.root() / "state";
  const auto second = Agent::Start(options, std::make_unique<FakeSandbox>(Succeed), {});
  CHECK(second.status().code() == absl::StatusCode::kFailedPrecondition);
}

namespace {

std::string Bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

v1::Assignment ReplayPass(int64_t pass_id, FakeCoordinator& coordinator, const std::string& bytes) {
  v1::Assignment assignment = MeasuringPass(pass_id);
  assignment.mutable_spec()->set_backend("replay");
  (*assignment.mutable_spec()->mutable_options())["recording"] = "recordings/a.rec";
  v1::File* file = assignment.mutable_workload()->add_files();
  file->set_path("recordings/a.rec");
  file->set_digest(coordinator.PutBlob(bytes));
  file->set_size_bytes(bytes.size());
  return assignment;
}

}  // namespace

TEST_CASE("a recorded pass is replayed with its own backend, end and provenance") {
  Stage stage;
  stage.record_dir = stage.root() / "recordings";
  int runs = 0;
  int exit_code = 0;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    ++runs;
    WriteFile(spec.results_dir / "trace", "recorded");
    WriteFile(spec.stdout_path, "hello\n");
    return Exit(exit_code);
  });
  SECTION("of a program that ended well") {}
  SECTION("of a program that failed") { exit_code = 3; }
  v1::Assignment assignment = MeasuringPass(1);
  (*assignment.mutable_spec()->mutable_options())["depth"] = "2";
  stage.coordinator.Assign(assignment);
  const v1::PassResult first = stage.coordinator.AwaitCommit(1, 1).result();
  const std::string recording =
      Bytes(stage.record_dir / "job7-group-task-0003-fake.rec");
  REQUIRE_FALSE(recording.empty());

  stage.coordinator.Assign(ReplayPass(2, stage.coordinator, recording));
  const v1::PassResult again = stage.coordinator.AwaitCommit(2, 1).result();
  INFO(again.DebugString());
  CHECK(runs == 1);
  CHECK(stage.coordinator.Trace(2) == stage.coordinator.Trace(1));
  CHECK(again.trace_digest() == first.trace_digest());
  CHECK(again.exit().SerializeAsString() == first.exit().SerializeAsString());
  CHECK(again.failure().SerializeAsString() == first.failure().SerializeAsString());
  CHECK(again.partial() == first.partial());
  CHECK(again.partial() == (exit_code != 0));
  CHECK(stage.coordinator.Blob(ArtifactDigest(again, "stdout")) == "hello\n");
  CHECK(again.replayed().backend() == "fake");
  CHECK(again.replayed().options().at("depth") == "2");
  CHECK_FALSE(first.has_replayed());
  v1::Provenance provenance = again.provenance();
  CHECK(provenance.extra().at("replayed") == "yes");
  provenance.mutable_extra()->erase("replayed");
  CHECK(provenance.SerializeAsString() == first.provenance().SerializeAsString());
  // Replays are not recorded again.
  CHECK(std::distance(std::filesystem::directory_iterator(stage.record_dir), {}) == 1);
}

TEST_CASE("what is no recording, or of a backend that is not here, is refused by name") {
  Stage stage;
  stage.record_dir = stage.root() / "recordings";
  stage.StartWorker([](const sandbox::RunSpec& spec, FakeRunning&) {
    WriteFile(spec.results_dir / "trace", "recorded");
    return Exit(0);
  });
  std::string bytes = "not a recording at all", words;
  v1::Assignment assignment;
  SECTION("no recording") { words = "recording recordings/a.rec: is no recording"; }
  SECTION("another backend") {
    v1::Recording recording;
    recording.mutable_assignment()->mutable_spec()->set_backend("elsewhere");
    std::filesystem::create_directories(stage.root() / "pass/results");
    REQUIRE(WriteRecording(recording, stage.root() / "pass", stage.root() / "a.rec").ok());
    bytes = Bytes(stage.root() / "a.rec");
    words = "made with backend \"elsewhere\", which this worker does not have";
  }
  SECTION("a replay of a replay") {
    v1::Recording recording;
    recording.mutable_assignment()->mutable_spec()->set_backend("replay");
    std::filesystem::create_directories(stage.root() / "pass/results");
    REQUIRE(WriteRecording(recording, stage.root() / "pass", stage.root() / "a.rec").ok());
    bytes = Bytes(stage.root() / "a.rec");
    words = "made with backend \"replay\"";
  }
  assignment = ReplayPass(1, stage.coordinator, bytes);
  SECTION("an option that names no file") {
    (*assignment.mutable_spec()->mutable_options())["recording"] = "../state/lock";
    words = "\"../state/lock\" is no file of the workload";
  }
  SECTION("no option") {
    assignment.mutable_spec()->clear_options();
    words = "options[\"recording\"]: is missing";
  }
  SECTION("an unknown option") {
    (*assignment.mutable_spec()->mutable_options())["speed"] = "2";
    words = "options[\"speed\"]: backend \"replay\" has no such option";
  }
  stage.coordinator.Assign(assignment);
  const v1::Failure failure = stage.coordinator.AwaitCommit(1, 1).result().failure();
  INFO(failure.DebugString());
  CHECK(failure.cause() == v1::REJECTED);
  CHECK(absl::StrContains(failure.message(), words));
  CHECK_FALSE(failure.remedy().empty());
}

}  // namespace sextant::agent
