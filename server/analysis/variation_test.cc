#include "server/analysis/variation.h"

#include <cmath>
#include <random>

#include "server/analysis/synthetic.h"
#include "server/analysis/test_sample.h"

namespace sextant::analysis {
namespace {

enum : uint32_t { kLoad, kWait, kMma };

double Normal(std::mt19937_64& random) {
  const auto uniform = [&] { return static_cast<double>((random() >> 11) + 1) * 0x1p-53; };
  return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform());
}

struct Truth {
  double pass = 0, cta = 0, sm = 0, iteration = 0, rest = 0;   // deviations, ns
  double slow_share = 0;       // of iterations that take 400 ns more
  bool follows_wait = false;   // mma takes as long more as the producer of its CTA waits
};

// 32 CTAs on 16 SMs in a pass, one launch, 20 iterations.
TestJob Job(const Truth& truth, int passes = 10) {
  std::mt19937_64 random(7);
  std::vector<double> of_sm(16), of_iteration(20);
  for (double& effect : of_sm) effect = truth.sm * Normal(random);
  for (double& effect : of_iteration) effect = truth.iteration * Normal(random);
  TestJob job;
  for (int pass = 0; pass < passes; ++pass) {
    const double of_pass = truth.pass * Normal(random);
    SyntheticPass trace({"load", "wait empty", "mma"}, v1::CYCLES);
    for (uint32_t cta = 0; cta < 32; ++cta) {
      const double of_cta = truth.cta * Normal(random);
      const double wait = truth.follows_wait ? std::abs(100 * Normal(random)) : 50;
      const uint32_t producer = trace.Warp("producer", {.cta = cta, .sm = cta % 16, .warp = 0});
      const uint32_t consumer = trace.Warp("consumer", {.cta = cta, .sm = cta % 16, .warp = 1});
      for (uint64_t k = 0; k < 20; ++k) {
        trace.Did(producer, kWait, 5000 * k, static_cast<uint64_t>(wait) + 1);
        trace.Did(producer, kLoad, 5000 * k + 1000, 300);
        double ns = 2000 + of_pass + of_cta + of_sm[cta % 16] + of_iteration[k] + truth.rest * Normal(random) +
                    (truth.follows_wait ? wait : 0);
        if (static_cast<double>(random() >> 11) * 0x1p-53 < truth.slow_share) ns += 400;
        trace.Did(consumer, kMma, 5000 * k, static_cast<uint64_t>(ns));
      }
    }
    job.Pass("scopes").Trace(trace.Chunks());
  }
  return job;
}

const v1::RegionVariation& Mma(const v1::Variation& variation) {
  for (const v1::RegionVariation& region : variation.regions())
    if (region.region() == "mma") return region;
  FAIL("mma is missing");
  return variation.regions(0);
}

double Share(const v1::RegionVariation& region, const std::string& source) {
  for (const v1::VarianceComponent& one : region.components())
    if (one.source() == source) return one.share();
  return NAN;
}

v1::Variation Ask(const TestJob& job) {
  const auto answer = FindVariation(job.Gather(), TestSamples());
  INFO(answer.status().ToString());
  REQUIRE(answer.ok());
  return *answer;
}

}  // namespace

TEST_CASE("the source that a spread has is found") {
  const struct {
    const char* source;
    Truth truth;
  } cases[] = {{"passes", {.pass = 40, .rest = 10}},
               {"CTAs", {.cta = 40, .rest = 10}},
               {"SMs", {.sm = 40, .rest = 10}},
               {"iterations", {.iteration = 40, .rest = 10}},
               {"rest", {.rest = 40}}};
  for (const auto& one : cases) {
    INFO(one.source);
    const v1::Variation variation = Ask(Job(one.truth));
    const v1::RegionVariation& mma = Mma(variation);
    CHECK(Share(mma, one.source) > 0.85);
    double sum = 0;
    for (const auto& component : mma.components()) sum += component.share();
    CHECK(sum == Approx(1));
    CHECK(variation.regions(0).region() == "mma");
    CHECK(mma.count() == 10 * 32 * 20);
    CHECK(mma.median_ns() == Approx(2000).margin(80));
    CHECK(mma.time_share() == 1);
    CHECK_FALSE(mma.bimodal());
  }
}

TEST_CASE("an SM that is slow in every pass is named, and so is a neighbour that waits") {
  const v1::Variation by_sm = Ask(Job({.sm = 40, .rest = 10}));
  REQUIRE(Mma(by_sm).goes_with_size() > 0);
  CHECK(Mma(by_sm).goes_with(0).with() == "SM");
  CHECK(Mma(by_sm).goes_with(0).correlation() > 0.9);
  CHECK(Mma(by_sm).goes_with(0).p_value() <= 0.01);
  const v1::Variation by_wait = Ask(Job({.rest = 10, .follows_wait = true}));
  REQUIRE(Mma(by_wait).goes_with_size() > 0);
  CHECK(Mma(by_wait).goes_with(0).with() == "role producer's wait");
  CHECK(Mma(by_wait).goes_with(0).correlation() > 0.9);
}

TEST_CASE("two modes of one region are told, with how often the slow one is taken") {
  const v1::Variation variation = Ask(Job({.rest = 10, .slow_share = 0.3}));
  const v1::RegionVariation& mma = Mma(variation);
  REQUIRE(mma.bimodal());
  CHECK(mma.modes_ns(0) == Approx(2000).margin(20));
  CHECK(mma.modes_ns(1) == Approx(2400).margin(20));
  CHECK(mma.second_mode_share() == Approx(0.3).margin(0.03));
}

TEST_CASE("one pass says nothing of the others, and a region that never varies has no source") {
  const v1::Variation one = Ask(Job({.cta = 20, .rest = 5}, 1));
  REQUIRE(one.basis().abstentions_size() == 1);
  CHECK(one.basis().abstentions(0).pass() == "scopes*5");
  CHECK(Share(Mma(one), "passes") == 0);
  CHECK(Share(Mma(one), "CTAs") + Share(Mma(one), "SMs") > 0.85);   // two CTAs on each SM tell little apart
  for (const v1::RegionVariation& region : one.regions())
    if (region.region() == "load") {
      CHECK(region.spread() == 0);
      for (const auto& component : region.components()) CHECK(component.variance() == 0);
    }
}

TEST_CASE("no passes with regions, and none recorded, are said") {
  TestJob job;
  job.Pass("activity", {{"light", "1"}}).Add(LaunchTable({{"k", 100}}));
  const v1::Variation none = Ask(job);
  CHECK(none.regions().empty());
  REQUIRE(none.basis().abstentions_size() == 1);
  CHECK(none.basis().abstentions(0).why() == "no pass recorded regions");
  TestJob empty;
  empty.Pass("scopes").Trace(SyntheticPass({"r"}, v1::CYCLES).Chunks());
  CHECK(Ask(empty).regions().empty());
}

TEST_CASE("passes whose kernels differ are not joined, and it is said") {
  TestJob job;
  for (const char* code : {"aa", "aa", "bb"}) {
    SyntheticPass trace({"load"}, v1::CYCLES);
    const uint32_t track = trace.Warp("worker", {});
    for (uint64_t k = 0; k < 10; ++k) trace.Did(track, 0, 100 * k, 10 + k);
    job.Pass("scopes").Add(LaunchTable({{"k", 100, code}})).Trace(trace.Chunks());
  }
  const v1::Variation variation = Ask(job);
  REQUIRE(variation.regions_size() == 1);
  CHECK(variation.regions(0).count() == 20);
  REQUIRE(!variation.basis().notes().empty());
  CHECK(variation.basis().notes(0) == "not joined for durations: p3 ran other code of k");
}

TEST_CASE("a sample gives the same sources as the whole") {
  const TestJob job = Job({.pass = 40, .rest = 10});
  const auto answer = FindVariation(job.Gather(), TestSamples(4000));
  REQUIRE(answer.ok());
  CHECK(Share(Mma(*answer), "passes") > 0.85);
  REQUIRE(!answer->basis().notes().empty());
  CHECK_THAT(answer->basis().notes(0), Catch::StartsWith("durations are those of 1 in"));
}

}  // namespace sextant::analysis
