// The backend: options, wrapping, and its launcher on a stand-in for Triton's profiler.
#include "workers/backends/proton/proton_backend.h"

#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "proto/chunk/decoder.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/proton/launcher.h"
#include "workers/backends/proton/options.h"
#include "workers/backends/proton/testing.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

v1::Assignment Pass(const std::map<std::string, std::string>& options,
                    const std::vector<std::string>& argv = {"python3", "mm.py", "64"}) {
  v1::Assignment assignment;
  for (const std::string& word : argv) assignment.mutable_workload()->add_argv(word);
  assignment.mutable_spec()->set_backend("proton");
  for (const auto& [name, value] : options) (*assignment.mutable_spec()->mutable_options())[name] = value;
  return assignment;
}

std::string Refusal(const std::map<std::string, std::string>& options,
                    const std::vector<std::string>& argv = {"python3", "mm.py"}) {
  const auto plan = ProtonBackend(Site{}).Prepare(Pass(options, argv));
  REQUIRE(plan.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(plan.status().message());
}

TEST_CASE("the launcher goes between the interpreter's options and the script") {
  const auto plan = ProtonBackend(Site{}).Prepare(Pass({}, {"/usr/bin/python3.11", "-u", "-X", "dev", "-m", "mm", "-c"}));
  REQUIRE(plan.ok());
  REQUIRE(plan->argv.size() == 9);
  CHECK(plan->argv[4] == "-c");
  CHECK(plan->argv[5] == proton::LauncherSource());
  CHECK(plan->argv[6] == "-m");
  CHECK(plan->argv[8] == "-c");
  CHECK(plan->env.at("TRITON_CACHE_DIR") == "/tmp/triton");
}

TEST_CASE("options become Proton's mode") {
  const auto plan = ProtonBackend(Site{}).Prepare(
      Pass({{"buffer", "global"}, {"buffer_bytes", "65536"}, {"warps", "4+0"}, {"optimizations", "clock32+sched_stores"}}));
  REQUIRE(plan.ok());
  const std::string& json = plan->env.at("SEXTANT_PROTON");
  CHECK_THAT(json, Catch::Contains(R"("buffer_type":"global")"));
  CHECK_THAT(json, Catch::Contains(R"("buffer_size":65536)"));
  CHECK_THAT(json, Catch::Contains(R"("sampling_options":"0,4")"));
  CHECK_THAT(json, Catch::Contains(R"("optimizations":"clock32,sched_stores")"));
}

TEST_CASE("what cannot be is refused with the option's name and what may be") {
  CHECK_THAT(Refusal({{"mode", "both"}}), Catch::Contains("one of intra, host"));
  CHECK_THAT(Refusal({{"buffer", "texture"}}), Catch::Contains("one of shared, global"));
  CHECK_THAT(Refusal({{"warps", "a"}}), Catch::Contains("options[\"warps\"]"));
  CHECK_THAT(Refusal({{"optimizations", "time_shift"}}), Catch::Contains("keeps"));
  CHECK_THAT(Refusal({{"colour", "red"}}), Catch::Contains("granularity"));
  CHECK_THAT(Refusal({{"mode", "host"}, {"buffer", "global"}}), Catch::Contains("mode=host"));
  CHECK_THAT(Refusal({{"hook", "1"}}), Catch::Contains("mode=host"));
  CHECK_THAT(Refusal({}, {"./a.out"}), Catch::Contains("is not Python"));
  CHECK_THAT(Refusal({}, {"python3"}), Catch::Contains("names no script"));
  CHECK_THAT(Refusal({}, {"python3", "-"}), Catch::Contains("names no script"));
}

// A directory for a program's results, with the program and a stand-in for Triton.
class Results {
 public:
  Results() {
    std::string name = (fs::temp_directory_path() / "proton_test.XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
    fs::create_directories(path_ / "proton");
  }
  ~Results() { fs::remove_all(path_); }
  fs::path path() const { return path_; }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

  // Runs `python3 argv` as the backend would start it; its exit code.
  int Run(const std::map<std::string, std::string>& options, std::vector<std::string> argv) const {
    argv.insert(argv.begin(), "python3");
    const auto plan = ProtonBackend(Site{}).Prepare(Pass(options, argv));
    REQUIRE(plan.ok());
    std::string json = plan->env.at("SEXTANT_PROTON");
    const std::string inside = "/results/";
    json.replace(json.find(inside), inside.size(), path_.string() + "/");
    const pid_t child = fork();
    if (child == 0) {
      setenv("SEXTANT_PROTON", json.c_str(), 1);
      const fs::path stand_in = fs::absolute("workers/backends/proton/testing");
      setenv("PYTHONPATH", stand_in.c_str(), 1);
      setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
      setenv("STAND_IN_RAW", (path_ / "canned.raw").c_str(), 1);
      std::vector<char*> words;
      std::vector<std::string> owned = plan->argv;
      for (std::string& word : owned) words.push_back(word.data());
      words.push_back(nullptr);
      if (chdir(path_.c_str()) == 0) execvp(words[0], words.data());
      _exit(126);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  absl::StatusOr<Collected> Collect(const std::map<std::string, std::string>& options) const {
    const v1::Assignment assignment = Pass(options);
    RunRecord run{.assignment = &assignment, .results_dir = path_};
    run.exit.set_verdict(v1::EXITED);
    return ProtonBackend(Site{}).Collect(run);
  }

 private:
  fs::path path_;
};

bool HasNote(const Collected& collected, const std::string& part) {
  return std::any_of(collected.notes.begin(), collected.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

// The buffer of the canned launch, without the header that the launcher writes itself.
void PutCanned(const Results& results) {
  using namespace proton::testing;
  const auto file = RawFile({Block{.warps = {{Begin(0, 10), End(0, 30)}, {Begin(1, 20), End(1, 25)}}},
                             Block{.warps = {{Begin(0, 11), End(0, 41)}, {}}, .cta = 1}},
                            2, 16);
  results.Write("canned.raw", std::string(file.begin() + 48, file.end()));
}

constexpr char kProgram[] = R"(
import os, sys
import triton
kernel = triton.jit("mm", {0: "load", 1: "dot"})
plain = triton.jit("fill", {})
plain.run()
for _ in range(int(sys.argv[1])):
    kernel.run()
assert __name__ == "__main__" and __file__ == os.path.abspath(sys.argv[0]), (__name__, __file__, sys.argv)
)";

TEST_CASE("a program's launches become a trace, those without scopes keep their numbers") {
  const Results results;
  PutCanned(results);
  results.Write("mm.py", kProgram);
  REQUIRE(results.Run({}, {"mm.py", "2"}) == 0);
  const auto collected = results.Collect({});
  INFO(collected.status());
  REQUIRE(collected.ok());
  CHECK(collected->events == 6);
  REQUIRE(collected->chunks.size() == 1);
  const auto decoded = chunk::DecodeUntrusted(collected->chunks[0]);
  REQUIRE(decoded.ok());
  CHECK(decoded->header.kernel() == "mm");
  CHECK(decoded->header.unit() == v1::CYCLES);
  REQUIRE(decoded->header.regions_size() == 2);
  CHECK(decoded->tracks.front().track.launch == 1);  // 0 was the kernel without scopes
  CHECK(decoded->tracks.back().track.launch == 2);
}

TEST_CASE("the workload's kernels are the ones that count") {
  const Results results;
  PutCanned(results);
  results.Write("mm.py", kProgram);
  REQUIRE(results.Run({{"launches", "1"}}, {"mm.py", "3"}) == 0);
  const auto collected = results.Collect({});
  REQUIRE(collected.ok());
  CHECK(collected->events == 3);
  CHECK(HasNote(*collected, "2 launches were not kept"));
}

TEST_CASE("the text with a kernel's scopes is kept once, the level nearest to the source that has them") {
  const Results results;
  PutCanned(results);
  results.Write("mm.py", R"(
import triton
names = {0: "load", 1: "dot"}
record = "proton.record start"
kernels = [triton.jit("mm", names, {"source": f"source {record}", "ttir": f"ttir {record}"}),
           triton.jit("over/../ridden", names, {"source": "none", "ttgir": f"ttgir {record}"}),
           triton.jit("bare", names)]
for kernel in kernels * 2:
    kernel.run()
)");
  REQUIRE(results.Run({}, {"mm.py"}) == 0);
  const auto collected = results.Collect({});
  INFO(collected.status());
  REQUIRE(collected.ok());
  REQUIRE(collected->made.size() == 2);
  CHECK(collected->made[0].name == "mm.0.scopes.mlir");
  CHECK(collected->made[0].kind == "ir");
  CHECK(collected->made[0].bytes == "source proton.record start");
  CHECK(collected->made[1].name == "over____ridden.1.scopes.mlir");
  CHECK(collected->made[1].bytes == "ttgir proton.record start");
}

TEST_CASE("a program that ends at once, or by an exception, keeps what it recorded") {
  const Results results;
  PutCanned(results);
  const std::string how = GENERATE("import os; os._exit(7)", "raise SystemExit(7)", "import sys; sys.exit(7)");
  results.Write("mm.py", kProgram + how + "\n");
  CHECK(results.Run({}, {"mm.py", "1"}) == 7);
  CHECK(results.Collect({}).ok());
}

TEST_CASE("a program that starts Proton itself goes on, and its mode is the one used") {
  const Results results;
  PutCanned(results);
  results.Write("mm.py", std::string("import triton.profiler as proton\n"
                                     "session = proton.start('mine', backend='instrumentation')\n"
                                     "assert session == 0, session\n") +
                             kProgram + "proton.finalize(session)\n");
  REQUIRE(results.Run({}, {"mm.py", "1"}) == 0);
  const auto collected = results.Collect({});
  REQUIRE(collected.ok());
  CHECK(HasNote(*collected, "starts Proton's instrumentation itself"));
}

TEST_CASE("modules and code run as with Python itself") {
  const Results results;
  PutCanned(results);
  results.Write("mm.py", kProgram);
  results.Write("other.py", "import sys; sys.argv = [__file__, '1']\n" + std::string(kProgram));
  CHECK(results.Run({}, {"-m", "other"}) == 0);
  CHECK(results.Run({}, {"-c", "import sys; assert sys.argv == ['-c', 'x'], sys.argv", "x"}) == 0);
  CHECK(results.Run({}, {"missing.py"}) == 2);
}

TEST_CASE("a pass that recorded nothing says why") {
  const Results results;
  CHECK_THAT(std::string(results.Collect({}).status().message()),
             Catch::Contains("did not come as far"));
  results.Write("none.py", "print('no kernel')\n");
  REQUIRE(results.Run({}, {"none.py"}) == 0);
  const auto collected = results.Collect({});
  CHECK(collected.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(collected.status().message()),
             Catch::Contains("no Triton or Gluon kernel that matches was launched"));
}

TEST_CASE("what lies in the results directory cannot lead the reader elsewhere") {
  const Results results;
  results.Write("proton/launches-1.jsonl",
                R"({"kind":"launch","launch":0,"kernel":"k","file":"../secret.raw"})"
                "\n"
                R"({"kind":"launch","launch":0,"kernel":"k","file":"1-0.raw"})"
                "\n"
                R"({"kind":"launch","launch":1,"kernel":"k","text":"../../secret.mlir"})"
                "\n[[[[\n");
  fs::create_symlink("/etc/passwd", results.path() / "proton" / "1-0.raw");
  const auto collected = results.Collect({});
  CHECK(collected.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(collected.status().message()), Catch::Contains("3 lines of the log were malformed"));
  CHECK_THAT(std::string(collected.status().message()), !Catch::Contains("root"));
}

TEST_CASE("the host's view becomes counters, the table of launches and a trace") {
  const Results results;
  results.Write("proton/launches-1.jsonl", R"({"kind":"process","monotonic_ns":5})" "\n");
  fs::copy_file("tests/recordings/proton/host.hatchet", results.path() / "proton" / "host.hatchet");
  results.Write("proton/kernels.chrome_trace",
                R"({"traceEvents":[{"name":"a","cat":"kernel","ph":"X","ts":0.0,"dur":2.0,"tid":7},)"
                R"({"name":"_Z1bi","cat":"kernel","ph":"X","ts":3.0,"dur":1.0,"tid":7}]})");
  const auto collected = results.Collect({{"mode", "host"}});
  INFO(collected.status());
  REQUIRE(collected.ok());
  CHECK(collected->counters.size() == 2);
  REQUIRE(collected->tables.size() == 1);
  const v1::DataTable& launches = collected->tables[0];
  CHECK(launches.rows() == 2);
  CHECK(table::TextAt(*table::Find(launches, "kernel"), 1) == "b(int)");
  CHECK(table::TextAt(*table::Find(launches, "mangled"), 1) == "_Z1bi");
  CHECK(table::NumberAt(*table::Find(launches, "duration_ns"), 0) == 2000);
  const auto decoded = chunk::DecodeUntrusted(collected->chunks[0]);
  REQUIRE(decoded.ok());
  CHECK(decoded->header.unit() == v1::NANOSECONDS);
  CHECK(decoded->header.roles(0) == "stream 7");
}

}  // namespace
}  // namespace sextant::backends
