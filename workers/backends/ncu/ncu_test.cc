#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/ncu/log.h"
#include "workers/backends/ncu/ncu_backend.h"
#include "workers/backends/ncu/tables.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

// Recorded on one NVIDIA H200 with ncu 2025.3.1, columns taken out.
std::string Golden(const std::string& name) {
  std::ifstream file("workers/backends/ncu/testdata/" + name, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

ncu::RawPage Page(const std::string& name) {
  auto page = ncu::ParseRawPageUntrusted(Golden(name));
  INFO(page.status().ToString());
  REQUIRE(page.ok());
  return *std::move(page);
}

// A results directory, and a pass that left it.
class Left {
 public:
  Left() {
    char name[] = "/tmp/sextant-ncu-XXXXXX";
    directory = mkdtemp(name);
    assignment.mutable_spec()->set_backend("ncu");
    assignment.mutable_workload()->add_argv("./good");
  }
  ~Left() { fs::remove_all(directory); }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory / name, std::ios::binary) << text;
  }
  absl::StatusOr<Collected> Collect() const {
    RunRecord run;
    run.assignment = &assignment;
    run.results_dir = directory;
    return NcuBackend(Site()).Collect(run);
  }
  fs::path directory;
  v1::Assignment assignment;
};

std::vector<std::string> Texts(const v1::DataTable& table, const std::string& column) {
  std::vector<std::string> texts;
  const v1::DataColumn* found = table::Find(table, column);
  REQUIRE(found != nullptr);
  for (uint64_t i = 0; i < table.rows(); ++i) texts.emplace_back(table::TextAt(*found, i));
  return texts;
}

std::vector<double> Numbers(const v1::DataTable& table, const std::string& column) {
  std::vector<double> numbers;
  const v1::DataColumn* found = table::Find(table, column);
  REQUIRE(found != nullptr);
  for (uint64_t i = 0; i < table.rows(); ++i) numbers.push_back(table::NumberAt(*found, i));
  return numbers;
}

absl::StatusOr<ncu::Options> Options(const std::string& name, const std::string& value) {
  v1::PassSpec spec;
  (*spec.mutable_options())[name] = value;
  return ncu::ParseOptions(spec);
}

TEST_CASE("a raw page with commas between thousands is read with its units") {
  const ncu::RawPage page = Page("full.raw.csv");
  REQUIRE(page.launches.size() == 4);
  const ncu::Launch& matmul = page.launches[2];
  CHECK(matmul.kernel == "nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_NNT");
  CHECK(matmul.grid[1] == 66);
  CHECK(matmul.block[0] == 384);
  CHECK(matmul.stream == 7);
  const ncu::Value* bytes = ncu::Find(page, matmul, "dram__bytes_read.sum");
  REQUIRE(bytes != nullptr);
  CHECK(bytes->number == 148505856);
  CHECK(page.metrics[bytes->metric].unit == "byte");
  CHECK(ncu::Find(page, matmul, "dram__bytes_read.sum.per_second")->number ==
        Approx(842863784961.86));
  const ncu::Value* text =
      ncu::Find(page, matmul, "sass__inst_executed_register_spilling_mem_local");
  CHECK(text->text == "no data");
  CHECK(std::isnan(text->number));
  const ncu::Value* nan = ncu::Find(page, matmul, "derived_tempMetric4");
  CHECK(nan->text.empty());
  CHECK(std::isnan(nan->number));
  CHECK(ncu::Find(page, matmul, "launch__kernel_name") == nullptr);  // an empty field is no value
}

TEST_CASE("launches are numbered by process and after those that were skipped") {
  ncu::RawPage page = Page("basic.raw.csv");
  REQUIRE(page.launches.size() == 6);
  CHECK(ncu::NumberLaunches(page, 3) == std::vector<int64_t>{3, 4, 5, 6, 7, 8});
  page.launches[1].process = 99;
  CHECK(ncu::NumberLaunches(page, 0) == std::vector<int64_t>{0, 0, 1, 2, 3, 4});
}

TEST_CASE("the table launches says what ncu knows of each") {
  const ncu::RawPage page = Page("basic.raw.csv");
  const v1::DataTable table = ncu::LaunchesTable(page, ncu::NumberLaunches(page, 0));
  REQUIRE(table::Check(table).ok());
  CHECK(table.rows() == 6);
  CHECK(Texts(table, "kernel")[1] == "(anonymous namespace)::shared_sum(float const*, float*)");
  CHECK(Texts(table, "kernel")[2] == "f");
  CHECK(Texts(table, "mangled")[1] == "_ZN32_GLOBAL__N__af49f49d_7_good_cu_f10shared_sumEPKfPf");
  CHECK(Numbers(table, "duration_ns") == std::vector<double>{4800, 9248, 2272, 4800, 9280, 2176});
  CHECK(Numbers(table, "dynamic_shared_bytes")[1] == 4096);
  CHECK(Numbers(table, "registers")[2] == 22);
  CHECK(Numbers(table, "occupancy_pct")[1] == 100);
  CHECK(Texts(table, "occupancy_limiter")[1] == "warps");
  const ncu::RawPage full = Page("full.raw.csv");
  const v1::DataTable more = ncu::LaunchesTable(full, ncu::NumberLaunches(full, 0));
  CHECK(Texts(more, "occupancy_limiter")[0] == "registers");
  CHECK(Numbers(more, "occupancy_pct")[2] == 18.75);
}

TEST_CASE("the table ncu holds metrics by name and entries of sections by label") {
  const ncu::RawPage page = Page("basic.raw.csv");
  const auto details = ncu::ParseDetailsPageUntrusted(Golden("basic.details.csv"));
  REQUIRE(details.ok());
  std::vector<std::string> notes;
  const v1::DataTable table = ncu::NcuTable(page, ncu::NumberLaunches(page, 0), *details, &notes);
  REQUIRE(table::Check(table).ok());
  CHECK(notes.empty());
  const auto metric = Texts(table, "metric"), section = Texts(table, "section"),
             unit = Texts(table, "unit"), text = Texts(table, "text");
  const auto value = Numbers(table, "value");
  int clocks = 0, found = 0;
  for (uint64_t i = 0; i < table.rows(); ++i) {
    clocks += metric[i] == "device__attribute_clock_rate";
    if (metric[i] == "Dynamic Shared Memory Per Block" && Numbers(table, "launch")[i] == 1) {
      ++found;
      CHECK(section[i] == "Launch Statistics");
      CHECK(unit[i] == "bytes/block");
      CHECK(value[i] == 4096);
    }
    if (metric[i] == "launch__cluster_scheduling_policy") {
      CHECK(text[i] == "PolicySpread");
      CHECK(std::isnan(value[i]));
    }
  }
  CHECK(clocks == 1);  // the device's attributes stand there once
  CHECK(found == 1);
}

TEST_CASE("what ncu's rules advise are findings") {
  const ncu::RawPage page = Page("basic.raw.csv");
  const auto details = ncu::ParseDetailsPageUntrusted(Golden("basic.details.csv"));
  const v1::DataTable table = ncu::AdviceTable(page, ncu::NumberLaunches(page, 0), *details);
  REQUIRE(table::Check(table).ok());
  REQUIRE(table.rows() >= 4);
  CHECK(Texts(table, "kind")[0] == "SOLBottleneck");
  CHECK(Texts(table, "severity")[0] == "warning");
  CHECK(absl::StartsWith(Texts(table, "message")[0], "SpeedOfLight: This workload exhibits low"));
  CHECK(absl::StrContains(Texts(table, "kernel")[0], "scale<float>"));
}

TEST_CASE("counters sum over the launches of a kernel, and only what can be summed") {
  const ncu::RawPage page = Page("full.raw.csv");
  double softmax_read = 0, generator_time = 0;
  for (const v1::Counter& counter : ncu::KernelCounters(page, {})) {
    CHECK(absl::EndsWith(counter.name(), ".sum"));
    CHECK(std::isfinite(counter.value()));
    if (absl::StrContains(counter.kernel(), "SoftMax") &&
        counter.name() == "dram__bytes_read.sum") {
      softmax_read = counter.value();
      CHECK(counter.unit() == "bytes");
    }
    if (absl::StrContains(counter.kernel(), "distribution") &&
        counter.name() == "gpu__time_duration.sum") {
      generator_time = counter.value();
      CHECK(counter.instances() == 2);
    }
  }
  CHECK(softmax_read == 33571072);
  CHECK(generator_time == 2 * 42624);
  CHECK(ncu::KernelCounters(page, {"lts__t_sectors"}).size() == 3);
  CHECK(ncu::KernelCounters(page, {"nonsense"}).empty());
}

TEST_CASE("a page that is cut off, or no page, is refused with its place") {
  const std::string whole = Golden("basic.raw.csv");
  for (size_t size = 0; size + 1 < whole.size(); ++size) {
    const auto page = ncu::ParseRawPageUntrusted(whole.substr(0, size));
    if (page.ok()) CHECK(page->launches.size() < 6);
  }
  CHECK(ncu::ParseRawPageUntrusted("")->launches.empty());
  CHECK(ncu::ParseRawPageUntrusted("==PROF== nothing\n")->launches.empty());
  CHECK(absl::StrContains(
      ncu::ParseRawPageUntrusted("\"ID\",\"Kernel Name\",\"m\"\n\"\",\"\",\"ns\"\n\"0\",\"k\"\n")
          .status()
          .message(),
      "launch 0 has 2 fields, the header has 3"));
  CHECK(absl::StrContains(
      ncu::ParseRawPageUntrusted("\"ID\",\"x\"\n\"\",\"\"\n").status().message(), "Kernel Name"));
  CHECK(absl::StrContains(
      ncu::ParseRawPageUntrusted("\"ID\",\"Kernel Name\"\n\"0\",\"k\"\n").status().message(),
      "units"));
  const auto hostile = ncu::ParseRawPageUntrusted(
      "\"ID\",\"Kernel Name\",\"Grid "
      "Size\",\"m\"\n\"\",\"\",\"\",\"\"\n\"-1\",\"k\x01\xff\",\"(9,9,9,9,9)\",\"1e999\"\n");
  REQUIRE(hostile.ok());
  CHECK(table::Check(ncu::LaunchesTable(*hostile, {0})).ok());
  CHECK(ncu::KernelCounters(*hostile, {"m"}).empty());
}

TEST_CASE("a pass leaves tables, counters, and ncu's report") {
  Left left;
  left.Write("ncu.raw.csv", Golden("basic.raw.csv"));
  left.Write("ncu.details.csv", Golden("basic.details.csv"));
  left.Write("ncu.log", Golden("basic.log"));
  left.Write("ncu.ncu-rep", "report");
  (*left.assignment.mutable_spec()->mutable_options())["metrics"] =
      "smsp__cycles_active.avg+nonsense__metric";
  const auto collected = left.Collect();
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  REQUIRE(collected->tables.size() == 3);
  CHECK(collected->tables[0].name() == "launches");
  CHECK(collected->tables[1].name() == "ncu");
  CHECK(collected->tables[2].name() == "findings");
  CHECK(collected->artifacts[0].name == "ncu.ncu-rep");
  REQUIRE(collected->notes.size() == 1);
  CHECK(absl::StrContains(collected->notes[0], "nonsense__metric"));
}

TEST_CASE("nothing profiled is an error with the reason and a remedy") {
  Left left;
  left.assignment.mutable_workload()->set_kernels("nothing");
  left.Write("ncu.log", Golden("none.log"));
  absl::Status status = left.Collect().status();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(status.message(), "no kernel matches \"nothing\""));
  CHECK(absl::StrContains(status.message(), "shared_sum(const float *, float *); f; void"));
  CHECK_FALSE(RemedyOf(status).empty());

  left.Write("ncu.log", "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission\n");
  status = left.Collect().status();
  CHECK(status.code() == absl::StatusCode::kPermissionDenied);
  CHECK(absl::StrContains(RemedyOf(status), "NVreg_RestrictProfilingToAdminUsers=0"));

  left.Write("ncu.log", Golden("section.log"));
  status = left.Collect().status();
  CHECK(status.code() == absl::StatusCode::kUnimplemented);
  CHECK(absl::StrContains(status.message(), "'--section Nonsense' did not match any section"));

  left.Write("ncu.log", "==PROF== Connected to process 1\n==ERROR== UnknownError\n");
  CHECK(left.Collect().status().code() == absl::StatusCode::kUnavailable);

  left.Write("ncu.log", "");
  CHECK(
      absl::StrContains(left.Collect().status().message(), "no process of the program used CUDA"));
}

TEST_CASE("only metrics that the GPU does not have is an error that names them") {
  Left left;
  left.Write("ncu.raw.csv", Golden("basic.raw.csv"));
  (*left.assignment.mutable_spec()->mutable_options())["metrics"] = "nonsense__metric";
  const absl::Status status = left.Collect().status();
  CHECK(status.code() == absl::StatusCode::kUnimplemented);
  CHECK(absl::StrContains(status.message(), "nonsense__metric"));
}

TEST_CASE("the command line is what ncu must be told") {
  v1::PassSpec spec;
  auto& options = *spec.mutable_options();
  options["metrics"] = "a.sum+b";
  options["sections"] = "Occupancy";
  options["launch_skip"] = "5";
  options["launch_count"] = "2";
  options["caches"] = "keep";
  v1::Workload workload;
  workload.set_kernels("it's.*");
  workload.add_argv("./p");
  workload.add_argv("$HOME 'x'");
  const auto argv = ncu::CommandLine(*ncu::ParseOptions(spec), workload);
  CHECK(absl::StrJoin(argv, "\n") + "\n" == Golden("command.txt"));
  workload.clear_kernels();
  const std::string plain = ncu::CommandLine(*ncu::ParseOptions({}), workload)[2];
  CHECK(absl::StrContains(plain, "--set basic"));
  CHECK_FALSE(absl::StrContains(plain, "--kernel-name"));
}

TEST_CASE("options that ncu cannot be given are refused by name") {
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"set", "everything"},
                                                        {"metrics", ""},
                                                        {"metrics", "a,b"},
                                                        {"metrics", "--export"},
                                                        {"metrics", "a;rm"},
                                                        {"sections", "x y"},
                                                        {"launch_skip", "-1"},
                                                        {"launch_count", "many"},
                                                        {"replay", "range"},
                                                        {"caches", "maybe"},
                                                        {"speed", "1"}}) {
    INFO(name << "=" << value);
    const auto options = Options(name, value);
    REQUIRE_FALSE(options.ok());
    CHECK(absl::StrContains(options.status().message(), "options[\"" + name + "\"]"));
  }
  CHECK(ncu::ParseOptions({})->set == "basic");
  CHECK(Options("metrics", "a")->set.empty());
}

TEST_CASE("the newest installation beside the toolkit is found, through links") {
  Left left;
  for (const char* name :
       {"nsight-compute-2025.3.1", "nsight-compute-2025.10.0", "nsight-compute-9"}) {
    fs::create_directories(left.directory / name / "sections");
    left.Write(std::string(name) + "/ncu", "#!/bin/sh\n");
    fs::permissions(left.directory / name / "ncu", fs::perms::owner_all);
  }
  fs::remove(left.directory / "nsight-compute-9/ncu");
  Site site;
  site.cuda = left.directory;
  CHECK(ncu::FindInstallation(site)->directory.filename() == "nsight-compute-2025.10.0");
  fs::create_symlink("nsight-compute-2025.3.1/ncu", left.directory / "link");
  site.tools["ncu"] = (left.directory / "link").string();
  CHECK(ncu::FindInstallation(site)->directory.filename() == "nsight-compute-2025.3.1");
  site.tools["ncu"] = "/nonexistent";
  CHECK_FALSE(ncu::FindInstallation(site).ok());
  const v1::BackendOffer offer = NcuBackend(site).Probe();
  CHECK_FALSE(offer.available());
  CHECK(absl::StrContains(offer.reason(), "/nonexistent"));
}

}  // namespace
}  // namespace sextant::backends
