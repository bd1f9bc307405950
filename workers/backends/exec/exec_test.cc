#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/decoder.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/exec/child.h"
#include "workers/backends/exec/contract.h"
#include "workers/backends/exec/exec_backend.h"
#include "workers/backends/exec/trace_csv.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/sextant-exec-XXXXXX";
    path = mkdtemp(name);
    chmod(path.c_str(), 0755);
    fs::create_directory(path / "results");
  }
  ~Directory() { fs::remove_all(path); }
  fs::path Write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path / name, std::ios::binary) << text;
    chmod((path / name).c_str(), mode);
    return path / name;
  }
  fs::path Script(const std::string& name, const std::string& body) const {
    return Write(name, "#!/bin/sh\n" + body, 0755);
  }
  fs::path path;
};

absl::StatusOr<exec::ChildEnd> Sh(const std::string& script, const std::string& input = "",
                                  exec::ChildLimits limits = {}) {
  return exec::RunChild({"/bin/sh", "-c", script}, input, limits);
}

TEST_CASE("a child gets its input and an environment without secrets") {
  setenv("SEXTANT_SECRET", "token", 1);
  const auto end = Sh("cat; echo err >&2; env; exit 3", "hello ");
  REQUIRE(end.ok());
  CHECK(end->exit_code == 3);
  CHECK(absl::StartsWith(end->out, "hello "));
  CHECK_FALSE(absl::StrContains(end->out, "token"));
  CHECK(end->err == "err\n");
  CHECK(Sh("kill -SEGV $$")->signal == 11);
  CHECK(exec::RunChild({"/nonexistent/program"}, "", {})->exit_code == 127);
  // More input than a pipe holds, that nobody reads.
  CHECK(Sh("exec true", std::string(1 << 20, 'x'))->exit_code == 0);
}

TEST_CASE("a child that takes too long or prints too much is stopped, with what it started") {
  exec::ChildLimits limits;
  limits.wall_s = 0.2;
  CHECK(absl::IsDeadlineExceeded(Sh("sleep 1000 & sleep 1000", "", limits).status()));
  CHECK(absl::IsDeadlineExceeded(Sh("exec >&- 2>&-; sleep 1000", "", limits).status()));
  limits.wall_s = 60;
  limits.output_bytes = 1000;
  CHECK(absl::IsOutOfRange(Sh("yes", "", limits).status()));
}

TEST_CASE("an offer says whether the backend can work and why not") {
  const auto offer = exec::ParseOfferUntrusted(
      R"({"available": true, "tool_version": "7", "features": ["a"], "device_kind": "gpu"})");
  REQUIRE(offer.ok());
  CHECK(offer->available());
  CHECK(offer->device_kind() == "gpu");
  CHECK(offer->features(0) == "a");
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {"", "one JSON object"},
           {"[]", "one JSON object"},
           {"{\"available\": 1}", "available must be true or false"},
           {"{\"available\": false}", "reason must say why"},
           {"{\"available\": true, \"device_kind\": \"fpga\"}", "device_kind must be"},
           {"{\"available\": true, \"features\": [1]}", "features must be a list of strings"}}) {
    INFO(json);
    CHECK(absl::StrContains(exec::ParseOfferUntrusted(json).status().message(), words));
  }
}

TEST_CASE("a pass is described without environment, files and standard input") {
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("./p");
  assignment.mutable_workload()->set_stdin_text("private");
  (*assignment.mutable_workload()->mutable_env())["private"] = "private";
  assignment.mutable_workload()->add_files()->set_path("private");
  (*assignment.mutable_spec()->mutable_options())["depth"] = "3";
  const std::string json = exec::DescribePass(assignment);
  CHECK_FALSE(absl::StrContains(json, "private"));
  CHECK(absl::StrContains(json, R"("argv":["./p"])"));
  CHECK(absl::StrContains(json, R"("options":{"depth":"3"})"));
}

TEST_CASE("a plan is checked field by field") {
  const auto plan = exec::ParsePlanUntrusted(
      R"({"argv": ["a", "b"], "env": {"K": "V"}, "mounts": [{"source": "/opt/x", "target": "/sextant/x"}]})");
  REQUIRE(plan.ok());
  CHECK(plan->argv == std::vector<std::string>{"a", "b"});
  CHECK(plan->env.at("K") == "V");
  CHECK_FALSE(plan->mounts[0].writable);
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "argv must have"},
           {R"({"argv": [""]})", "argv must have"},
           {R"({"argv": "x"})", "argv must be a list"},
           {R"({"argv": ["x"], "env": {"K": 1}})", "env must be"},
           {R"({"argv": ["x"], "env": {"A=B": "1"}})", "env must be"},
           {R"({"argv": ["x"], "env": []})", "env must be"},
           {R"({"argv": ["x"], "mounts": [{"source": "rel", "target": "/sextant/x"}]})",
            "mounts[0].source must be"},
           {R"({"argv": ["x"], "mounts": [{"source": "/x", "target": "/usr"}]})",
            "mounts[0].target must be"},
           {R"({"argv": ["x"], "mounts": [{"source": "/x", "target": "/sextant/../usr"}]})",
            "mounts[0].target must be"},
           {R"({"argv": ["x"], "mounts": [7]})", "mounts[0] must be an object"},
           {R"({"error": {"message": "no such option"}})", "no such option"}}) {
    INFO(json);
    const auto refused = exec::ParsePlanUntrusted(json);
    CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(absl::StrContains(refused.status().message(), words));
  }
}

TEST_CASE("a trace as CSV becomes tracks and instances") {
  const auto good = exec::ParseTraceCsvUntrusted(
      "launch,cta,warp,role,region,start,duration,sm,origin_ns\n"
      "0,5,1,producer,load,10,20,3,1000\n0,5,1,,store,40,5,,\n1,0,0,consumer,load,7,8,0,0\n");
  REQUIRE(good.ok());
  REQUIRE(good->info.tracks.size() == 2);
  CHECK(good->info.tracks[0].cta == 5);
  CHECK(good->info.tracks[0].sm == 3);
  CHECK(good->info.tracks[0].origin_ns == 1000);
  CHECK(good->info.roles == std::vector<std::string>{"producer", "consumer"});
  CHECK(good->info.regions == std::vector<std::string>{"load", "store"});
  CHECK(good->instances[1] == chunk::Instance{0, 1, 40, 5});
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"", "no header"},
           {"region,start\n", "must name region, start and duration"},
           {"region,start,duration\nx,-1,0\n", "line 2, start"},
           {"region,start,duration\nx,1,1e3\n", "line 2, duration"},
           {"region,start,duration\n,1,1\n", "line 2, region"},
           {"region,start,duration\nx,1\n", "line 2, duration"},
           {"region,start,duration\nx,1,99999999999999999999\n", "line 2, duration"}}) {
    INFO(text);
    CHECK(absl::StrContains(exec::ParseTraceCsvUntrusted(text).status().message(), words));
  }
}

TEST_CASE("what collect prints becomes tables, counters, a trace and artifacts") {
  const Directory directory;
  directory.Write("trace.csv", "region,start,duration\nload,1,2\nload,5,2\n");
  directory.Write("report.txt", "all is well");
  const auto collected = exec::ParseCollectedUntrusted(R"({
      "tables": [{"name": "launches", "columns": [{"name": "launch", "ints": [0, 1]},
                  {"name": "kernel", "texts": ["f", "f"]}, {"name": "time_ns", "unit": "ns", "numbers": [1.5, null]}]}],
      "counters": [{"name": "bytes", "unit": "bytes", "value": 12, "kernel": "f", "instances": 2}],
      "trace": {"file": "trace.csv", "unit": "cycles", "ns_per_unit": 0.5, "kernel": "f", "dropped": 3},
      "artifacts": [{"name": "report", "kind": "report", "file": "report.txt"},
                    {"name": "raw", "kind": "trace-raw", "left": "deep/raw.bin"}],
      "notes": ["a note\u0007"]})",
                                                       directory.path, directory.path / "results");
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  CHECK(collected->tables[0].rows() == 2);
  CHECK(std::isnan(collected->tables[0].columns(2).numbers(1)));
  CHECK(collected->counters[0].kernel() == "f");
  CHECK(collected->events == 2);
  CHECK(collected->dropped == 3);
  REQUIRE(collected->chunks.size() == 1);
  CHECK(collected->made[0].bytes == "all is well");
  CHECK(collected->artifacts[0].path == directory.path / "results/deep/raw.bin");
  CHECK(collected->notes[0] == "a note?");
}

TEST_CASE("what is wrong in collect's answer is named") {
  const Directory directory;
  fs::create_symlink("/etc/passwd", directory.path / "link");
  for (
      const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
          {"garbage", "one JSON object"},
          {R"({"tables": [{"name": "a/b", "columns": []}]})", "tables[0].name may have"},
          {R"({"tables": [{"name": "a", "columns": [{"name": "x", "ints": [1.5]}]}]})",
           "tables[0].columns[0].ints must"},
          {R"({"tables": [{"name": "a", "columns": [{"name": "x"}]}]})",
           "must have one of ints, numbers and texts"},
          {R"({"tables": [{"name": "a", "columns": [{"name": "x", "ints": [1]}, {"name": "y", "ints": []}]}]})",
           "a.y has 0"},
          {R"({"counters": [{"name": "c", "value": "many"}]})",
           "counters[0].value must be a number"},
          {R"({"counters": [{"name": "c"}]})", "counters[0].value must be a number"},
          {R"({"trace": {"file": "../x", "unit": "ns"}})", "trace.file must be"},
          {R"({"trace": {"file": "x", "unit": "s"}})", "trace.unit must be"},
          {R"({"trace": {"file": "x", "unit": "ns", "ns_per_unit": 2}})", "trace.ns_per_unit must"},
          {R"({"trace": {"file": "x", "unit": "ns"}})", "trace"},
          {R"({"artifacts": [{"name": "p", "kind": "log", "file": "link"}]})", "artifacts[0]"},
          {R"({"artifacts": [{"name": "p", "kind": "table", "file": "x"}]})",
           "artifacts[0].kind must be"}}) {
    INFO(json);
    const auto refused = exec::ParseCollectedUntrusted(json, directory.path, directory.path);
    REQUIRE_FALSE(refused.ok());
    INFO(refused.status().ToString());
    CHECK(absl::StrContains(refused.status().message(), words));
  }
  const auto code = [&](const std::string& word) {
    const std::string json =
        R"({"error": {"code": ")" + word + R"(", "message": "m", "remedy": "r"}})";
    const absl::Status status =
        exec::ParseCollectedUntrusted(json, directory.path, directory.path).status();
    CHECK(RemedyOf(status) == "r");
    return status.code();
  };
  CHECK(code("empty") == absl::StatusCode::kFailedPrecondition);
  CHECK(code("refused") == absl::StatusCode::kUnimplemented);
  CHECK(code("failed") == absl::StatusCode::kUnavailable);
}

// The sandbox of these tests: a shell, with the directories where they are.
InsideEnd Outside(const InsideCommand& command, const fs::path& executable) {
  const exec::ChildLimits limits = {.wall_s = 60};
  const auto end = exec::RunChild(
      {"/bin/sh", "-c",
       absl::StrCat("cd '", command.work_dir.string(), "' && SEXTANT_RESULTS='",
                    command.results_dir.string(), "' exec '", executable.string(), "' collect")},
      command.stdin_text, limits);
  InsideEnd inside;
  if (!end.ok()) return inside;
  inside.exit.set_verdict(end->signal == 0 ? v1::EXITED : v1::SIGNALLED);
  inside.exit.set_exit_code(end->exit_code);
  inside.out = end->out;
  inside.err = end->err;
  return inside;
}

absl::StatusOr<Collected> CollectWith(const fs::path& executable, const Directory& directory,
                                      const v1::Assignment& assignment) {
  const ExecBackend backend(
      "x", executable, [&](const InsideCommand& command) -> absl::StatusOr<InsideEnd> {
        chmod(command.results_dir.c_str(), 0777);  // as the sandbox gives it to the program's user
        return Outside(command, executable);
      });
  RunRecord run;
  run.assignment = &assignment;
  run.results_dir = directory.path / "results";
  run.started_monotonic_ns = 1000;
  fs::remove_all(directory.path / "collected");
  return backend.Collect(run);
}

v1::Assignment Pass() {
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("./p");
  return assignment;
}

TEST_CASE("a backend whose program fails or answers nonsense is off, with what it said") {
  const Directory directory;
  const auto offer = [&](const std::string& body) {
    return ExecBackend("x", directory.Script("x", body), nullptr).Probe();
  };
  CHECK(offer("echo '{\"available\": true}'").available());
  CHECK(offer("echo '{\"available\": true}'").name() == "exec:x");
  CHECK(offer("echo '{\"available\": true}'").tool_digest() !=
        offer("echo '{\"available\":  true}'").tool_digest());
  CHECK(absl::StrContains(offer("echo broken >&2; exit 1").reason(),
                          "probe exited with code 1; it said: broken"));
  CHECK(absl::StrContains(offer("echo nonsense").reason(), "did not print one JSON object"));
  CHECK_FALSE(offer("exit 1").available());
}

TEST_CASE("prepare and collect that fail are typed") {
  const Directory directory;
  const fs::path script =
      directory.Script("x",
                       "case $1 in prepare) cat >/dev/null; echo '{\"argv\":[\"true\"]}';; "
                       "collect) echo lost >&2; exit 4;; esac");
  const ExecBackend backend("x", script, nullptr);
  const auto plan = backend.Prepare(Pass());
  REQUIRE(plan.ok());
  CHECK(plan->mounts.back().target == "/sextant/exec");
  CHECK(plan->mounts.back().source == directory.path);
  const absl::Status status = CollectWith(script, directory, Pass()).status();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(status.message(), "exited with code 4; it said: lost"));
  const fs::path empty = directory.Script("y", "echo '{}'");
  CHECK(CollectWith(empty, directory, Pass()).status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("the site's directory gives a backend for each executable of a good name") {
  const Directory directory;
  directory.Script("one.py", "");
  directory.Script("two", "");
  directory.Script("bad name", "");
  directory.Script(".hidden", "");
  directory.Write("data.txt", "");
  Site site;
  site.exec_backends = directory.path;
  const auto backends = ExecBackends(site);
  REQUIRE(backends.size() == 2);
  CHECK(backends[0]->Name() == "exec:one");
  CHECK(backends[1]->Name() == "exec:two");
  CHECK(ExecBackends(Site()).empty());
}

fs::path Example(const std::string& name) { return fs::absolute("examples/backends/" + name); }

std::vector<double> Numbers(const v1::DataTable& table, const std::string& column) {
  std::vector<double> numbers;
  const v1::DataColumn* found = table::Find(table, column);
  REQUIRE(found != nullptr);
  for (uint64_t i = 0; i < table.rows(); ++i) numbers.push_back(table::NumberAt(*found, i));
  return numbers;
}

TEST_CASE("exec:rocprof reads rocprofv3's CSV files") {
  const Directory directory;
  for (const char* name : {"rocprof_kernel_trace.csv", "rocprof_memory_copy_trace.csv",
                           "rocprof_counter_collection.csv"}) {
    fs::create_directories(directory.path / "results/host/1");
    fs::copy_file(fs::path("workers/backends/exec/testdata") / name,
                  directory.path / "results/host/1" / name);
  }
  const auto collected = CollectWith(Example("rocprof.py"), directory, Pass());
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  REQUIRE(collected->tables.size() == 3);
  const v1::DataTable& launches = collected->tables[0];
  CHECK(launches.rows() == 3);
  CHECK(Numbers(launches, "start_ns") == std::vector<double>{1000, 6000, 20000});
  CHECK(Numbers(launches, "duration_ns") == std::vector<double>{4500, 10000, 4000});
  CHECK(Numbers(launches, "grid_x") == std::vector<double>{4096, 16, 4096});
  CHECK(Numbers(launches, "block_y")[1] == 4);
  CHECK(Numbers(launches, "static_shared_bytes")[1] == 4096);
  CHECK(Numbers(launches, "device")[0] == 4);
  CHECK(table::TextAt(*table::Find(collected->tables[1], "kind"), 0) == "HtoD");
  CHECK(collected->tables[2].name() == "counters");
  CHECK(Numbers(collected->tables[2], "launch") == std::vector<double>{0, 1, 2});
  double waves = 0;
  for (const v1::Counter& counter : collected->counters) {
    if (absl::StartsWith(counter.kernel(), "scale")) waves = counter.value();
  }
  CHECK(waves == 2 * 16384);
  CHECK(collected->events == 4);
  CHECK(absl::StrContains(collected->notes[0], "not run on hardware"));
}

TEST_CASE("exec:rocprof reads rocprofv3's JSON") {
  const Directory directory;
  fs::copy_file("workers/backends/exec/testdata/rocprof_results.json",
                directory.path / "results/1_results.json");
  const auto collected = CollectWith(Example("rocprof.py"), directory, Pass());
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  const v1::DataTable& launches = collected->tables[0];
  CHECK(Numbers(launches, "duration_ns") == std::vector<double>{600});
  CHECK(Numbers(launches, "grid_x") == std::vector<double>{8});
  CHECK(Numbers(launches, "registers") == std::vector<double>{8});
  CHECK(table::TextAt(*table::Find(launches, "kernel"), 0) == "f(int*)");
}

TEST_CASE("exec:rocprof takes hostile files for what they are") {
  const Directory directory;
  const fs::path results = directory.path / "results";
  std::ofstream(results / "a_kernel_trace.csv")
      << "\"Kind\",\"Start_Timestamp\"\n\xff\xfe,99999999999999999999999\n\"KERNEL_DISPATCH\"\n";
  std::ofstream(results / "b_results.json")
      << "{\"rocprofiler-sdk-tool\": [{\"buffer_records\": {\"kernel_dispatch\": [7, {}]}}, 3]}";
  std::ofstream(results / "c_results.json") << std::string(100'000, '[');
  fs::create_symlink("/etc/passwd", results / "d_kernel_trace.csv");
  const auto collected = CollectWith(Example("rocprof.py"), directory, Pass());
  INFO(collected.status().ToString());
  if (collected.ok()) CHECK(collected->tables[0].rows() == 0);
  std::ofstream(results / "a_kernel_trace.csv") << "";
  std::ofstream(results / "b_results.json") << "";
  CHECK(CollectWith(Example("rocprof.py"), directory, Pass()).status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("exec:threads says what every thread was doing") {
  const Directory directory;
  directory.Write("results/threads.csv",
                  "10,10,main,running,2000,5000\n10,11,worker,sleeping,2000,9000\n10,10,main,"
                  "sleeping,5000,9000\n"
                  "garbage\n1,2,x,running,900,800\n1,2,x,running,nan,1\n");
  directory.Write("results/resources.csv", "2000,1,2,4096,0\n7000,1,2,8192,5000\nx,y\n");
  const auto collected = CollectWith(Example("threads.py"), directory, Pass());
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  CHECK(collected->events == 3);
  CHECK(collected->tables[0].name() == "resources");
  CHECK(Numbers(collected->tables[0], "start_ns") == std::vector<double>{1000, 6000});
  CHECK(Numbers(collected->tables[0], "cpu_pct")[1] == 100);
  CHECK(std::isnan(Numbers(collected->tables[0], "cpu_pct")[0]));
  CHECK(collected->counters[0].value() == 8192);
  v1::Assignment assignment = Pass();
  const ExecBackend backend("threads", Example("threads.py"), nullptr);
  CHECK(backend.Probe().available());
  const auto plan = backend.Prepare(assignment);
  REQUIRE(plan.ok());
  CHECK(plan->argv.back() == "./p");
  (*assignment.mutable_spec()->mutable_options())["interval_ms"] = "0";
  CHECK(absl::StrContains(backend.Prepare(assignment).status().message(),
                          "options[\"interval_ms\"]"));
}

}  // namespace
}  // namespace sextant::backends
