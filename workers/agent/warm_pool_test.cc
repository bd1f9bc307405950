// Which passes are forked, from what, and when containers go.
#include "workers/agent/warm_pool.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/catch.h"
#include "workers/agent/warm_modules.h"

namespace sextant::agent {
namespace {
namespace fs = std::filesystem;

const std::function<bool()> kNeverStopped = [] { return false; };

TEST_CASE("imports of frameworks are found in a program's text") {
  using Names = std::vector<std::string>;
  CHECK(ImportsOf("import torch\n  import triton.language as tl  # x\nimport os, numpy as np\n") ==
        Names{"torch", "triton.language", "numpy"});
  CHECK(ImportsOf("from torch.nn import functional\nfrom .torch import x\nfrom torchlike import y") ==
        Names{"torch.nn"});
  CHECK(ImportsOf("# import torch is not here\nimportant = 1\nimport torch;print(1)\nimport torch..x") ==
        Names{"torch"});
}

TEST_CASE("modules may be named") {
  CHECK(*ParseModules("torch+my.module_1") == std::vector<std::string>{"torch", "my.module_1"});
  for (const char* wrong : {"", "a++b", "a b", "-c", "a;b", "../x"}) {
    const auto parsed = ParseModules(wrong);
    REQUIRE(parsed.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(std::string(parsed.status().message()), Catch::Contains("options[\"warm\"]"));
  }
}

class Stage {
 public:
  explicit Stage(WarmTimes times = {}) {
    std::string name = "/tmp/sextant-warm-XXXXXX";
    root_ = mkdtemp(name.data());
    fs::permissions(root_, fs::perms(0711));
    auto sandbox = sandbox::MakeBubblewrapSandbox({});
    INFO(sandbox.status());
    REQUIRE(sandbox.ok());
    sandbox_ = *std::move(sandbox);
    pool_ = std::make_unique<WarmPool>(*sandbox_, times);
  }
  ~Stage() {
    pool_.reset();
    fs::remove_all(root_);
  }

  // Runs a pass of a job; its output says which container it was forked from.
  std::string Run(int64_t job, const std::string& device = "cpu", bool last = false,
                  const std::string& variable = "") {
    const fs::path home = root_ / absl::StrCat("job-", job) / absl::StrCat("pass-", ++passes_);
    sandbox::RunSpec spec;
    spec.argv = {"python3", "run.py"};
    spec.work_dir = home / "work";
    spec.results_dir = home / "results";
    fs::create_directories(spec.work_dir);
    fs::create_directories(spec.results_dir);
    std::ofstream(spec.work_dir / "run.py")
        << "import decimal\nprint(open('/proc/2/stat').read().split()[21], id(decimal))\n";
    spec.stdout_path = home / "stdout";
    spec.stderr_path = home / "stderr";
    spec.name = absl::StrCat("pass-", passes_);
    spec.limits.set_memory_bytes(256 << 20);
    spec.limits.set_disk_bytes(16 << 20);
    spec.limits.set_pids(40);
    spec.limits.set_wall_s(60);
    WarmRequest request{.device = device,
                        .job_id = job,
                        .python = *sandbox::ParsePythonCommand(spec.argv),
                        .modules = {"decimal"},
                        .env = {{"VARIABLE", variable}},
                        .passes_dir = home.parent_path()};
    pool_->EndOthers(device, job);
    auto running = pool_->Start(request, spec, kNeverStopped);
    INFO(running.status());
    REQUIRE(running.ok());
    const v1::ExitReport report = (*running)->Wait();
    CHECK(report.verdict() == v1::EXITED);
    CHECK(report.exit_code() == 0);
    running->reset();
    pool_->Release(device, last);
    std::ifstream out(spec.stdout_path);
    return {std::istreambuf_iterator<char>(out), {}};
  }

  // Directories of containers of this job.
  size_t Containers(int64_t job) const {
    size_t count = 0;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(root_ / absl::StrCat("job-", job), ignored)) {
      count += absl::StartsWith(entry.path().filename().string(), "warm-");
    }
    return count;
  }

  WarmPool& pool() { return *pool_; }

 private:
  fs::path root_;
  std::unique_ptr<sandbox::Sandbox> sandbox_;
  std::unique_ptr<WarmPool> pool_;
  int passes_ = 0;
};

TEST_CASE("passes of a job come from one container, those of another job from another") {
  Stage stage;
  const std::string first = stage.Run(1), second = stage.Run(1);
  CHECK(first == second);
  CHECK(stage.Containers(1) == 1);
  CHECK(stage.Run(2) != first);
  CHECK(stage.Containers(1) == 0);  // it went before the other job's pass began
  CHECK(stage.Containers(2) == 1);
}

TEST_CASE("devices have containers of their own") {
  Stage stage;
  const std::string one = stage.Run(1, "gpu0"), other = stage.Run(1, "gpu1");
  CHECK(one != other);
  CHECK(stage.Run(1, "gpu0") == one);
}

TEST_CASE("passes that differ in what modules may look at on import do not share a container") {
  Stage stage;
  const std::string plain = stage.Run(1), other = stage.Run(1, "cpu", false, "other");
  CHECK(plain != other);
  CHECK(stage.Run(1) == plain);  // two kinds may take turns
  CHECK(stage.Containers(1) == 2);
  stage.Run(1, "cpu", false, "third");
  CHECK(stage.Containers(1) == 2);
}

TEST_CASE("the last pass of a task ends its container") {
  Stage stage;
  stage.Run(1);
  stage.Run(1, "cpu", /*last=*/true);
  CHECK(stage.Containers(1) == 0);
}

TEST_CASE("a container that waits for long ends by itself") {
  Stage stage({.idle = std::chrono::milliseconds(20)});
  stage.Run(1);
  for (int i = 0; i < 3000 && stage.Containers(1) > 0; ++i) poll(nullptr, 0, 10);
  CHECK(stage.Containers(1) == 0);
}

}  // namespace
}  // namespace sextant::agent
