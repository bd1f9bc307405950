#include "server/analysis/roofline.h"

#include <cmath>

#include "absl/strings/match.h"
#include "server/analysis/kernel_metrics.h"
#include "server/analysis/test_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

struct Metric {
  const char* name;
  double value;
  int64_t launch = 0;
};

v1::DataTable Counters(const std::vector<Metric>& metrics) {
  table::Builder rows("counters");
  const auto launch = rows.Int("launch");
  const auto kernel = rows.Text("kernel");
  const auto metric = rows.Text("metric");
  const auto value = rows.Number("value");
  for (const Metric& one : metrics) {
    rows.Set(launch, one.launch);
    rows.Set(kernel, "k()");
    rows.Set(metric, one.name);
    rows.Set(value, one.value);
    rows.EndRow();
  }
  return rows.Finish();
}

// 2e9 FLOP in 1 ms by the clean pass, at 1 GHz of an H200.
const std::vector<Metric> kFp32 = {{"smsp__sass_thread_inst_executed_op_ffma_pred_on.sum", 0.9e9},
                                   {"smsp__sass_thread_inst_executed_op_fadd_pred_on.sum", 0.2e9},
                                   {"gpu__time_duration.sum", 2e6},
                                   {"sm__cycles_elapsed.max", 2e6},
                                   {"dram__bytes.sum", 1e9},
                                   {"l1tex__t_bytes.sum", 1e8},
                                   {"dram__throughput.avg.pct_of_peak_sustained_elapsed", 61}};

TestJob Job(const std::vector<Metric>& metrics) {
  TestJob job;
  job.Pass("activity", {{"light", "1"}}).Add(LaunchTable({{"k()", 1'000'000}}));
  job.Pass("counters", {{"set", "roofline"}}).Add(Counters(metrics));
  auto& extra = *job->mutable_result()->mutable_provenance()->mutable_extra();
  extra["gpu"] = "NVIDIA H200";
  extra["mem_clock_mhz_before"] = "3201";
  return job;
}

v1::Roofline Answer(const TestJob& job) {
  const auto roofline = MakeRoofline(job.Gather());
  INFO(roofline.status().ToString());
  REQUIRE(roofline.ok());
  return *roofline;
}

const v1::RooflinePoint& At(const v1::Roofline& roofline, const std::string& level) {
  for (const v1::RooflinePoint& one : roofline.points())
    if (one.level() == level) return one;
  FAIL("no point at " << level);
  return roofline.points(0);
}

TEST_CASE("a kernel stands under the lower of its two roofs at each level") {
  const v1::Roofline roofline = Answer(Job(kFp32));
  CHECK(roofline.clean_ns() == 1e6);
  const v1::RooflinePoint& dram = At(roofline, "DRAM");
  CHECK(dram.work() == 2e9);
  CHECK(dram.intensity() == 2);
  CHECK(dram.achieved() == Approx(2e12));   // over the clean time, not the counted one
  const double bandwidth = 3201e6 * 2 * 6144 / 8;
  CHECK(dram.attainable() == Approx(2 * bandwidth));
  CHECK(dram.bound_by() == "DRAM bandwidth");
  CHECK(dram.share() == Approx(2e12 / (2 * bandwidth)));
  const v1::RooflinePoint& l1 = At(roofline, "L1");   // 20 FLOP/B: compute is lower
  CHECK(l1.attainable() == Approx(256.0 * 132 * 1e9));
  CHECK(l1.bound_by() == "FP32");
  CHECK(roofline.speed_of_light(0).unit_name() == "DRAM");
  for (const v1::Ceiling& one : roofline.ceilings()) CHECK_FALSE(one.source().empty());
  bool l2 = false;   // nobody counted it
  for (const v1::Abstention& one : roofline.basis().abstentions()) l2 |= one.question() == "the intensity at L2";
  CHECK(l2);
}

TEST_CASE("mixed work has the harmonic mean of its ceilings") {
  std::vector<Metric> metrics = kFp32;
  metrics.push_back({"sm__ops_path_tensor_src_fp16.sum", 64e9});
  const v1::RooflinePoint point = At(Answer(Job(metrics)), "L1");
  const double fp32 = 256.0 * 132 * 1e9, tensor = 4096.0 * 132 * 1e9;
  CHECK(point.work() == 66e9);
  CHECK(point.attainable() == Approx(66e9 / (2e9 / fp32 + 64e9 / tensor)));
  CHECK(point.bound_by() == "FP16 tensor");
}

TEST_CASE("a kernel that only moves is measured against the bandwidth") {
  std::vector<Metric> metrics = kFp32;
  metrics[0].value = metrics[1].value = 0;
  const v1::RooflinePoint point = At(Answer(Job(metrics)), "DRAM");
  CHECK(point.work() == 0);
  CHECK(point.share() == Approx(1e12 / (3201e6 * 2 * 6144 / 8)));
  CHECK(point.bound_by() == "DRAM bandwidth");
}

TEST_CASE("what is not known is not made up") {
  TestJob job = Job(kFp32);
  (*job->mutable_result()->mutable_provenance()->mutable_extra())["gpu"] = "Some GPU";
  const v1::Roofline unknown = Answer(job);
  CHECK(std::isnan(At(unknown, "L1").attainable()));
  CHECK(At(unknown, "DRAM").bound_by() == "DRAM bandwidth");   // its peak is known from the counted share
  CHECK(At(unknown, "DRAM").attainable() == Approx(2 * 1e9 / 2e-3 / 0.61));
  TestJob bare;
  bare.Pass("activity").Add(LaunchTable({{"k()", 100}}));
  const v1::Roofline nothing = Answer(bare);
  CHECK(nothing.points().empty());
  CHECK(nothing.basis().abstentions_size() >= 3);
  // NaN from a counter that could not be read is no number.
  TestJob nan = Job({{"dram__bytes.sum", NAN}, {"smsp__sass_thread_inst_executed_op_ffma_pred_on.sum", 5}});
  CHECK(std::isnan(At(Answer(nan), "DRAM").bytes()));
}

TEST_CASE("metrics are of a launch: the median, or the sum of all divided by their number") {
  TestJob job;
  job.Pass("activity", {{"light", "1"}}).Add(LaunchTable({{"k()", 10}, {"k()", 10}}));
  job.Pass("counters", {{"part", "0"}}).Add(Counters({{"a.sum", 1, 0}, {"a.sum", 3, 1}, {"b.sum", 8, -1}, {"b.max", 8, -1}}));
  job.Pass("counters", {{"part", "1"}}).Add(Counters({{"c.sum", 5, 0}}));
  v1::Basis basis;
  const auto metrics = KernelMetrics::Read(job.Gather(), &basis);
  REQUIRE(metrics.ok());
  CHECK(metrics->Value("a.sum") == 2);
  CHECK(metrics->Value("b.sum") == 4);
  CHECK(metrics->Value("b.max") == 8);
  CHECK(metrics->Value("c.sum") == 5);   // of another part
  CHECK(std::isnan(metrics->Value("d")));
  CHECK(metrics->Find("c.sum")->pass_ids == std::set<int64_t>{3});
}

}  // namespace
}  // namespace sextant::analysis
