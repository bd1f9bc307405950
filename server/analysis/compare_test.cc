#include "server/analysis/compare.h"

#include <cmath>
#include <random>

#include "absl/strings/match.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

// Kernel times with a known truth: each pass at most `part` away from `middle`.
Quantity Times(int seed, size_t passes, double middle_ns, double part) {
  std::mt19937_64 random(seed);
  Quantity quantity{.unit = "ns", .statistic = "median of launches"};
  for (size_t i = 0; i < passes; ++i) {
    quantity.values.push_back(middle_ns * (1 + part * (2 * static_cast<double>(random() >> 11) * 0x1p-53 - 1)));
    quantity.time += 10 * quantity.values.back();
    quantity.observations += 10;
  }
  return quantity;
}

Measured Job(int64_t id, const std::string& machine = "gpu:H200:580:default") {
  Measured job;
  job.job_id = id;
  job.task = "p";
  v1::Provenance provenance;
  provenance.set_machine_class(machine);
  provenance.set_backend("activity");
  provenance.set_tool_digest("aa");
  job.provenance.push_back(provenance);
  job.runs = {10 * id, 10 * id + 1};
  return job;
}

const QuantityName kGemm{QuantityKind::kKernel, "gemm"};
const QuantityName kCopy{QuantityKind::kKernel, "copy"};
const QuantityName kTotal{QuantityKind::kProgram, "kernel time"};

MeasuredPair Gemm(Quantity a, Quantity b) {
  MeasuredPair jobs{Job(1), Job(2), {}};
  jobs.a.quantities[kGemm] = std::move(a);
  jobs.b.quantities[kGemm] = std::move(b);
  return jobs;
}

TEST_CASE("a kernel known to be 5 % faster is faster, the other way round it is slower") {
  const Quantity before = Times(1, 10, 1000, 0.005), after = Times(2, 10, 950, 0.005);
  const v1::Comparison faster = Compare(Gemm(before, after), {.gate = 0.02});
  REQUIRE(faster.deltas_size() == 1);
  const v1::Delta& row = faster.deltas(0);
  CHECK(row.kind() == "kernel");
  CHECK(row.name() == "gemm");
  CHECK(row.unit() == "ns");
  CHECK(row.a() == Approx(1000).epsilon(0.005));
  CHECK(row.b() == Approx(950).epsilon(0.005));
  CHECK(row.relative() == Approx(-0.05).margin(0.01));
  CHECK(row.low() < -0.04);
  CHECK(row.high() < -0.04);
  CHECK(row.noise_floor() < 0.01);
  CHECK(row.share_a() == 1);
  CHECK(row.passes_a() == 10);
  CHECK(row.verdict() == "faster");
  CHECK(faster.verdict() == "faster");
  const v1::Comparison slower = Compare(Gemm(after, before), {.gate = 0.02});
  CHECK(slower.verdict() == "slower");
  CHECK(absl::StrContains(slower.why(), "kernel gemm"));
  CHECK(absl::StrContains(slower.why(), "gate of 2 %"));
  // A gate above the change lets it pass.
  CHECK(Compare(Gemm(after, before), {.gate = 0.10}).verdict() == "no difference");
}

TEST_CASE("equal kernels do not differ") {
  const v1::Comparison same = Compare(Gemm(Times(1, 10, 1000, 0.004), Times(2, 10, 1000, 0.004)), {});
  CHECK(same.deltas(0).verdict() == "no difference");
  CHECK(same.verdict() == "no difference");
  CHECK(same.gate() == 0.01);
}

TEST_CASE("noise gives no verdict, and says how many passes would") {
  Quantity a{.unit = "ns", .values = {820, 1150, 960, 1080, 900}, .time = 5000},
      b{.unit = "ns", .values = {1010, 870, 1190, 940, 850}, .time = 5000};
  const v1::Comparison open = Compare(Gemm(a, b), {.gate = 0.1});
  CHECK(open.deltas(0).low() < -0.1);
  CHECK(open.deltas(0).high() > 0.1);
  CHECK(open.verdict() == "inconclusive");
  CHECK(absl::StrContains(Compare(Gemm(a, b), {}).why(), "more than 1000 passes"));
  CHECK(absl::StrContains(open.why(), "passes of each would be needed to tell 10 %"));
}

TEST_CASE("a change within what A shows against itself is not believed") {
  Quantity a{.unit = "ns", .values = {90, 100, 110, 100}}, b{.unit = "ns", .values = {110.4, 110.4, 110.4, 110.4}};
  const v1::Comparison open = Compare(Gemm(a, b), {});
  CHECK(open.deltas(0).low() > 0);
  CHECK(open.deltas(0).noise_floor() > open.deltas(0).relative());
  CHECK(open.deltas(0).verdict() == "inconclusive");
  CHECK(absl::StrContains(open.deltas(0).why(), "what A shows against itself"));
}

TEST_CASE("passes of two kinds are named as the reason") {
  Quantity two{.unit = "ns", .values = {100, 120, 100.1, 120.1, 100.2, 119.9}};
  const v1::Comparison open = Compare(Gemm(two, two), {});
  CHECK(open.deltas(0).verdict() == "inconclusive");
  CHECK(absl::StrContains(open.deltas(0).why(), "A's passes fall into two groups, around 100.1 and 120 ns"));
}

TEST_CASE("below three passes there is no verdict, with the number needed") {
  const v1::Comparison one = Compare(Gemm(Times(1, 1, 1000, 0), Times(2, 10, 500, 0.01)), {});
  CHECK(one.deltas(0).verdict() == "inconclusive");
  CHECK(one.deltas(0).relative() == Approx(-0.5).margin(0.01));
  CHECK(one.deltas(0).why() == "A has 1 and B has 10 passes with it; at least 3 of each are needed");
  CHECK(one.verdict() == "inconclusive");
}

TEST_CASE("without any value nothing is claimed") {
  const v1::Comparison empty = Compare({Job(1), Job(2), {"B has no passes of kind scopes: not compared"}}, {});
  CHECK(empty.deltas().empty());
  CHECK(empty.verdict() == "inconclusive");
  CHECK(empty.why() == "the jobs have no time in common");
  CHECK(empty.notes(0) == "B has no passes of kind scopes: not compared");

  MeasuredPair gone{Job(1), Job(2), {}};
  gone.a.quantities[kGemm] = Times(1, 5, 100, 0);
  const v1::Comparison missing = Compare(gone, {});
  CHECK(missing.deltas(0).why() == "not in B");
  CHECK(missing.deltas(0).passes_b() == 0);
  CHECK(missing.verdict() == "inconclusive");
}

TEST_CASE("zeros have no relative change") {
  Quantity zero{.unit = "events", .values = {0, 0, 0}}, some{.unit = "events", .values = {1, 2, 3}};
  MeasuredPair jobs{Job(1), Job(2), {}};
  jobs.a.quantities[{QuantityKind::kCounter, "spills", "", "gemm"}] = zero;
  jobs.b.quantities[{QuantityKind::kCounter, "spills", "", "gemm"}] = some;
  CHECK(Compare(jobs, {}).deltas(0).why() == "A's value is 0: no relative change");
  jobs.b.quantities[{QuantityKind::kCounter, "spills", "", "gemm"}] = zero;
  CHECK(Compare(jobs, {}).deltas(0).verdict() == "no difference");
}

TEST_CASE("other machine classes come first and block the verdict unless it is asked for") {
  MeasuredPair jobs = Gemm(Times(1, 10, 1000, 0.005), Times(2, 10, 950, 0.005));
  jobs.b.provenance[0].set_machine_class("gpu:H100:580:default");
  (*jobs.b.provenance[0].mutable_extra())["a_driver"] = "581";
  (*jobs.b.provenance[0].mutable_extra())["power_before"] = "300";
  const v1::Comparison blocked = Compare(jobs, {});
  REQUIRE(blocked.environment_size() == 2);
  CHECK(blocked.environment(0).what() == "machine class");
  CHECK(blocked.environment(0).blocks());
  CHECK(blocked.environment(0).b() == "gpu:H100:580:default");
  CHECK(blocked.environment(1).what() == "a_driver");
  CHECK_FALSE(blocked.environment(1).blocks());
  CHECK(blocked.verdict() == "inconclusive");
  CHECK(absl::StrContains(blocked.why(), "--across-machines"));
  CHECK(blocked.deltas_size() == 1);
  CHECK(Compare(jobs, {.across_machines = true}).verdict() == "faster");
}

TEST_CASE("runs that both jobs show are not compared with themselves") {
  MeasuredPair jobs = Gemm(Times(1, 5, 1000, 0.005), Times(1, 5, 1000, 0.005));
  jobs.b.runs = jobs.a.runs;
  const v1::Comparison same = Compare(jobs, {});
  CHECK(same.verdict() == "inconclusive");
  CHECK(absl::StrContains(same.why(), "--fresh"));
}

TEST_CASE("a slower kernel that matters turns an even total, one that is short does not") {
  MeasuredPair jobs = Gemm(Times(1, 10, 1000, 0.002), Times(2, 10, 1000, 0.002));
  jobs.a.quantities[kTotal] = Times(3, 10, 11000, 0.002);
  jobs.b.quantities[kTotal] = Times(4, 10, 11000, 0.002);
  jobs.a.quantities[kCopy] = Times(5, 10, 10, 0.002);   // 1 % of the time
  jobs.b.quantities[kCopy] = Times(6, 10, 15, 0.002);
  const v1::Comparison even = Compare(jobs, {});
  CHECK(even.verdict() == "no difference");
  REQUIRE(even.deltas_size() == 3);
  CHECK(even.deltas(0).name() == "kernel time");
  CHECK(even.deltas(1).name() == "gemm");
  CHECK(even.deltas(2).verdict() == "slower");
  jobs.a.quantities[kCopy] = Times(5, 10, 100, 0.002);
  jobs.b.quantities[kCopy] = Times(6, 10, 150, 0.002);
  CHECK(Compare(jobs, {}).verdict() == "slower");
  // The whole decides when it moved.
  jobs.b.quantities[kTotal] = Times(4, 10, 8000, 0.002);
  const v1::Comparison whole = Compare(jobs, {});
  CHECK(whole.verdict() == "faster");
  CHECK(absl::StrContains(whole.why(), "yet kernel copy is slower"));
}

TEST_CASE("an even total is even although a part of it is too noisy to tell, and the part is named") {
  MeasuredPair jobs = Gemm(Times(1, 10, 1000, 0.002), Times(2, 10, 1000, 0.002));
  jobs.a.quantities[kTotal] = Times(3, 10, 11000, 0.002);
  jobs.b.quantities[kTotal] = Times(4, 10, 11000, 0.002);
  const QuantityName noisy{QuantityKind::kKernel, std::string(200, 'n')};
  jobs.a.quantities[noisy] = {.unit = "ns", .values = {100, 130, 80, 105}, .time = 40000};
  jobs.b.quantities[noisy] = {.unit = "ns", .values = {95, 120, 85, 110}, .time = 40000};
  const v1::Comparison even = Compare(jobs, {});
  CHECK(even.verdict() == "no difference");
  CHECK(absl::StrContains(even.why(), "alone, 1 row is inconclusive, kernel nnn"));
  CHECK(even.why().size() < 300);
}

TEST_CASE("counters are higher or lower, and turn no verdict") {
  MeasuredPair jobs = Gemm(Times(1, 10, 1000, 0.002), Times(2, 10, 1000, 0.002));
  const QuantityName bytes{QuantityKind::kCounter, "dram_bytes", "", "gemm"};
  jobs.a.quantities[bytes] = {.unit = "bytes", .values = {100, 100, 100}};
  jobs.b.quantities[bytes] = {.unit = "bytes", .values = {200, 200, 200}};
  const v1::Comparison result = Compare(jobs, {});
  CHECK(result.deltas(1).kind() == "counter");
  CHECK(result.deltas(1).kernel() == "gemm");
  CHECK(result.deltas(1).verdict() == "higher");
  CHECK(result.verdict() == "no difference");
  jobs.b.quantities[bytes].unit = "KiB";
  CHECK(Compare(jobs, {}).deltas(1).why() == "units differ: bytes and KiB");
}

TEST_CASE("another number of launches is said, and other code is a difference") {
  Quantity more = Times(2, 10, 1000, 0.002);
  more.observations = 240;
  MeasuredPair jobs = Gemm(Times(1, 10, 1000, 0.002), more);
  jobs.a.codes["gemm"] = {"1111"};
  jobs.b.codes["gemm"] = {"2222"};
  const v1::Comparison result = Compare(jobs, {});
  CHECK(absl::StrContains(result.deltas(0).why(), "10 → 24 launches a pass"));
  REQUIRE(result.environment_size() == 1);
  CHECK(result.environment(0).what() == "code of gemm");
  CHECK(result.verdict() == "no difference");
}

TEST_CASE("rows beyond the limit are the shortest, and counted") {
  MeasuredPair jobs{Job(1), Job(2), {}};
  for (int i = 0; i < 2100; ++i) {
    const QuantityName name{QuantityKind::kKernel, "k" + std::to_string(i)};
    jobs.a.quantities[name] = jobs.b.quantities[name] = Times(1, 1, i + 1, 0);
  }
  const v1::Comparison result = Compare(jobs, {});
  CHECK(result.deltas_size() == static_cast<int>(kMaxDeltas));
  CHECK(result.deltas(0).name() == "k2099");
  CHECK(absl::StrContains(result.notes(0), "100 of 2100 rows left out"));
}

}  // namespace
}  // namespace sextant::analysis
