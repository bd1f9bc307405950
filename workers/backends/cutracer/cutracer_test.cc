#include "workers/backends/cutracer/cutracer_backend.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/cutracer/traces.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

constexpr char kData[] = "workers/backends/cutracer/testdata";
constexpr char kHistogram[] = "kernel_7fa21c3_iter2__Z6scopedPf_hist.csv";
constexpr char kTrace[] = "kernel_7fa21c3_iter2__Z6scopedPf.ndjson";

// Written by hand from the documented formats: the tool is the site's, not ours.
std::string Golden(const std::string& name) {
  std::ifstream file(fs::path(kData) / name, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Left {
 public:
  Left() {
    char name[] = "/tmp/sextant-cutracer-XXXXXX";
    directory = mkdtemp(name);
    std::ofstream(directory / "cutracer.so") << "";
    site.tools["cutracer"] = (directory / "cutracer.so").string();
    fs::create_directory(directory / "results");
    assignment.mutable_workload()->add_argv("./p");
  }
  ~Left() { fs::remove_all(directory); }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory / "results" / name, std::ios::binary) << text;
  }
  void Set(const std::string& name, const std::string& value) {
    (*assignment.mutable_spec()->mutable_options())[name] = value;
  }
  absl::StatusOr<Collected> Collect() const {
    RunRecord run;
    run.assignment = &assignment;
    run.results_dir = directory / "results";
    return CutracerBackend(site).Collect(run);
  }
  fs::path directory;
  Site site;
  v1::Assignment assignment;
};

std::vector<double> Numbers(const v1::DataTable& table, const std::string& column) {
  std::vector<double> numbers;
  for (uint64_t i = 0; i < table.rows(); ++i)
    numbers.push_back(table::NumberAt(*table::Find(table, column), i));
  return numbers;
}

TEST_CASE("a file's name says which launch it is about") {
  cutracer::FileName name;
  REQUIRE(cutracer::ParseFileName(kHistogram, &name));
  CHECK(name.checksum == "7fa21c3");
  CHECK(name.iteration == 2);
  CHECK(name.kernel == "_Z6scopedPf");
  REQUIRE(cutracer::ParseFileName("kernel_7fa21c3_add_kernel_hist.csv", &name));
  CHECK(name.iteration == 0);
  CHECK(name.kernel == "add_kernel");
  for (const char* other :
       {"kernel_", "kernel__x.ndjson", "cutracer_main_1.log", "kernel_7_x.txt", ""}) {
    CHECK_FALSE(cutracer::ParseFileName(other, &name));
  }
}

TEST_CASE("a histogram becomes instructions by CTA, warp and ordinal of the region") {
  Left left;
  left.Write(kHistogram, Golden(kHistogram));
  left.Write(kTrace, Golden(kTrace));
  const auto collected = left.Collect();
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  const v1::DataTable& table = collected->tables[0];
  REQUIRE(table::Check(table).ok());
  CHECK(table.name() == "instructions");
  CHECK(table::TextAt(*table::Find(table, "kernel"), 0) == "scoped(float*)");
  CHECK(table::TextAt(*table::Find(table, "opcode"), 2) == "STG.E");
  CHECK(Numbers(table, "ordinal") == std::vector<double>{0, 0, 1, 0});
  CHECK(Numbers(table, "cta") == std::vector<double>{0, 0, 0, 1});  // 3 warps a CTA
  CHECK(Numbers(table, "warp") == std::vector<double>{0, 0, 0, 2});
  CHECK(Numbers(table, "count") == std::vector<double>{4, 2, 1, 4});
  CHECK(Numbers(table, "launch")[0] == 2);
}

TEST_CASE("without a trace beside it a histogram's warps are those of the grid") {
  Left left;
  left.Write(kHistogram, Golden(kHistogram));
  const auto collected = left.Collect();
  REQUIRE(collected.ok());
  CHECK(Numbers(collected->tables[0], "cta")[3] == -1);
  CHECK(Numbers(collected->tables[0], "warp")[3] == 5);
}

TEST_CASE("a trace of opcodes becomes executions of each instruction") {
  Left left;
  left.Set("mode", "opcodes");
  left.Write(kTrace, Golden(kTrace) + "{\"type\":\"opcode_only\",\"pc\":\"0x");
  const auto collected = left.Collect();
  REQUIRE(collected.ok());
  const v1::DataTable& table = collected->tables[0];
  CHECK(table.name() == "sass_metrics");
  CHECK(Numbers(table, "pc") == std::vector<double>{0, 16});
  CHECK(Numbers(table, "executed") == std::vector<double>{2, 1});
  CHECK(table::TextAt(*table::Find(table, "opcode"), 1) == "LDG.E.64");
  REQUIRE(collected->notes.size() == 1);
  CHECK(absl::StrContains(collected->notes[0], "1 lines are no records"));
}

TEST_CASE("nothing recorded, or nothing that can be read, is an error with the reason") {
  Left left;
  CHECK(left.Collect().status().code() == absl::StatusCode::kFailedPrecondition);
  left.Write(kHistogram, "warp_id,region_id,instruction,count\n0,-1,FADD,2\n");
  const auto bad = left.Collect();
  CHECK(bad.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(bad.status().message(), "histogram line 2"));
  for (const char* text : {"", "\n", "x", "warp_id,count\n",
                           "warp_id,region_id,instruction,count\n1\n", "\xff\xfe\"\n"}) {
    const auto rows = cutracer::ParseHistogramUntrusted(text);
    if (rows.ok()) CHECK(rows->empty());
  }
  const auto trace = cutracer::ParseTraceUntrusted(
      "[1]\nnull\n{\"pc\":7}\n{\"type\":\"kernel_metadata\",\"block\":[9999,1,1]}\n{\"pc\":\"0x1\","
      "\"sass\":3}\n\xff\n");
  REQUIRE(trace.ok());
  CHECK(trace->bad_lines == 4);
  CHECK(trace->threads == 0);
  CHECK(trace->by_pc.at(1).count == 1);
}

TEST_CASE("the injection is planned, and refused beside other tools") {
  Left left;
  left.Set("filter", "mm+attention");
  const CutracerBackend backend(left.site);
  const v1::BackendOffer offer = backend.Probe();
  CHECK(offer.available());
  CHECK(offer.features(0) == "excludes-env:CUDA_INJECTION64_PATH");
  const auto plan = backend.Prepare(left.assignment);
  REQUIRE(plan.ok());
  CHECK(plan->env.at("CUDA_INJECTION64_PATH") == "/sextant/cutracer/cutracer.so");
  CHECK(plan->env.at("CUTRACER_ANALYSIS") == "proton_instr_histogram");
  CHECK(plan->env.at("KERNEL_FILTERS") == "mm,attention");
  CHECK(plan->mounts[0].source == fs::canonical(left.directory).string());
  left.assignment.mutable_workload()->set_argv(0, "/usr/local/cuda/bin/ncu");
  CHECK(absl::StrContains(backend.Prepare(left.assignment).status().message(),
                          "ncu and CUTracer cannot"));
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"mode", "all"},
                                                        {"filter", "a,b"},
                                                        {"filter", ""},
                                                        {"trace_mib", "0"},
                                                        {"speed", "1"}}) {
    Left other;
    other.Set(name, value);
    CHECK(absl::StrContains(backend.Prepare(other.assignment).status().message(),
                            "options[\"" + name + "\"]"));
  }
}

TEST_CASE("a site without CUTracer has the backend off, with the reason") {
  const v1::BackendOffer offer = CutracerBackend(Site()).Probe();
  CHECK_FALSE(offer.available());
  CHECK(absl::StrContains(offer.reason(), "--tool cutracer="));
  Site site;
  site.tools["cutracer"] = "/nonexistent";
  CHECK(absl::StrContains(CutracerBackend(site).Probe().reason(), "/nonexistent"));
}

TEST_CASE("an opcode is the first word after the predicate") {
  CHECK(cutracer::OpcodeOf("@!P0 HMMA.16816.F32 R4, R8, R12, R4 ;") == "HMMA.16816.F32");
  CHECK(cutracer::OpcodeOf("EXIT ;") == "EXIT");
  CHECK(cutracer::OpcodeOf("").empty());
  CHECK(cutracer::OpcodeOf("@P0").empty());
}

}  // namespace
}  // namespace sextant::backends
