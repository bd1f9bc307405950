#include "server/analysis/hotspots.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/test_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

struct Sample {
  int64_t pc;
  const char* stall;
  int64_t count;
  int64_t line;
  const char* function = "k()";
};

v1::DataTable Samples(const std::vector<Sample>& samples) {
  table::Builder rows("pc_samples");
  const auto kernel = rows.Text("kernel");
  const auto pc = rows.Int("pc");
  const auto opcode = rows.Text("opcode");
  const auto stall = rows.Text("stall");
  const auto count = rows.Int("samples");
  const auto file = rows.Text("file");
  const auto line = rows.Int("line");
  const auto function = rows.Text("function");
  for (const Sample& one : samples) {
    rows.Set(kernel, "k()");
    rows.Set(pc, one.pc);
    rows.Set(opcode, "FADD");
    rows.Set(stall, one.stall);
    rows.Set(count, one.count);
    rows.Set(file, "/build/src/k.cu");
    rows.Set(line, one.line);
    rows.Set(function, one.function);
    rows.EndRow();
  }
  return rows.Finish();
}

TestJob Job() {
  TestJob job;
  job.Pass("activity").Add(LaunchTable({{"k()", 100}, {"other()", 40}, {"k()", 60}}));
  job.Pass("pcsampling").Add(Samples({{0x00, "wait", 10, 2}, {0x10, "long_scoreboard", 60, 3}, {0x10, "selected", 10, 3},
                                      {0x20, "wait", 20, 2, "helper(int)"}}));
  job.File("src/k.cu", "line one\n  x = y;\t// two\nline \xff three\n");
  return job;
}

absl::StatusOr<v1::Hotspots> Ask(const TestJob& job, const std::string& by, const std::string& within = "", uint32_t top = 0) {
  v1::GetHotspotsRequest request;
  request.set_by(by);
  request.set_within(within);
  request.set_top(top);
  return MakeHotspots(job.Gather(), request);
}

std::vector<std::string> Shown(const absl::StatusOr<v1::Hotspots>& hotspots) {
  REQUIRE(hotspots.ok());
  std::vector<std::string> shown;
  for (const v1::Hotspot& one : hotspots->hotspots())
    shown.push_back(absl::StrCat(one.name(), " ", one.samples(), " ", static_cast<int>(100 * one.share() + 0.5), "%"));
  return shown;
}

TEST_CASE("samples are summed by line, instruction and function, with the source's text") {
  const TestJob job = Job();
  const auto lines = Ask(job, "");
  CHECK(Shown(lines) == std::vector<std::string>{"k.cu:3 70 70%", "k.cu:2 30 30%"});
  CHECK(lines->by() == "line");
  CHECK(lines->total_samples() == 100);
  CHECK(lines->hotspots(1).text() == "x = y; // two");
  CHECK(lines->hotspots(0).text() == "line ? three");
  CHECK(lines->hotspots(0).stalls(0).name() == "long_scoreboard");
  CHECK(lines->hotspots(0).stalls(0).share() == Approx(6.0 / 7));
  CHECK(std::isnan(lines->hotspots(0).executed()));
  CHECK(Shown(Ask(job, "sass")) == std::vector<std::string>{"0x0010 FADD 70 70%", "0x0020 FADD 20 20%", "0x0000 FADD 10 10%"});
  CHECK(Shown(Ask(job, "function")) == std::vector<std::string>{"k() 80 80%", "helper(int) 20 20%"});
  const auto one = Ask(job, "sass", "", 1);
  CHECK(Shown(one) == std::vector<std::string>{"0x0010 FADD 70 70%"});
  CHECK(one->left_out() == 2);
}

TEST_CASE("what lies within a line or a function is shown alone") {
  const TestJob job = Job();
  CHECK(Shown(Ask(job, "sass", "k.cu:2")) == std::vector<std::string>{"0x0020 FADD 20 67%", "0x0000 FADD 10 33%"});
  CHECK(Shown(Ask(job, "line", "helper")) == std::vector<std::string>{"k.cu:2 20 100%"});
  const auto nothing = Ask(job, "line", "k.cu:77").status();
  CHECK(absl::IsInvalidArgument(nothing));
  CHECK(absl::StrContains(nothing.message(), "\"k.cu:77\" is no line FILE:N"));
  CHECK(absl::StrContains(nothing.message(), "helper(int)"));
  CHECK(absl::IsInvalidArgument(Ask(job, "warp").status()));
  CHECK(absl::IsInvalidArgument(Ask(job, "kernel", "k.cu:2").status()));
}

TEST_CASE("kernels are ranked by their time, a thousand too") {
  const auto kernels = Ask(Job(), "kernel");
  REQUIRE(kernels.ok());
  REQUIRE(kernels->hotspots_size() == 2);
  CHECK(kernels->hotspots(0).name() == "k()");
  CHECK(kernels->hotspots(0).time_ns() == 160);
  CHECK(kernels->hotspots(0).share() == Approx(0.8));
  CHECK(kernels->hotspots(0).text() == "2 launches");
  TestJob many;
  std::vector<TestLaunch> launches;
  for (int i = 0; i < 1000; ++i) launches.push_back({absl::StrCat("k", i), i + 1});
  many.Pass("activity").Add(LaunchTable(launches));
  const auto all = Ask(many, "kernel", "", 1000);
  REQUIRE(all.ok());
  CHECK(all->hotspots_size() == 1000);
  CHECK(all->hotspots(0).name() == "k999");
}

TEST_CASE("without samples the answer is by executions, and says what would sample") {
  TestJob job;
  table::Builder rows("sass_metrics");
  const auto kernel = rows.Text("kernel");
  const auto launch = rows.Int("launch");
  const auto pc = rows.Int("pc");
  const auto executed = rows.Int("executed");
  for (int i = 0; i < 3; ++i) {
    rows.Set(kernel, "k()");
    rows.Set(launch, 0);
    rows.Set(pc, 16 * i);
    rows.Set(executed, 10 * i);
    rows.EndRow();
  }
  job.Pass("sassmetrics").Add(rows.Finish());
  const auto hotspots = Ask(job, "sass");
  REQUIRE(hotspots.ok());
  REQUIRE(hotspots->hotspots_size() == 3);
  CHECK(hotspots->hotspots(0).executed() == 20);
  CHECK(std::isnan(hotspots->hotspots(0).share()));
  CHECK(hotspots->basis().abstentions(0).pass() == "pcsampling");
  TestJob nothing;
  nothing.Pass("activity").Add(LaunchTable({{"k()", 100}}));
  CHECK(Ask(nothing, "line")->hotspots().empty());
}

}  // namespace
}  // namespace sextant::analysis
