// How runs start and end, in the sandbox and in the bare one.
#include "workers/sandbox/sandbox.h"

#include <sys/wait.h>

#include <thread>

#include "workers/sandbox/testing.h"

namespace sextant::sandbox {
namespace {

std::unique_ptr<Sandbox> Either(bool bare) {
  return bare ? MakeBareSandbox({}) : MustMake();
}

// A bare sandbox has no mounts: it runs the programs where they lie.
RunSpec For(Bench& bench, bool bare, std::vector<std::string> argv) {
  RunSpec spec = bench.Spec(std::move(argv));
  if (bare) {
    spec.argv[0] = bench.path().string() + spec.argv[0];
    spec.mounts.clear();
  }
  return spec;
}

TEST_CASE("exit codes and signals are exact") {
  const bool bare = GENERATE(false, true);
  auto sandbox = Either(bare);
  Bench bench;
  for (int code : {0, 1, 126, 127, 139, 255}) {
    const auto report = bench.Run(*sandbox, For(bench, bare, {"exit_code", absl::StrCat(code)}));
    CHECK(report.verdict() == v1::EXITED);
    CHECK(report.exit_code() == code);
  }
  const auto report = bench.Run(*sandbox, For(bench, bare, {"crash"}));
  CHECK(report.verdict() == v1::SIGNALLED);
  CHECK(report.signal() == SIGSEGV);
}

TEST_CASE("a program that is missing or cannot be executed was not started") {
  const bool bare = GENERATE(false, true);
  auto sandbox = Either(bare);
  Bench bench;
  RunSpec spec = For(bench, bare, {"good"});
  spec.argv = {"no-such-program"};
  auto report = bench.Run(*sandbox, spec);
  CHECK(report.verdict() == v1::NOT_STARTED);
  CHECK(absl::StrContains(report.detail(), "no-such-program"));
  std::ofstream(spec.work_dir / "text") << "no program\n";
  spec.argv = {"./text"};
  report = bench.Run(*sandbox, spec);
  CHECK(report.verdict() == v1::NOT_STARTED);
  CHECK(absl::StrContains(report.detail(), "Permission denied"));
}

TEST_CASE("the working directory comes before PATH") {
  const bool bare = GENERATE(false, true);
  auto sandbox = Either(bare);
  Bench bench;
  RunSpec spec = For(bench, bare, {"good"});
  std::filesystem::copy(bench.path() / "hostile" / "exit_code", spec.work_dir / "true");
  spec.argv = {"true", "9"};
  CHECK(bench.Run(*sandbox, spec).exit_code() == 9);
}

TEST_CASE("input, output and results arrive, in the sandbox and without it") {
  const bool bare = GENERATE(false, true);
  auto sandbox = Either(bare);
  Bench bench;
  RunSpec spec = For(bench, bare, {"good"});
  spec.argv = {"/bin/sh", "-c", "cat; echo error >&2; echo \"$GREETING\" > \"$WHERE\""};
  spec.env = {{"GREETING", "hello"}, {"WHERE", "/results/greeting"}};
  spec.stdin_text = std::string(300000, 'x');
  const auto report = bench.Run(*sandbox, spec);
  CHECK(report.exit_code() == 0);
  CHECK(report.stdout_bytes() == 300000);
  CHECK(ReadAll(spec.stdout_path) == spec.stdin_text);
  CHECK(ReadAll(spec.stderr_path) == "error\n");
  CHECK(ReadAll(spec.results_dir / "greeting") == "hello\n");
}

TEST_CASE("nothing of the worker's environment is inherited") {
  auto sandbox = MustMake();
  Bench bench;
  setenv("SECRET_OF_THE_WORKER", "1", 1);
  RunSpec spec = bench.Spec({"good"});
  spec.argv = {"/usr/bin/env"};
  spec.env = {{"A", "b=c d"}};
  bench.Run(*sandbox, spec);
  const std::string out = ReadAll(spec.stdout_path);
  CHECK(absl::StrContains(out, "A=b=c d\n"));
  CHECK(absl::StrContains(out, "HOME=/tmp\n"));
  CHECK_FALSE(absl::StrContains(out, "SECRET_OF_THE_WORKER"));
}

TEST_CASE("a bare run is killed with what it started") {
  const bool cgroups = GENERATE(true, false);
  SandboxOptions options;
  options.cgroups = cgroups;
  auto sandbox = MakeBareSandbox(options);
  Bench bench;
  const RunSpec spec = For(bench, true, {"signal_ignorer", bench.marker()});
  auto running = sandbox->Start(spec);
  REQUIRE(running.ok());
  REQUIRE(Eventually([&] { return ProcessesWith(bench.marker()).size() == 4; }));
  (*running)->Kill("enough");
  CHECK((*running)->Wait().verdict() == v1::KILLED);
  CHECK(Eventually([&] { return ProcessesWith(bench.marker()).empty(); }));
}

TEST_CASE("an abandoned run is killed") {
  auto sandbox = MustMake();
  Bench bench;
  {
    auto running = sandbox->Start(bench.Spec({"sleeper", bench.marker()}));
    REQUIRE(running.ok());
  }
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a run outlives the thread that started it") {
  auto sandbox = MustMake();
  Bench bench;
  std::unique_ptr<Running> running;
  std::thread starter([&] {
    auto started = sandbox->Start(bench.Spec({"exit_code", "5"}));
    if (started.ok()) running = *std::move(started);
  });
  starter.join();
  REQUIRE(running != nullptr);
  CHECK(running->Wait().exit_code() == 5);
}

TEST_CASE("a worker that is killed takes its programs with it") {
  Bench bench;
  const RunSpec spec = bench.Spec({"signal_ignorer", bench.marker()});
  const pid_t worker = fork();
  if (worker == 0) {
    auto sandbox = MakeBubblewrapSandbox({});
    auto running = sandbox.ok() ? (*sandbox)->Start(spec) : sandbox.status();
    if (!running.ok()) _exit(1);
    (*running)->Wait();
    _exit(0);
  }
  REQUIRE(Eventually([&] { return absl::StrContains(ReadAll(spec.stdout_path), "ignoring"); }));
  REQUIRE(kill(worker, SIGKILL) == 0);
  REQUIRE(waitpid(worker, nullptr, 0) == worker);
  CHECK(Eventually([&] { return ProcessesWith(bench.marker()).empty(); }));
  // What it could not clean up, the next worker does.
  auto sandbox = MustMake();
  CHECK(CgroupsOf(worker).empty());
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("many runs at once do not disturb each other") {
  auto sandbox = MustMake();
  Bench bench;
  std::vector<std::unique_ptr<Running>> all;
  std::vector<RunSpec> specs;
  for (int i = 0; i < 12; ++i) {
    specs.push_back(bench.Spec({"good"}));
    specs.back().stdin_text = absl::StrCat(i, "\n");
  }
  for (const RunSpec& spec : specs) {
    auto running = sandbox->Start(spec);
    REQUIRE(running.ok());
    all.push_back(*std::move(running));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i]->Wait().exit_code() == 0);
    CHECK(ReadAll(specs[i].stdout_path) == absl::StrCat(i, "\ngood\n"));
  }
}

TEST_CASE("a root file system of the user's works, even one with nothing but the program") {
  auto sandbox = MustMake();
  Bench bench;
  const auto rootfs = bench.dir().Make("rootfs");
  std::filesystem::create_directories(rootfs / "bin");
  std::filesystem::copy(bench.path() / "hostile" / "good", rootfs / "bin" / "good");
  std::ofstream(rootfs / "only-here") << "1";
  RunSpec spec = bench.Spec({"good"});
  spec.rootfs = rootfs;
  spec.argv = {"good"};
  spec.mounts.clear();
  CHECK(bench.Run(*sandbox, spec).exit_code() == 0);
  CHECK(ReadAll(spec.results_dir / "result") == "result\n");
  spec.argv = {"/usr/bin/env"};
  CHECK(bench.Run(*sandbox, spec).verdict() == v1::NOT_STARTED);
  spec.rootfs = "/nowhere/at/all";
  const auto refused = sandbox->Start(spec);
  REQUIRE_FALSE(refused.ok());
  CHECK(absl::StrContains(refused.status().message(), "rootfs \"/nowhere/at/all\""));
}

TEST_CASE("directories that only the worker can reach are given to the program all the same") {
  auto sandbox = MustMake();
  Bench bench;
  RunSpec spec = bench.Spec({"good"});
  std::filesystem::permissions(spec.work_dir.parent_path(), std::filesystem::perms(0700));
  const auto report = bench.Run(*sandbox, spec);
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  CHECK(ReadAll(spec.results_dir / "result") == "result\n");
}

TEST_CASE("a worker that is no root runs programs too") {
  if (geteuid() != 0) return;  // then every other test has shown it
  Bench bench;
  RunSpec good = bench.Spec({"good"}), bomb = bench.Spec({"memory_bomb", bench.marker()});
  for (const auto& entry : std::filesystem::recursive_directory_iterator(bench.path())) {
    REQUIRE(lchown(entry.path().c_str(), 65534, 65534) == 0);
  }
  const pid_t worker = fork();
  if (worker == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    auto sandbox = MakeBubblewrapSandbox({});
    if (!sandbox.ok()) _exit(3);
    auto first = (*sandbox)->Start(good);
    if (!first.ok() || (*first)->Wait().verdict() != v1::EXITED) _exit(4);
    auto second = (*sandbox)->Start(bomb);
    if (!second.ok() || (*second)->Wait().verdict() != v1::OUT_OF_MEMORY) _exit(5);
    _exit(0);
  }
  int status = -1;
  REQUIRE(waitpid(worker, &status, 0) == worker);
  CHECK(status == 0);
  CHECK(ReadAll(good.results_dir / "result") == "result\n");
  CHECK(ProcessesWith(bench.marker()).empty());
}

TEST_CASE("no bubblewrap is said, with the remedy") {
  SandboxOptions options;
  options.bwrap_path = "/nowhere/bwrap";
  const auto sandbox = MakeBubblewrapSandbox(options);
  REQUIRE_FALSE(sandbox.ok());
  CHECK(absl::StrContains(sandbox.status().message(), "install the package \"bubblewrap\""));
}

}  // namespace
}  // namespace sextant::sandbox
