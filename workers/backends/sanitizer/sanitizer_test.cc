#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/sanitizer/records.h"
#include "workers/backends/sanitizer/sanitizer_backend.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

// Recorded on one NVIDIA H200 with compute-sanitizer of CUDA 13.0; middle records taken out.
std::string Golden(const std::string& name) {
  std::ifstream file("workers/backends/sanitizer/testdata/" + name, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<formats::Finding> Findings(const std::string& name) {
  const std::string tool = name.substr(0, name.find('.'));
  const auto records = sanitizer::ParseRecordsUntrusted(Golden(name), tool);
  INFO(records.status().ToString());
  REQUIRE(records.ok());
  CHECK_FALSE(records->cut_off);
  for (const formats::Finding& finding : records->findings) {
    CHECK(finding.tool == tool);
    CHECK(finding.severity == "error");
  }
  return records->findings;
}

TEST_CASE("equal accesses out of bounds are one finding with their number") {
  const auto found = Findings("memcheck.oob.xml");
  REQUIRE(found.size() == 2);  // the write, and what a call of the program was told after it
  CHECK(found[0].kind == "out of bounds");
  CHECK(found[0].message == "Invalid __global__ write of size 4 bytes is out of bounds");
  CHECK(found[0].kernel == "out_of_bounds(int*, int)");
  CHECK(found[0].function == "out_of_bounds");
  CHECK(found[0].file == "/src/bad.cu");
  CHECK(found[0].line == 5);
  CHECK(found[0].size_bytes == 4);
  CHECK(found[0].address == 0x7f749c800100);
  CHECK(found[0].count > 1);
}

TEST_CASE("each kind of mistake is read in the tool's words") {
  CHECK(Findings("memcheck.align.xml")[0].kind == "misaligned");
  const auto api = Findings("memcheck.api.xml");
  REQUIRE(api.size() == 2);
  CHECK(api[0].kind == "cudaErrorInvalidValue");
  CHECK(api[0].function == "main");
  CHECK(absl::StrContains(api[0].message,
                          "due to \"invalid argument\" on CUDA API call to cudaMemcpy"));
  const auto leak = Findings("memcheck.leak.xml");
  REQUIRE(leak.size() == 2);
  CHECK(leak[1].kind == "leak");
  CHECK(leak[1].size_bytes == 1000);
  CHECK(leak[1].function == "main");
  const auto init = Findings("initcheck.init.xml");
  REQUIRE(init.size() == 1);
  CHECK(init[0].kernel == "uninitialized(int const*, int*)");
  CHECK(init[0].line == 12);
  const auto sync = Findings("synccheck.sync.xml");
  REQUIRE(sync.size() == 1);
  CHECK(sync[0].kind == "Divergent thread(s) in warp");
  CHECK(sync[0].thread[0] == 32);
}

TEST_CASE("a hazard names both of its accesses") {
  const auto found = Findings("racecheck.race.xml");
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == "RAW hazard");
  CHECK(found[0].message ==
        "Potential RAW hazard detected: write by thread (31,0,0) at /src/bad.cu:9, read by thread "
        "(32,0,0) at "
        "/src/bad.cu:10");
  CHECK(found[0].address == 0x47c);
  CHECK(found[0].line == 9);
}

TEST_CASE("records that end in the middle keep what came before") {
  const std::string whole = Golden("memcheck.oob.xml");
  for (size_t size = 0; size < whole.size(); size += 13) {
    const auto records = sanitizer::ParseRecordsUntrusted(whole.substr(0, size), "memcheck");
    if (records.ok())
      CHECK((records->cut_off || records->records == 0 || size + 30 > whole.size()));
  }
  const auto cut = sanitizer::ParseRecordsUntrusted(whole.substr(0, whole.size() / 2), "memcheck");
  REQUIRE(cut.ok());
  CHECK(cut->cut_off);
  CHECK_FALSE(cut->findings.empty());
  CHECK_FALSE(sanitizer::ParseRecordsUntrusted("<a><record>", "memcheck").ok());
}

class Left {
 public:
  Left() {
    char name[] = "/tmp/sextant-sanitizer-XXXXXX";
    directory = mkdtemp(name);
    assignment.mutable_spec()->set_backend("sanitizer");
  }
  ~Left() { fs::remove_all(directory); }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory / name, std::ios::binary) << text;
  }
  absl::StatusOr<Collected> Collect() const {
    RunRecord run;
    run.assignment = &assignment;
    run.results_dir = directory;
    return SanitizerBackend(Site()).Collect(run);
  }
  fs::path directory;
  v1::Assignment assignment;
};

TEST_CASE("a clean run is a table without rows, not an empty capture") {
  Left left;
  left.Write("sanitizer.xml", Golden("memcheck.clean.xml"));
  left.Write("sanitizer.log", "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n");
  const auto collected = left.Collect();
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  REQUIRE(collected->tables.size() == 1);
  CHECK(collected->tables[0].name() == "findings");
  CHECK(collected->tables[0].rows() == 0);
  CHECK(collected->counters[0].value() == 0);
}

TEST_CASE("findings become rows, and a reached limit is said") {
  Left left;
  (*left.assignment.mutable_spec()->mutable_options())["limit"] = "2";
  left.Write("sanitizer.xml", Golden("memcheck.oob.xml"));
  const auto collected = left.Collect();
  REQUIRE(collected.ok());
  CHECK(table::Check(collected->tables[0]).ok());
  CHECK(collected->tables[0].rows() == 2);
  REQUIRE(collected->notes.size() == 1);
  CHECK(absl::StrContains(collected->notes[0], "set limit higher"));
}

TEST_CASE("why nothing was checked is told from the log") {
  Left left;
  left.Write("sanitizer.xml", Golden("memcheck.clean.xml"));
  left.Write("sanitizer.log",
             "========= Error: Target application terminated before first instrumented API call\n");
  CHECK(left.Collect().status().code() == absl::StatusCode::kFailedPrecondition);
  left.Write("sanitizer.log",
             "========= Error: Device not supported. Please refer to the documentation\n");
  CHECK(left.Collect().status().code() == absl::StatusCode::kUnimplemented);
  left.Write("sanitizer.log",
             "========= Internal Sanitizer Error: The Sanitizer encountered an error\n");
  CHECK(left.Collect().status().code() == absl::StatusCode::kUnavailable);
  Left nothing;
  CHECK(nothing.Collect().status().code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("the command line is what compute-sanitizer must be told") {
  v1::PassSpec spec;
  (*spec.mutable_options())["leaks"] = "1";
  v1::Workload workload;
  workload.add_argv("./p");
  workload.set_kernels("mm.*");
  CHECK(absl::StrJoin(sanitizer::CommandLine(*sanitizer::ParseOptions(spec), workload), " ") ==
        "/sextant/compute-sanitizer/compute-sanitizer --tool memcheck --target-processes all "
        "--print-limit 10000 "
        "--xml --save /results/sanitizer.xml --log-file /results/sanitizer.log --leak-check full "
        "--kernel-name regex=mm.* ./p");
}

TEST_CASE("options that there are not are refused by name") {
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"tool", "valgrind"},
                                                        {"limit", "0"},
                                                        {"limit", "x"},
                                                        {"leaks", "yes"},
                                                        {"unused", "1"},
                                                        {"speed", "1"}}) {
    v1::PassSpec spec;
    (*spec.mutable_options())[name] = value;
    INFO(name << "=" << value);
    CHECK(absl::StrContains(sanitizer::ParseOptions(spec).status().message(),
                            "options[\"" + name + "\"]"));
  }
}

}  // namespace
}  // namespace sextant::backends
