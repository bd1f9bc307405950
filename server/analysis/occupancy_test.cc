#include "server/analysis/occupancy.h"

#include <cmath>

#include "absl/strings/match.h"
#include "server/analysis/synthetic.h"
#include "server/analysis/test_sample.h"
#include "server/analysis/waves.h"

namespace sextant::analysis {
namespace {

// 20 CTAs of 100 ns on 4 SMs, two at a time: waves of 8, 8 and 4; the last four run on SMs 0 and 1 alone. In
// cycles of half a ns, `launches` times.
SyntheticPass Waves(uint32_t launches = 1) {
  SyntheticPass trace({"work"}, v1::CYCLES, 0.5);
  for (uint32_t launch = 0; launch < launches; ++launch) {
    for (uint32_t cta = 0; cta < 20; ++cta) {
      const uint32_t wave = cta / 8;
      const uint32_t track =
          trace.Warp("worker", {.launch = launch, .cta = cta, .sm = wave < 2 ? cta % 4 : cta % 2,
                                .origin_ns = 1000 + 10'000 * launch + 100 * wave});
      trace.Did(track, 0, 0, 200);
    }
  }
  return trace;
}

v1::DataTable Launches(const std::string& kernel, int64_t start_ns, int64_t end_ns) {
  table::Builder builder("launches");
  const auto launch = builder.Int("launch"), start = builder.Int("start_ns"), end = builder.Int("end_ns"),
             duration = builder.Int("duration_ns"), grid_x = builder.Int("grid_x"), grid_y = builder.Int("grid_y"),
             grid_z = builder.Int("grid_z"), block_x = builder.Int("block_x"), block_y = builder.Int("block_y"),
             block_z = builder.Int("block_z");
  const auto name = builder.Text("kernel");
  const auto occupancy = builder.Number("occupancy_pct");
  builder.Set(launch, 0);
  builder.Set(start, start_ns);
  builder.Set(end, end_ns);
  builder.Set(duration, end_ns - start_ns);
  builder.Set(grid_x, 20);
  for (const auto one : {grid_y, grid_z, block_y, block_z}) builder.Set(one, 1);
  builder.Set(block_x, 256);
  builder.Set(name, kernel);
  builder.Set(occupancy, 25);
  builder.EndRow();
  return builder.Finish();
}

v1::DataTable PmSamples() {
  table::Builder builder("pm_samples");
  const auto start = builder.Int("start_ns"), end = builder.Int("end_ns");
  const auto metric = builder.Text("metric"), unit = builder.Text("unit");
  const auto value = builder.Number("value");
  for (int64_t i = 0; i < 10; ++i) {
    builder.Set(start, 400 + 100 * i);
    builder.Set(end, 500 + 100 * i);
    builder.Set(metric, "dram__throughput");
    builder.Set(unit, "%");
    builder.Set(value, static_cast<double>(i));
    builder.EndRow();
  }
  return builder.Finish();
}

v1::DataTable Counters() {
  table::Builder builder("counters");
  const auto launch = builder.Int("launch");
  const auto kernel = builder.Text("kernel"), metric = builder.Text("metric");
  const auto value = builder.Number("value");
  for (int64_t i = -1; i < 3; ++i) {
    builder.Set(launch, i);
    builder.Set(kernel, "k");
    builder.Set(metric, "sm__warps_active.avg.pct_of_peak_sustained_active");
    builder.Set(value, i < 0 ? 99.0 : 20.0 + static_cast<double>(i));
    builder.EndRow();
  }
  return builder.Finish();
}

}  // namespace

TEST_CASE("waves, the tail and imbalance of a launch are those it was built with") {
  const TraceSample sample = SampleOf({Waves()});
  const auto& ctas = sample.passes[0].ctas;
  REQUIRE(ctas.size() == 20);
  CHECK(MostResident(ctas) == 2);
  const auto waves = WavesOf(ctas, 2);
  for (uint32_t i = 0; i < 20; ++i) CHECK(waves[i] == i / 8);
  const LaunchShape shape = ShapeOf(ctas);
  CHECK(shape.sms == 4);
  CHECK(shape.tail_ns == 100);                                  // SMs 2 and 3 are idle in the last third
  CHECK(shape.tail_loss_share == Approx(2 * 100.0 / (4 * 300)));
  CHECK(shape.imbalance == Approx(300.0 / 250 - 1));
  CHECK(ShapeOf({}).sms == 0);
  CHECK(MostResident({}) == 0);
}

TEST_CASE("occupancy over time: resident CTAs, active SMs, heat map, waves") {
  TestJob job;
  job.Pass("activity", {{"light", "1"}}).Add(Launches("k", 1000, 1300));
  job->mutable_result()->mutable_provenance()->mutable_extra()->insert({"gpu", "NVIDIA H200"});
  job.Pass("scopes").Add(Launches("k", 1000, 1300)).Trace(Waves().Chunks());
  job.Pass("scopes").Add(Launches("k", 1000, 1300)).Trace(Waves().Chunks());
  job.Pass("pmsampling").Add(Launches("k", 500, 800)).Add(PmSamples());
  job.Pass("counters").Add(Counters());
  v1::GetOccupancyRequest request;
  request.set_buckets(3);
  const Evidence evidence = job.Gather();
  const auto answer = FindOccupancy(evidence, TestSamples(), request);
  REQUIRE(answer.ok());
  CHECK(answer->bucket_ns() == 100);
  REQUIRE(answer->resident_ctas_size() == 3);
  CHECK(answer->resident_ctas(0) == Approx(8));
  CHECK(answer->resident_ctas(2) == Approx(4));
  CHECK(answer->active_sms(1) == Approx(4));
  CHECK(answer->active_sms(2) == Approx(2));
  CHECK(answer->sms() == 4);
  CHECK(answer->ctas() == 20);
  CHECK(answer->ctas_seen() == 20);
  CHECK(answer->ctas_per_sm() == 2);   // 25 % of 64 warps are two blocks of 8
  REQUIRE(answer->waves_size() == 3);
  CHECK(answer->waves(2).ctas() == 4);
  CHECK(answer->waves(2).start_ns() == 200);
  CHECK(answer->waves(2).end_ns() == 300);
  CHECK(answer->tail_ns() == 100);
  CHECK(answer->theoretical_occupancy_pct() == 25);
  CHECK(answer->achieved_occupancy_pct() == 21);
  REQUIRE(answer->heat_maps_size() == 2);
  CHECK(answer->heat_maps(0).sms_size() == 4);
  REQUIRE(answer->heat_maps(0).values_size() == 12);
  CHECK(answer->heat_maps(0).values(0) == 2);
  CHECK(answer->heat_maps(0).values(11) == 0);   // SM 3 in the last third
  CHECK(answer->heat_maps(1).what() == "dram__throughput");
  REQUIRE(answer->heat_maps(1).values_size() == 3);
  CHECK(answer->heat_maps(1).values(0) == 1);
  CHECK(answer->heat_maps(1).values(2) == 3);
  CHECK(answer->basis().abstentions().empty());
}

TEST_CASE("one launch of several, and all of them from their own begins") {
  TestJob job;
  job.Pass("scopes").Trace(Waves(3).Chunks());
  const Evidence evidence = job.Gather();
  v1::GetOccupancyRequest request;
  request.set_buckets(3);
  request.set_launch(2);
  CHECK(FindOccupancy(evidence, TestSamples(), request)->resident_ctas(2) == Approx(4));
  request.set_launch(3);
  CHECK(absl::StrContains(FindOccupancy(evidence, TestSamples(), request).status().message(),
                          "launch: 3, but the kernel was launched 3 times"));
  request.set_launch(0);
  request.set_all_launches(true);
  const auto all = FindOccupancy(evidence, TestSamples(), request);
  CHECK(all->resident_ctas(0) == Approx(8));
  CHECK(all->bucket_ns() == 100);
}

TEST_CASE("what no pass tells is said, with the pass that would") {
  TestJob job;
  job.Pass("activity", {{"light", "1"}}).Add(Launches("k", 0, 100));
  const auto answer = FindOccupancy(job.Gather(), TestSamples(), {});
  REQUIRE(answer.ok());
  CHECK(answer->resident_ctas().empty());
  CHECK(std::isnan(answer->achieved_occupancy_pct()));
  CHECK(answer->theoretical_occupancy_pct() == 25);
  std::vector<std::string> passes;
  for (const auto& one : answer->basis().abstentions()) passes.push_back(one.pass());
  CHECK(passes == std::vector<std::string>{"scopes", "pmsampling", "counters:set=occupancy"});
}

TEST_CASE("CTAs that were not recorded are said") {
  TestJob job;
  SyntheticPass some({"work"}, v1::CYCLES);
  some.Did(some.Warp("worker", {.cta = 3}), 0, 0, 10);
  job.Pass("scopes").Add(Launches("k", 0, 100)).Trace(some.Chunks());
  const auto answer = FindOccupancy(job.Gather(), TestSamples(), {});
  REQUIRE(answer.ok());
  CHECK(answer->ctas() == 20);
  CHECK(answer->ctas_seen() == 1);
  REQUIRE(!answer->basis().notes().empty());
  CHECK_THAT(answer->basis().notes(0), Catch::StartsWith("of 20 CTAs a launch 1 were recorded"));
}

}  // namespace sextant::analysis
