// Warm containers: a forked run is like one of its own, sees nothing of others, and leaves nothing.
#include "workers/sandbox/warm.h"

#include <signal.h>

#include <map>

#include "absl/strings/str_replace.h"

#include "workers/sandbox/testing.h"

namespace sextant::sandbox {
namespace {

const std::function<bool()> kNeverStopped = [] { return false; };

// A job's passes in one place, and a container for them.
class WarmBench {
 public:
  explicit WarmBench(std::vector<std::string> modules = {"decimal", "no_such_module"}, bool cgroups = true)
      : sandbox_(MustMake(cgroups)) {
    warm_.passes_dir = dir_.Make("job");
    std::ofstream(dir_.Make("modules/triton") / "__init__.py") << "# stands for Triton\n";
    RunSpec idle = Spec("", {});
    idle.argv = {"python3"};
    idle.stdout_path.clear();
    idle.stderr_path.clear();
    warm_.base = idle;
    warm_.modules = std::move(modules);
    auto container = sandbox_->StartWarm(warm_);
    INFO(container.status());
    REQUIRE(container.ok());
    container_ = *std::move(container);
  }

  // `program` becomes /work/run.py.
  RunSpec Spec(const std::string& program, std::vector<std::string> arguments) {
    const std::filesystem::path home = dir_.Make(absl::StrCat("job/pass-", ++runs_));
    RunSpec spec;
    spec.argv = {"python3", "run.py"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.env = {{"LANG", "C.UTF-8"}, {"MARK", marker_}, {"PYTHONPATH", "/modules"}};
    spec.mounts = {{dir_.path() / "modules", "/modules", false}};
    spec.work_dir = home / "work";
    spec.results_dir = home / "results";
    std::filesystem::create_directories(spec.work_dir);
    std::filesystem::create_directories(spec.results_dir);
    std::ofstream(spec.work_dir / "run.py") << program;
    spec.stdout_path = home / "stdout";
    spec.stderr_path = home / "stderr";
    spec.name = absl::StrCat("run-", runs_);
    spec.limits.set_memory_bytes(256 << 20);
    spec.limits.set_cpu_cores(2);
    spec.limits.set_pids(40);
    spec.limits.set_wall_s(60);
    spec.limits.set_file_bytes(16 << 20);
    spec.limits.set_disk_bytes(48 << 20);
    spec.limits.set_output_bytes(1 << 20);
    spec.limits.set_open_files(256);
    return spec;
  }

  v1::ExitReport Warm(const RunSpec& spec) {
    auto running = container_->Start(spec, kNeverStopped);
    INFO(running.status());
    REQUIRE(running.ok());
    return (*running)->Wait();
  }
  v1::ExitReport Warm(const std::string& program, std::vector<std::string> arguments = {}) {
    last_ = Spec(program, std::move(arguments));
    const v1::ExitReport report = Warm(last_);
    UNSCOPED_INFO(report.ShortDebugString());
    UNSCOPED_INFO("stdout: " << Out().substr(0, 500) << "\nstderr: " << Err().substr(0, 500));
    return report;
  }
  v1::ExitReport Cold(const RunSpec& spec) {
    auto running = sandbox_->Start(spec);
    REQUIRE(running.ok());
    return (*running)->Wait();
  }

  std::string Out() const { return ReadAll(last_.stdout_path); }
  std::string Err() const { return ReadAll(last_.stderr_path); }
  const RunSpec& last() const { return last_; }
  WarmContainer& container() { return *container_; }
  void End() { container_.reset(); }
  const std::string& marker() const { return marker_; }

 private:
  TempDir dir_;
  const std::string marker_ = absl::StrCat("marker-", getpid(), "-", absl::GetCurrentTimeNanos());
  std::unique_ptr<Sandbox> sandbox_;
  WarmSpec warm_;
  std::unique_ptr<WarmContainer> container_;
  RunSpec last_;
  int runs_ = 0;
};

TEST_CASE("a forked run has its imports behind it, and is in the rest as if started by itself") {
  WarmBench bench;
  const std::string program = R"(
import os, sys
print(sys.argv, os.getcwd(), __name__, __file__, sys.path[0], sorted(os.environ), os.getpid() > 1)
print(sys.stdin.read(), os.getsid(0) == os.getpid(), os.getppid(), os.umask(0o22), os.listdir("/tmp"))
print(os.path.exists("/sextant/passes/.covered"), len(os.listdir("/proc/self/fd")), sys.orig_argv)
open("/results/out", "w").write("left")
if len(sys.argv) > 2: raise ValueError("oh")
sys.exit(int(sys.argv[1]))
)";
  for (const std::vector<std::string> arguments :
       {std::vector<std::string>{"0"}, {"7"}, {"0", "raise"}}) {
    RunSpec warm = bench.Spec(program, arguments), cold = bench.Spec(program, arguments);
    warm.stdin_text = cold.stdin_text = "said";
    const v1::ExitReport forked = bench.Warm(warm), own = bench.Cold(cold);
    CHECK(forked.verdict() == v1::EXITED);
    CHECK(forked.exit_code() == own.exit_code());
    std::string ours = ReadAll(warm.stdout_path), theirs = ReadAll(cold.stdout_path);
    // Whether the mark of the covered directory is there is all that may differ.
    ours = absl::StrReplaceAll(ours, {{"True 4 [", "False 4 ["}});
    CHECK(ours == theirs);
    CHECK(ReadAll(warm.stderr_path) == ReadAll(cold.stderr_path));
    CHECK(ReadAll(warm.results_dir / "out") == "left");
  }
  CHECK(bench.Warm("import sys; sys.exit(0 if 'decimal' in sys.modules else 3)").exit_code() == 0);
}

TEST_CASE("what Python cannot find is said as Python says it") {
  WarmBench bench;
  RunSpec warm = bench.Spec("", {}), cold = bench.Spec("", {});
  warm.argv[1] = cold.argv[1] = "missing.py";
  CHECK(bench.Warm(warm).exit_code() == 2);
  CHECK(bench.Cold(cold).exit_code() == 2);
  RunSpec code = bench.Spec("", {});
  code.argv = {"python3", "-c", "import sys; print(sys.argv); sys.exit(5)", "x"};
  CHECK(bench.Warm(code).exit_code() == 5);
  CHECK(ReadAll(code.stdout_path) == "['-c', 'x']\n");
  RunSpec module = bench.Spec("import sys; print(__name__, sys.argv[1:])", {});
  module.argv = {"python3", "-m", "run", "y"};
  CHECK(bench.Warm(module).exit_code() == 0);
  CHECK(ReadAll(module.stdout_path) == "__main__ ['y']\n");
}

TEST_CASE("a run sees nothing of the runs before it and of those beside it") {
  WarmBench bench;
  CHECK(bench.Warm(R"(
for place in ("/tmp/a", "/work/a", "/results/a", "/dev/shm/a"): open(place, "w").write("x")
)").exit_code() == 0);
  CHECK(bench.Warm(R"(
import os, sys
found = [p for p in ("/tmp", "/results", "/dev/shm") if os.listdir(p)] + os.listdir("/work")
found += [e for e in os.listdir("/sextant/passes") if e != ".covered"]
print(found)
sys.exit(found != ["run.py"])
)").exit_code() == 0);
}

TEST_CASE("the environment of a run is its own") {
  WarmBench bench;
  RunSpec spec = bench.Spec("import os; print(os.environ.get('ONLY_HERE'), os.popen('echo $ONLY_HERE').read())", {});
  spec.env["ONLY_HERE"] = "yes";
  CHECK(bench.Warm(spec).exit_code() == 0);
  CHECK(ReadAll(spec.stdout_path) == "yes yes\n\n");
  CHECK(bench.Warm("import os, sys; sys.exit('ONLY_HERE' in os.environ)").exit_code() == 0);
}

TEST_CASE("what a run leaves behind is dead before its end is told") {
  WarmBench bench;
  const v1::ExitReport report = bench.Warm(R"(
import os, signal, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(s, signal.SIG_IGN)
            while True:
                if os.fork() == 0: os._exit(0)
                os.waitpid(-1, 0)
        os._exit(0)
print("left them")
)");
  CHECK(report.verdict() == v1::EXITED);
  CHECK(bench.Out() == "left them\n");
  // A run's number follows that of the process between it and the zygote, which may be there still.
  CHECK(bench.Warm(R"(
import os, sys
pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
print(pids)
sys.exit(len([p for p in pids if p > 2 and p not in (os.getpid(), os.getpid() - 1)]))
)").exit_code() == 0);
}

TEST_CASE("a run ends as Python ends") {
  WarmBench bench;
  const std::string program = R"(
import atexit, sys, threading, time
class Says:
    def __init__(self, what): self.what = what
    def __del__(self): print("gone", self.what)
alone, circle = Says("alone"), Says("circle")
circle.me = circle
unclosed = open("/results/unclosed", "w")
unclosed.write("kept")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
atexit.register(print, "first registered")
atexit.register(print, "last registered")
print("end")
if len(sys.argv) > 1: sys.exit("a message")
)";
  for (const std::vector<std::string> arguments : {std::vector<std::string>{}, {"message"}}) {
    RunSpec warm = bench.Spec(program, arguments), cold = bench.Spec(program, arguments);
    CHECK(bench.Warm(warm).exit_code() == bench.Cold(cold).exit_code());
    CHECK(ReadAll(warm.stdout_path) == ReadAll(cold.stdout_path));
    CHECK(ReadAll(warm.stderr_path) == ReadAll(cold.stderr_path));
    CHECK(ReadAll(warm.results_dir / "unclosed") == "kept");
  }
}

TEST_CASE("what Triton compiled in one run lies in the next run's own cache") {
  WarmBench bench({"triton"});
  const std::string program = R"(
import os, sys
cache = os.environ.get("TRITON_CACHE_DIR", "/tmp/.triton/cache")
found = sorted(os.path.join(p, n) for p, _, names in os.walk(cache) for n in names)
print([(f, open(f).read()) for f in found])
os.makedirs(cache + "/digest", exist_ok=True)
open(cache + "/digest/kernel.cubin", "w").write("code")
open(cache + "/digest/x.lock", "w").write("")
os.symlink("/etc/passwd", cache + "/digest/link")
)";
  CHECK(bench.Warm(program).exit_code() == 0);
  CHECK(bench.Out() == "[]\n");
  CHECK(bench.Warm(program).exit_code() == 0);
  CHECK(bench.Out() == "[('/tmp/.triton/cache/digest/kernel.cubin', 'code')]\n");
  RunSpec compiles = bench.Spec(program, {}), elsewhere = bench.Spec(program, {});
  compiles.env["TRITON_ALWAYS_COMPILE"] = "1";
  elsewhere.env["TRITON_CACHE_DIR"] = "/tmp/other";
  CHECK(bench.Warm(compiles).exit_code() == 0);
  CHECK(ReadAll(compiles.stdout_path) == "[]\n");
  CHECK(bench.Warm(elsewhere).exit_code() == 0);
  CHECK(ReadAll(elsewhere.stdout_path) == "[]\n");
}

TEST_CASE("limits hold for a run, and the container goes with a run that passes one") {
  WarmBench bench;
  SECTION("memory") {
    const v1::ExitReport report = bench.Warm("b = []\nwhile True: b.append(bytearray(1 << 20))");
    CHECK(report.verdict() == v1::OUT_OF_MEMORY);
  }
  SECTION("time") {
    RunSpec spec = bench.Spec("while True: pass", {});
    spec.limits.set_wall_s(0.3);
    CHECK(bench.Warm(spec).verdict() == v1::TIMED_OUT);
  }
  SECTION("a hang") {
    RunSpec spec = bench.Spec("import time\ntime.sleep(1000)", {});
    spec.limits.set_hang_s(0.4);
    CHECK(bench.Warm(spec).verdict() == v1::HANG);
  }
  SECTION("output") {
    CHECK(bench.Warm("while True: print('x' * 1000)").verdict() == v1::OUTPUT_LIMIT);
  }
  CHECK_FALSE(bench.container().Start(bench.Spec("", {}), kNeverStopped).ok());
  CHECK_FALSE(bench.container().alive());
}

TEST_CASE("signals and system calls that end a run are told as they are") {
  WarmBench bench;
  CHECK(bench.Warm("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").signal() == SIGSEGV);
  CHECK(bench.Warm("import os; os._exit(9)").exit_code() == 9);
  CHECK(bench.Warm("import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) != -1)").exit_code() == 0);
  CHECK(bench.container().alive());
}

TEST_CASE("a run is killed on request") {
  WarmBench bench;
  auto running = bench.container().Start(bench.Spec("import time\nprint('up', flush=True)\ntime.sleep(1000)", {}),
                                         kNeverStopped);
  REQUIRE(running.ok());
  (*running)->Kill("enough");
  const v1::ExitReport report = (*running)->Wait();
  CHECK(report.verdict() == v1::KILLED);
  CHECK(report.detail() == "enough");
}

TEST_CASE("a run that kills the zygote ends as it would, and the container is known to be of no use") {
  WarmBench bench;
  const v1::ExitReport report = bench.Warm(R"(
import os, signal, sys
os.kill(2, signal.SIGKILL)
sys.exit(4)
)");
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 4);
  CHECK_FALSE(bench.container().Start(bench.Spec("", {}), kNeverStopped).ok());
}

TEST_CASE("a run can neither read nor trace what it was forked from") {
  WarmBench bench;
  CHECK(bench.Warm(R"(
import ctypes, os, sys
try:
    open("/proc/2/mem", "rb")
    sys.exit(1)
except PermissionError:
    pass
sys.exit(ctypes.CDLL(None).ptrace(16, 2, 0, 0) != -1)
)").exit_code() == 0);
}

TEST_CASE("without cgroups the watcher holds the limits") {
  WarmBench bench({"decimal"}, /*cgroups=*/false);
  CHECK(bench.Warm("print('fine')").exit_code() == 0);
  CHECK(bench.Warm("b = []\nwhile True: b.append(bytearray(1 << 20))").verdict() == v1::OUT_OF_MEMORY);
}

TEST_CASE("a container that ends leaves nothing") {
  WarmBench bench;
  CHECK(bench.Warm("print(1)").exit_code() == 0);
  bench.End();
  CHECK(ProcessesWith("no_such_module").empty());
  CHECK(CgroupsOf(getpid()).empty());
}

TEST_CASE("a start that is stopped meanwhile is cancelled") {
  WarmBench bench({"decimal"});
  const auto running = bench.container().Start(bench.Spec("", {}), [] { return true; });
  // The imports may have been faster than the first look.
  CHECK((running.ok() || running.status().code() == absl::StatusCode::kCancelled));
}

TEST_CASE("Python's command line is understood where it can be forked into") {
  const auto rest = [](std::vector<std::string> argv) {
    const auto command = ParsePythonCommand(argv);
    return command.has_value() ? command->rest : std::vector<std::string>{"none"};
  };
  using Words = std::vector<std::string>;
  CHECK(rest({"python3", "a.py", "-x"}) == Words{"a.py", "-x"});
  CHECK(rest({"python3.11", "-u", "-X", "dev", "-m", "mod"}) == Words{"-m", "mod"});
  CHECK(rest({"/usr/bin/python3", "-OB", "-c", "1"}) == Words{"-c", "1"});
  for (const Words& argv : {Words{"python3"}, {"python3", "-"}, {"python3", "-i", "a.py"}, {"python3", "-c"},
                            {"venv/bin/python3", "a.py"}, {"/work/bin/python3", "a.py"}, {"ruby", "a.py"},
                            {"python3", "--version"}, {"pythonista", "a.py"}}) {
    CHECK(rest(argv) == Words{"none"});
  }
}

}  // namespace
}  // namespace sextant::sandbox
