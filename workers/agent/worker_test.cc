// The program sextant-worker itself, with its real sandbox, against a coordinator in memory.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/catch.h"
#include "workers/agent/digest.h"
#include "workers/agent/fake_coordinator.h"
#include "workers/agent/files.h"

extern char** environ;

namespace sextant::agent {
namespace {

class Stage {
 public:
  Stage() {
    char name[] = "/tmp/sextant-worker-XXXXXX";
    root_ = mkdtemp(name);
    coordinator = std::make_unique<FakeCoordinator>(root_ / "socket");
    coordinator->Start();
  }
  ~Stage() {
    if (pid_ > 0) End(SIGKILL);
    coordinator.reset();
    RemoveTree(root_).IgnoreError();
  }

  void StartWorker(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {SEXTANT_WORKER_PROGRAM,
                                      "--coordinator",
                                      coordinator->address(),
                                      "--state",
                                      (root_ / "state").string(),
                                      "--log-level",
                                      "warn"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    REQUIRE(posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  }

  void Signal(int signal) { kill(pid_, signal); }

  // Sends the signal and waits; the wait status.
  int End(int signal) {
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  std::string LastOutput(const v1::PassResult& result, const std::string& name) {
    for (const v1::Artifact& artifact : result.artifacts()) {
      if (artifact.name() == name) return coordinator->Blob(artifact.digest());
    }
    return "";
  }

  const std::filesystem::path& root() const { return root_; }
  std::unique_ptr<FakeCoordinator> coordinator;

 private:
  std::filesystem::path root_;
  pid_t pid_ = -1;
};

v1::Assignment Shell(int64_t pass_id, const std::string& script, int64_t epoch = 1) {
  v1::Assignment assignment;
  assignment.mutable_pass()->set_pass_id(pass_id);
  assignment.mutable_pass()->set_epoch(epoch);
  assignment.set_task("task");
  assignment.set_kind("build");
  assignment.mutable_spec()->set_backend("run");
  for (const char* word : {"/bin/sh", "-c"}) assignment.mutable_workload()->add_argv(word);
  assignment.mutable_workload()->add_argv(script);
  return assignment;
}

auto Running(int64_t pass_id) {
  return [=](const v1::WorkerState& state) {
    for (const v1::PassProgress& progress : state.running()) {
      if (progress.pass().pass_id() == pass_id && progress.phase() == "run") return true;
    }
    return false;
  };
}

}  // namespace

TEST_CASE("the worker runs a command in its container and commits what it left") {
  Stage stage;
  stage.StartWorker();
  v1::Assignment assignment =
      Shell(1, "cat in.txt > out.txt; ./tool; echo said; echo wrong >&2; ls -a /work; exit 0");
  v1::File* in = assignment.mutable_workload()->add_files();
  in->set_path("in.txt");
  in->set_digest(stage.coordinator->PutBlob("from the client"));
  in->set_size_bytes(15);
  v1::File* tool = assignment.mutable_workload()->add_files();
  const std::string script = "#!/bin/sh\necho tool in $PWD\n";
  tool->set_path("tool");
  tool->set_digest(stage.coordinator->PutBlob(script));
  tool->set_size_bytes(script.size());
  tool->set_mode(0755);
  v1::Output* output = assignment.add_outputs();
  output->set_name("out");
  output->set_path("out.txt");
  stage.coordinator->Assign(assignment);
  const v1::PassResult result = stage.coordinator->AwaitCommit(1, 1).result();
  INFO(result.DebugString());
  CHECK_FALSE(result.has_failure());
  CHECK(stage.LastOutput(result, "out") == "from the client");
  CHECK(stage.LastOutput(result, "stdout") ==
        "tool in /work\nsaid\n.\n..\nin.txt\nout.txt\ntool\n");
  CHECK(stage.LastOutput(result, "stderr") == "wrong\n");
  CHECK(absl::StartsWith(result.provenance().sandbox(), "bwrap"));
  CHECK(WEXITSTATUS(stage.End(SIGTERM)) == 0);
}

TEST_CASE("cancelling kills the program, and the worker goes on") {
  Stage stage;
  stage.StartWorker();
  stage.coordinator->Assign(Shell(1, "sleep 1000 & sleep 1000"));
  stage.coordinator->AwaitState(Running(1));
  v1::DesiredState stop;
  stop.add_stop()->set_pass_id(1);
  stop.mutable_stop(0)->set_epoch(1);
  stage.coordinator->Send(stop);
  stage.coordinator->AwaitState(
      [](const v1::WorkerState& state) { return state.running().empty(); });
  stage.coordinator->Assign(Shell(2, "true"));
  CHECK_FALSE(stage.coordinator->AwaitCommit(2, 1).result().has_failure());
  CHECK(stage.coordinator->Commits(1) == 0);
}

TEST_CASE("a program's directories vanish with it, however it leaves them") {
  Stage stage;
  stage.StartWorker();
  stage.coordinator->Assign(
      Shell(1,
            "mkdir closed && touch closed/file && chmod 000 closed; "
            "i=0; while [ $i -lt 3000 ]; do mkdir deep && cd -P deep; i=$((i+1)); done; "
            "cd /results && mkfifo pipe && ln -s / root; exit 0"));
  const v1::PassResult result = stage.coordinator->AwaitCommit(1, 1).result();
  // The sandbox may have stopped it for its depth; nothing of it stays either way.
  CHECK(result.exit().verdict() != v1::NOT_STARTED);
  CHECK(std::filesystem::is_empty(stage.root() / "state/passes"));
}

TEST_CASE("a pass cannot reach the directories of another") {
  Stage stage;
  stage.StartWorker({"--cpu-slots", "2"});
  stage.coordinator->Assign(Shell(1, "echo secret > /work/mine; sleep 1000"));
  stage.coordinator->AwaitState(Running(1));
  const std::string other = (stage.root() / "state/passes/1-1").string();
  stage.coordinator->Assign(
      Shell(2, absl::StrCat("ls ", other, " /work/.. ; cat ", other,
                            "/work/mine /work/../1-1/work/mine; "
                            "echo x > ",
                            other,
                            "/results/x; find /tmp /work /results /run /home /root /var/lib -name "
                            "mine 2>/dev/null; exit 0")));
  const v1::PassResult result = stage.coordinator->AwaitCommit(2, 1).result();
  CHECK_FALSE(absl::StrContains(stage.LastOutput(result, "stdout"), "mine"));
  CHECK_FALSE(absl::StrContains(stage.LastOutput(result, "stdout"), "secret"));
  CHECK(std::filesystem::is_empty(other + "/results"));
}

TEST_CASE("a worker killed at any moment loses no result that it had finished") {
  Stage stage;
  stage.StartWorker();
  stage.coordinator->FailCommits(1 << 30);
  stage.coordinator->Assign(Shell(1, "echo finished"));
  stage.coordinator->AwaitState([](const v1::WorkerState& state) {
    return state.running_size() == 1 && state.running(0).phase() == "spooled";
  });
  stage.coordinator->Assign(Shell(2, "sleep 1000"));
  stage.coordinator->AwaitState(Running(2));
  stage.End(SIGKILL);
  stage.coordinator->FailCommits(0);
  stage.StartWorker();
  const v1::PassResult result = stage.coordinator->AwaitCommit(1, 1).result();
  CHECK(stage.LastOutput(result, "stdout") == "finished\n");
  stage.coordinator->Assign(Shell(2, "echo again", 2));
  CHECK(stage.LastOutput(stage.coordinator->AwaitCommit(2, 2).result(), "stdout") == "again\n");
  CHECK(stage.coordinator->Commits(2) == 1);
}

TEST_CASE("the container of a kept pass can be entered again") {
  Stage stage;
  stage.StartWorker();
  v1::Assignment assignment = Shell(1, "echo kept > file; exit 3");
  (*assignment.mutable_workload()->mutable_env())["MINE"] = "yes";
  assignment.set_keep(true);
  stage.coordinator->Assign(assignment);
  const std::string kept = stage.coordinator->AwaitCommit(1, 1).result().kept_path();
  stage.End(SIGTERM);
  const std::string command =
      absl::StrCat(SEXTANT_WORKER_PROGRAM, " --shell ", kept,
                   " -- sh -c 'test \"$(pwd) $MINE $(cat file)\" = \"/work yes kept\" && exit 42'");
  CHECK(WEXITSTATUS(system(command.c_str())) == 42);
}

TEST_CASE("SIGTERM lets what runs finish") {
  Stage stage;
  stage.StartWorker({"--drain-s", "3600"});
  // The program waits for a file that appears once the worker drains.
  stage.coordinator->Assign(Shell(1, "until [ -e go ]; do :; done; echo finished"));
  stage.coordinator->AwaitState(Running(1));
  stage.Signal(SIGTERM);
  stage.coordinator->AwaitState([](const v1::WorkerState& state) { return state.draining(); });
  close(open((stage.root() / "state/passes/1-1/work/go").c_str(), O_CREAT | O_WRONLY, 0644));
  CHECK(stage.LastOutput(stage.coordinator->AwaitCommit(1, 1).result(), "stdout") == "finished\n");
  CHECK(WEXITSTATUS(stage.End(0)) == 0);
}

TEST_CASE("a second SIGTERM waits no longer") {
  Stage stage;
  stage.StartWorker({"--drain-s", "3600"});
  stage.coordinator->Assign(Shell(1, "sleep 1000"));
  stage.coordinator->AwaitState(Running(1));
  stage.Signal(SIGTERM);
  stage.coordinator->AwaitState([](const v1::WorkerState& state) { return state.draining(); });
  CHECK(WEXITSTATUS(stage.End(SIGTERM)) == 0);
  CHECK(stage.coordinator->Commits(1) == 0);
}

}  // namespace sextant::agent
