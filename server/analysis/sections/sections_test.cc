// Every section with a job that has everything, against its expected output testdata/NAME.md. A wanted
// change is blessed with SEXTANT_BLESS=1; read the difference. And the whole report: formats, limits, hostile names.
#include "server/analysis/sections/section.h"

#include <google/protobuf/text_format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/analysis/diagnosis.h"
#include "server/analysis/report.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

constexpr char kBasis[] = "basis { passes { backend: 'scopes' pass_ids: 3 pass_ids: 4 used_for: 'critical path' } notes: 'a note' } ";

// A job with all answers, small enough to read.
struct Whole {
  explicit Whole(const std::string& name = "load") {
    job.set_job_id(7);
    job.set_name("pipeline");
    for (int i = 1; i <= 4; ++i) {
      v1::PassInfo& pass = passes.emplace_back();
      pass.set_pass_id(i);
      pass.set_task("profile");
      pass.mutable_spec()->set_backend(i < 3 ? "activity" : "scopes");
      pass.set_state(i == 2 ? v1::FAILED : v1::DONE);
      pass.set_worker("w");
      auto* result = pass.mutable_result();
      result->mutable_exit()->set_verdict(v1::EXITED);
      result->mutable_exit()->set_wall_s(1.25);
      result->set_events(1000 * i);
      if (i == 2) result->mutable_failure()->set_message("broke");
    }
    Facts facts;
    facts.kernel = "void gemm<float>(int)";
    facts.share_of_gpu_time = 1;
    facts.sms = 132;
    facts.clean_ns = MakeFact("activity", "median of 5 launches", 29'000, "ns", {1});
    facts.clean_spread = MakeFact("activity", "spread", 1, "%", {1});
    facts.clean_spread.value = 0.01;
    facts.clean_launches = 5;
    facts.idle_share = MakeFact("activity", "gaps", 40, "%", {1});
    facts.idle_share.value = 0.4;
    facts.clock_mhz = facts.max_clock_mhz = MakeFact("NVML", "SM clock", 1980, "MHz", {1});
    for (const auto& [metric, value] : {std::pair{"dram__throughput.avg.pct_of_peak_sustained_elapsed", 12.0},
                                        std::pair{"sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active", 65.0}})
      facts.metrics[metric] = MakeFact("counters", metric, value, "%", {2});
    for (const auto& [reason, share] : {std::pair{"barrier", 0.2}, std::pair{"selected", 0.1}}) {
      facts.stalls[reason] = MakeFact("counters", absl::StrCat("warp time stalled: ", reason), 100 * share, "%", {2});
      facts.stalls[reason].value = share;
    }
    facts.path = Parse<v1::CriticalPath>(absl::StrCat(
        kBasis, "ctas: 9 paths { quantile: 0.5 span_ns: 27000 pass_id: 3 launch: 1 cta: 2 "
        "steps { role: 'producer' region: '", name, "' duration_ns: 7000 repeats: 1 } "
        "steps { role: 'consumer' region: 'wait full' start_ns: 7000 duration_ns: 20000 repeats: 8 enters_by: 'full' } "
        "shares { role: 'consumer' region: 'wait full' on_path_ns: 20000 share: 0.74 slack_ns: 0 } "
        "shares { role: 'producer' region: '", name, "' on_path_ns: 7000 share: 0.26 slack_ns: 60 } } "
        "what_if { what { role: 'producer' region: '", name, "' shorten_pct: 10 } span_ns: 27000 predicted_ns: 26300 speedup_pct: 2.6 } "
        "edges { barrier: 'full' from_role: 'producer' to_role: 'consumer' count: 90 wait_ns: 120 wait_total_ns: 4000 late_share: 1 }"));
    facts.costs = Parse<v1::RegionCosts>(absl::StrCat(
        kBasis, "kernel_instructions: 5000 kernel_ipc: 0.8 regions { role: 'producer' region: '", name, "' warp: -1 instances: 64 cycles: 600 "
        "time_share: 0.3 instructions_exclusive: 900 ipc_exclusive: 0.2 issue_share: 0.18 mix { name: 'memory' share: 0.6 } "
        "stalls { name: 'wait' share: 0.5 } confidence: 1 }"));
    facts.registers = Parse<v1::Registers>(absl::StrCat(
        kBasis, "registers: 168 max_live: 150 occupancy_pct: 18.75 limiter: 'registers' cases { change: '+1 block an SM' registers: 80 "
        "blocks_per_sm: 2 occupancy_pct: 37.5 limiter: 'registers' needs: 'registers <= 80' } profile { pc: 16 opcode: 'HGMMA' live: 150 "
        "where: 'gemm.cu:12' } spills { where: 'gemm.cu:9' store: true executed: 10 bytes: 1280 }"));
    facts.roofline = Parse<v1::Roofline>(absl::StrCat(
        kBasis, "ceilings { name: 'DRAM bandwidth' value: 4.8e12 unit: 'B/s' source: 'data sheet' } ceilings { name: 'BF16 tensor' value: 9.9e14 "
        "unit: 'FLOP/s' source: 'data sheet' } points { level: 'DRAM' work: 1.7e10 bytes: 1.7e7 intensity: 1000 achieved: 5.9e14 attainable: 9.9e14 "
        "share: 0.6 bound_by: 'BF16 tensor' } speed_of_light { unit_name: 'tensor pipe' achieved_pct: 65 metric: 'm' }"));
    facts.occupancy = Parse<v1::OccupancyOverTime>(absl::StrCat(
        kBasis, "bucket_ns: 1000 resident_ctas: 2 resident_ctas: 1 sms: 2 ctas: 3 ctas_seen: 3 ctas_per_sm: 1 waves { index: 0 ctas: 2 end_ns: 1000 } "
        "waves { index: 1 ctas: 1 start_ns: 1000 end_ns: 2000 } tail_ns: 1000 tail_loss_share: 0.25 imbalance: 0.33 achieved_occupancy_pct: 13 "
        "theoretical_occupancy_pct: 18.75 heat_maps { what: 'resident CTAs' bucket_ns: 1000 sms: 0 sms: 1 values: [1, 1, 1, 0] }"));
    facts.variation = Parse<v1::Variation>(absl::StrCat(
        kBasis, "regions { role: 'producer' region: '", name, "' count: 64 median_ns: 300 spread: 0.6 time_share: 0.3 "
        "components { source: 'SMs' share: 0.7 } goes_with { with: 'SM' correlation: 0.8 p_value: 0.001 } bimodal: true modes_ns: 200 modes_ns: 400 }"));
    facts.timeline = Parse<v1::Timeline>(absl::StrCat(
        "quantiles: [0.2, 0.5, 0.8] passes: 2 events: 128 origin: SINCE_CTA pass_sets { backend: 'scopes' pass_ids: 3 pass_ids: 4 } "
        "lanes { role: 'producer' tracks: 1 alignment_confidence: 1 alignment: 'exact' instances { region: '", name,
        "' start_ns: [0, 10, 20] end_ns: [300, 310, 330] duration_ns: [290, 300, 310] count: 64 } } "
        "regions { role: 'producer' region: '", name, "' count: 64 duration_ns: [290, 300, 310] sum_ns: 19200 min_ns: 280 max_ns: 400 relative_error: 0.01 } "
        "loops { role: 'producer' regions: '", name, "' iterations: 32 period_ns: [400, 410, 420] prologue_ns: [1, 2, 3] epilogue_ns: [1, 2, 3] "
        "steady_ns: [9000, 9100, 9200] steady_share: 0.9 } "
        "overlaps { role: 'producer' region: '", name, "' other_role: 'consumer' busy_ns: 9000 both_ns: 6000 hidden_share: 0.667 exposed_ns: 3000 }"));
    facts.lines = Parse<v1::Hotspots>(absl::StrCat(
        kBasis, "by: 'line' total_samples: 1000 hotspots { name: 'gemm.cu:12' text: 'c += a * b;' samples: 400 share: 0.4 executed: 2048 parent: '", name,
        "' stalls { name: 'long_scoreboard' value: 300 share: 0.75 } } hotspots { name: 'gemm.cu:9' samples: 4 share: 0.004 }"));
    CodeSite& site = facts.sites.emplace_back();
    site = {.pc = 0x2f0, .opcode = "FFMA", .where = "gemm.cu:12", .region = name, .samples = 0.4, .stalls = {{"long_scoreboard", 0.3}, {"selected", 0.1}},
            .executed = 2048, .waits_for = "LDG.E at gemm.cu:11", .awaited = "LDG", .pass_ids = {3}};
    kernels.push_back(std::move(facts));
    diagnosis = Diagnose(kernels, 0);
    certificates.push_back(Parse<v1::Perturbation>(
        "kernel: 'void gemm<float>(int)' backend: 'scopes' pass_ids: 3 pass_ids: 4 clean_ns: 29000 instrumented_ns: 30000 ratio: 1.03 clean_registers: 168 "
        "instrumented_registers: 168 same_code: true verdict: 'ok' why: 'launches take 3 % longer than clean ones'"));
    provenance.push_back(Parse<v1::Provenance>("machine_class: 'gpu:H200' cpu_model: 'CPU' cpu_cores: 16 backend: 'scopes' extra { key: 'gpu' value: 'NVIDIA H200' }"));
    times.push_back(Parse<v1::NamedShare>("name: 'void gemm<float>(int)' value: 145000 share: 1"));
  }
  ReportInputs inputs() const { return {job, passes, kernels, diagnosis, certificates, provenance, times}; }
  v1::Report Make(v1::ReportFormat format = v1::REPORT_FORMAT_UNSPECIFIED, const std::vector<std::string>& sections = {}) const {
    auto report = MakeReport(inputs(), "profile", format, sections);
    INFO(report.status().ToString());
    REQUIRE(report.ok());
    return *std::move(report);
  }

  v1::JobInfo job;
  std::vector<v1::PassInfo> passes;
  std::vector<Facts> kernels;
  v1::Diagnosis diagnosis;
  std::vector<v1::Perturbation> certificates;
  std::vector<v1::Provenance> provenance;
  std::vector<v1::NamedShare> times;
};

TEST_CASE("every section of the report is as expected") {
  const Whole whole;
  for (const Section& section : Sections()) {
    DYNAMIC_SECTION(section.name) {
      v1::Report report = whole.Make(v1::MARKDOWN, {section.name});
      REQUIRE(report.sections_size() == 1);
      report.clear_findings();
      report.clear_abstentions();
      report.clear_summary();
      std::string text = ReportMarkdown(report);
      for (const v1::Picture& picture : report.sections(0).pictures())
        absl::StrAppend(&text, "\n", picture.caption(), "\n\n", picture.svg().substr(picture.svg().find("</style>") + 8), "\n");
      const std::string path = absl::StrCat("server/analysis/sections/testdata/", section.name, ".md");
      if (std::getenv("SEXTANT_BLESS") != nullptr) std::ofstream(path) << text;
      std::ostringstream expected;
      expected << std::ifstream(path).rdbuf();
      INFO("bless a wanted change with SEXTANT_BLESS=1");
      CHECK(text == expected.str());
    }
  }
}

TEST_CASE("the report has one text for each format, and the short one stays short") {
  const Whole whole;
  const v1::Report plain = whole.Make();
  CHECK_FALSE(plain.markdown().empty());
  CHECK_FALSE(plain.tldr().empty());
  CHECK(plain.html().empty());
  CHECK(plain.tldr().size() <= kMaxTldrBytes);
  CHECK(absl::StrContains(plain.tldr(), "critical path of gemm"));
  CHECK(plain.tables_size() == 2);
  const v1::Report html = whole.Make(v1::HTML);
  CHECK(html.markdown().empty());
  CHECK(absl::StrContains(html.html(), "<svg"));
  CHECK_FALSE(absl::StrContains(html.html(), "<script"));
  CHECK_FALSE(absl::StrContains(html.html(), "src="));
  const auto unknown = MakeReport(whole.inputs(), "", v1::MARKDOWN, {"path"});
  CHECK(absl::IsInvalidArgument(unknown.status()));
  CHECK(absl::StartsWith(unknown.status().message(), "sections: there is no section \"path\"; there are bottleneck, "));
}

TEST_CASE("what a workload named is data in every format, and cut") {
  const std::string evil = "<script>alert(1)</script>|`x`[y](z)";
  Whole whole(evil);
  whole.job.set_name(std::string(5000, '<'));
  const v1::Report report = whole.Make(v1::HTML);
  CHECK_FALSE(absl::StrContains(report.html(), "<script>"));
  CHECK(absl::StrContains(report.html(), "&lt;script&gt;"));
  CHECK(report.title().size() < 300);
  const v1::Report text = whole.Make();
  // Nothing in a fence ends it, and outside of fences both brackets are escaped.
  bool fenced = false;
  int fences = 0;
  for (const absl::string_view line : absl::StrSplit(text.markdown(), '\n')) {
    if (absl::StartsWith(line, "```")) {
      fenced = !fenced;
      ++fences;
    } else if (!fenced) {
      CHECK_FALSE(absl::StrContains(line, "<script>"));
      CHECK_FALSE(absl::StrContains(line, "[y](z)"));
    }
  }
  CHECK(fences >= 8);
  CHECK_FALSE(fenced);
  // Many and long names do not lengthen the short text beyond its limit.
  Whole many(std::string(2000, 'x'));
  for (int i = 0; i < 500; ++i) *many.diagnosis.add_findings() = many.diagnosis.findings(0);
  CHECK(many.Make().tldr().size() <= kMaxTldrBytes);
}

TEST_CASE("a job of which nothing is known has a report all the same") {
  Whole whole;
  whole.kernels.clear();
  whole.certificates.clear();
  whole.times.clear();
  whole.diagnosis = v1::Diagnosis();
  const v1::Report report = whole.Make();
  CHECK(report.findings().empty());
  CHECK(report.sections_size() == 2);   // passes, environment
  CHECK(absl::StrContains(report.markdown(), "p2 failed"));
  const std::vector<v1::PassInfo> none;
  const ReportInputs empty{whole.job, none, whole.kernels, whole.diagnosis, whole.certificates, {}, {}};
  CHECK(absl::IsFailedPrecondition(MakeReport(empty, "", v1::MARKDOWN, {}).status()));
}

}  // namespace
}  // namespace sextant::analysis
