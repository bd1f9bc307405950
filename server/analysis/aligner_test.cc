#include "server/analysis/aligner.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "server/analysis/exact.h"
#include "server/analysis/quantile.h"
#include "server/analysis/synthetic.h"

namespace sextant::analysis {
namespace {

const std::vector<double> kQuantiles = {0.2, 0.5, 0.8};

class Passes {
 public:
  explicit Passes(AlignOptions align = {}, PassSampler::Options sample = {})
      : align_(std::move(align)), sample_(std::move(sample)) {}
  void Feed(const SyntheticPass& pass, uint32_t max_events = 64 * 1024) {
    passes_.push_back(pass);
    max_events_ = max_events;
  }
  std::vector<v1::RoleLane> Finish(const std::vector<double>& quantiles) const {
    return Align(SampleOf(passes_, sample_, max_events_), align_, quantiles);
  }

 private:
  AlignOptions align_;
  PassSampler::Options sample_;
  std::vector<SyntheticPass> passes_;
  uint32_t max_events_ = 64 * 1024;
};

const v1::InstanceStat& Find(const v1::RoleLane& lane, absl::string_view region, uint64_t ordinal) {
  for (const v1::InstanceStat& stat : lane.instances())
    if (stat.region() == std::string(region) && stat.ordinal() == ordinal) return stat;
  FAIL("no instance " << region << " " << ordinal);
  return lane.instances(0);
}

}  // namespace

TEST_CASE("instances of several passes are joined by region and ordinal") {
  Passes aligner;
  for (uint64_t pass = 0; pass < 5; ++pass) {
    SyntheticPass trace({"load", "compute"});
    const uint32_t thread = trace.Thread("worker");
    trace.Did(thread, 0, 100 + pass, 10 + pass).Did(thread, 1, 200, 50);
    trace.Did(thread, 0, 300, 20 + 10 * pass);
    aligner.Feed(trace);
  }
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes.size() == 1);
  CHECK(lanes[0].role() == "worker");
  CHECK(lanes[0].tracks() == 1);
  CHECK(lanes[0].alignment_confidence() == 1);
  CHECK(lanes[0].alignment() == "exact");
  REQUIRE(lanes[0].instances_size() == 3);
  const auto& first = Find(lanes[0], "load", 0);
  CHECK(first.count() == 5);
  CHECK(first.passes() == 5);
  CHECK(first.duration_ns(1) == 12);
  CHECK(first.start_ns(1) == 102);
  CHECK(first.end_ns(1) == 114);
  const auto& second = Find(lanes[0], "load", 1);
  CHECK(second.duration_ns(0) == Approx(28));
  CHECK(second.duration_ns(1) == 40);
  CHECK(second.duration_ns(2) == Approx(52));
  CHECK(second.spread() == Approx(24.0 / 40));
}

TEST_CASE("threads of one role are observations of the same instance") {
  Passes aligner;
  for (int pass = 0; pass < 3; ++pass) {
    SyntheticPass trace({"load"});
    const uint32_t a = trace.Thread("loader");
    const uint32_t b = trace.Thread("loader");
    trace.Did(a, 0, 10, 5).Did(b, 0, 12, 7);
    aligner.Feed(trace);
  }
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes.size() == 1);
  CHECK(lanes[0].tracks() == 2);
  CHECK(lanes[0].instances(0).count() == 6);
  CHECK(lanes[0].instances(0).passes() == 3);
  CHECK(lanes[0].instances(0).duration_ns(1) == 6);
}

TEST_CASE("unnamed threads get a lane each, after the named roles") {
  Passes aligner;
  SyntheticPass trace({"r"});
  const uint32_t main = trace.Thread("");
  const uint32_t worker = trace.Thread("worker");
  const uint32_t other = trace.Thread("");
  trace.Did(main, 0, 1, 1).Did(worker, 0, 1, 1).Did(other, 0, 1, 1);
  aligner.Feed(trace);
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes.size() == 3);
  CHECK(lanes[0].role() == "worker");
  CHECK(lanes[1].role() == "thread 0");
  CHECK(lanes[2].role() == "thread 2");
}

TEST_CASE("nesting gives the depth, also across chunks and for instances that begin together") {
  Passes aligner;
  SyntheticPass trace({"outer", "middle", "inner"});
  const uint32_t thread = trace.Thread("t");
  trace.Did(thread, 2, 100, 10).Did(thread, 0, 100, 500).Did(thread, 1, 100, 200);
  trace.Did(thread, 2, 400, 10).Did(thread, 2, 700, 10);
  aligner.Feed(trace, 1);
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(Find(lanes[0], "outer", 0).depth() == 0);
  CHECK(Find(lanes[0], "inner", 1).depth() == 1);
  CHECK(Find(lanes[0], "inner", 2).depth() == 0);

  Passes whole;
  whole.Feed(trace);
  const auto at_once = whole.Finish(kQuantiles);
  CHECK(Find(at_once[0], "middle", 0).depth() == 1);
  CHECK(Find(at_once[0], "inner", 0).depth() == 2);
}

TEST_CASE("a number of instances that differs between passes lowers the confidence and is told") {
  Passes aligner;
  for (uint64_t pass = 0; pass < 2; ++pass) {
    SyntheticPass trace({"tile"});
    const uint32_t thread = trace.Thread("worker");
    for (uint64_t i = 0; i < 3 + pass; ++i) trace.Did(thread, 0, 100 * i, 10);
    aligner.Feed(trace);
  }
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].alignment_confidence() == Approx(0.75));
  CHECK(lanes[0].alignment() ==
        "role: the number of instances differs between passes in 1 region, most in tile (3 to 4 on "
        "one thread)");
  CHECK(Find(lanes[0], "tile", 3).passes() == 1);
}

TEST_CASE("regions that are spread over passes are joined, and their absence elsewhere is no disagreement") {
  for (const bool spread : {true, false}) {
    Passes aligner(AlignOptions{.regions_spread = spread});
    for (uint64_t pass = 0; pass < 4; ++pass) {
      SyntheticPass trace({"load", "compute"});
      const uint32_t thread = trace.Thread("worker");
      for (uint64_t i = 0; i < 3; ++i) trace.Did(thread, pass % 2, 100 * i + 10 * (pass % 2), 10);
      aligner.Feed(trace);
    }
    const auto lanes = aligner.Finish(kQuantiles);
    REQUIRE(lanes.size() == 1);
    CHECK(lanes[0].instances_size() == 6);
    CHECK(Find(lanes[0], "load", 2).passes() == 2);
    CHECK(lanes[0].alignment_confidence() == (spread ? 1 : 0));
    CHECK(absl::StrContains(lanes[0].alignment(), spread ? "one part of the scopes" : "not in all 4 passes"));
  }
}

TEST_CASE("another order of regions lowers the confidence") {
  Passes aligner;
  for (int pass = 0; pass < 4; ++pass) {
    SyntheticPass trace({"a", "b"});
    const uint32_t thread = trace.Thread("worker");
    const bool swapped = pass == 3;
    trace.Did(thread, 0, swapped ? 200 : 100, 10).Did(thread, 1, swapped ? 100 : 200, 10);
    aligner.Feed(trace);
  }
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].alignment_confidence() == Approx(0.75));
  CHECK_THAT(lanes[0].alignment(), Catch::StartsWith("role: 25 % come after another region"));
}

TEST_CASE("where the head was lost, instances are aligned from the tail") {
  Passes aligner;
  std::vector<SyntheticPass> passes;
  for (uint64_t pass = 0; pass < 2; ++pass) {
    SyntheticPass trace({"step"});
    const uint64_t lost = pass == 1 ? 2 : 0;
    const uint32_t thread =
        trace.Thread("worker", {.dropped = lost, .from_tail = lost > 0});
    for (uint64_t i = lost; i < 5; ++i) trace.Did(thread, 0, 100 * i, 10 * (i + 1));
    passes.push_back(std::move(trace));
  }
  for (const auto& pass : passes) aligner.Feed(pass);
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes[0].instances_size() == 5);
  const auto& last = Find(lanes[0], "step", 4);
  CHECK(last.count() == 2);
  CHECK(last.duration_ns(0) == 50);
  CHECK(last.duration_ns(2) == 50);
  CHECK(Find(lanes[0], "step", 0).count() == 1);
  CHECK(lanes[0].alignment_confidence() == Approx(0.6));
  CHECK_THAT(lanes[0].alignment(), Catch::StartsWith("tail: the start of the recording was lost"));
  CHECK_THAT(lanes[0].alignment(), Catch::Contains("2 records were lost"));
}

TEST_CASE("beyond max_instances the rest is counted as left out") {
  Passes aligner({.max_instances = 3});
  SyntheticPass trace({"r"});
  const uint32_t thread = trace.Thread("t");
  for (uint64_t i = 0; i < 10; ++i) trace.Did(thread, 0, 10 * i, 1);
  aligner.Feed(trace);
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].instances_size() == 3);
  CHECK(lanes[0].instances_left_out() == 7);
  CHECK(lanes[0].instances(2).ordinal() == 2);
}

TEST_CASE("memory is bounded: of long tracks the first instances are kept, the rest are counted") {
  Passes aligner({}, {.max_instances = 128});
  for (int pass = 0; pass < 3; ++pass) {
    SyntheticPass trace({"r"});
    const uint32_t thread = trace.Thread("t");
    for (uint64_t i = 0; i < 1000; ++i) trace.Did(thread, 0, 10 * i, 1);
    aligner.Feed(trace, 100);
  }
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes[0].instances_size() >= 64);
  CHECK(lanes[0].instances_size() <= 128);
  CHECK(lanes[0].instances_size() + lanes[0].instances_left_out() == 1000);
  for (const auto& stat : lanes[0].instances()) CHECK(stat.count() == 3);
  CHECK(lanes[0].alignment_confidence() == 1);
}

TEST_CASE("memory is bounded where the head was lost too: the last instances are kept") {
  Passes aligner({}, {.max_instances = 128});
  SyntheticPass trace({"r"});
  const uint32_t a = trace.Thread("t", {.dropped = 1, .from_tail = true});
  for (uint64_t i = 0; i < 1000; ++i) trace.Did(a, 0, 10 * i, i);
  for (int pass = 0; pass < 4; ++pass) aligner.Feed(trace, 100);
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].instances_size() + lanes[0].instances_left_out() == 1000);
  REQUIRE(lanes[0].instances_size() > 0);
  CHECK(Find(lanes[0], "r", 999).count() == 4);
  CHECK(Find(lanes[0], "r", 999).duration_ns(1) == 999);
}

// Eight tiles of two stages, worked on by four CTAs: which CTA takes how many differs from pass to pass.
SyntheticPass Tiles(const std::vector<uint32_t>& tiles_of_cta) {
  SyntheticPass trace({"load", "mma"}, v1::CYCLES);
  for (uint32_t cta = 0; cta < tiles_of_cta.size(); ++cta) {
    const uint32_t track = trace.Warp("worker", {.cta = cta});
    for (uint64_t i = 0; i < tiles_of_cta[cta]; ++i)
      trace.Did(track, 0, 100 * i, 10 + i).Did(track, 1, 100 * i + 50, 20 + i);
  }
  return trace;
}

TEST_CASE("where tiles move between CTAs, instances are matched by role and ordinal, and it is told") {
  Passes aligner({.from_cta = true});
  aligner.Feed(Tiles({2, 2, 2, 2}));
  aligner.Feed(Tiles({3, 1, 2, 2}));
  aligner.Feed(Tiles({1, 4, 1, 2}));
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes.size() == 1);
  CHECK(lanes[0].alignment_confidence() == 1);
  CHECK_THAT(lanes[0].alignment(), Catch::StartsWith("role: tiles move between CTAs"));
  CHECK(lanes[0].instances_size() == 8);
  CHECK(Find(lanes[0], "mma", 0).count() == 12);   // every CTA of every pass had a first tile
  CHECK(Find(lanes[0], "mma", 0).duration_ns(1) == 20);
  CHECK(Find(lanes[0], "mma", 3).count() == 1);
  CHECK(Find(lanes[0], "mma", 3).passes() == 1);
}

TEST_CASE("fewer tiles in a pass are not tiles that moved") {
  Passes aligner({.from_cta = true});
  aligner.Feed(Tiles({2, 2, 2, 2}));
  aligner.Feed(Tiles({2, 2, 1, 1}));
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].alignment_confidence() == Approx(0.75));
  CHECK_THAT(lanes[0].alignment(), Catch::StartsWith("role: the number of instances differs"));
}

TEST_CASE("passes that contradict each other are joined with the confidence they deserve") {
  Passes aligner;
  for (int pass = 0; pass < 4; ++pass) {
    SyntheticPass trace({"a", "b"});
    const uint32_t thread = trace.Thread("worker");
    trace.Did(thread, pass == 3 ? 1 : 0, 100, 10);
    aligner.Feed(trace);
  }
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].alignment_confidence() == 0);
  CHECK_THAT(lanes[0].alignment(), Catch::Contains("not in all 4 passes: a (3), b (1)"));
}

TEST_CASE("passes may come in any order") {
  std::vector<SyntheticPass> passes;
  for (uint64_t pass = 0; pass < 4; ++pass) {
    SyntheticPass trace({"load", "mma"}, v1::CYCLES);
    for (uint32_t cta = 0; cta < 3; ++cta) {
      const uint32_t track = trace.Warp("", {.cta = cta});
      trace.Did(track, 0, 10 + pass, 5 * pass + cta).Did(track, 1, 50, 7 + pass);
    }
    passes.push_back(std::move(trace));
  }
  const auto text = [&](std::vector<int> order) {
    Passes aligner({.from_cta = true});
    for (const int i : order) aligner.Feed(passes[i]);
    std::string all;
    for (const auto& lane : aligner.Finish(kQuantiles)) all += lane.DebugString();
    return all;
  };
  CHECK(text({0, 1, 2, 3}) == text({3, 1, 0, 2}));
}

TEST_CASE("where all records were lost, the loss is what is left") {
  Passes aligner;
  SyntheticPass trace({"r"}, v1::CYCLES);
  trace.Warp("worker", {.dropped = 7, .from_tail = true});
  aligner.Feed(trace);
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes.size() == 1);
  CHECK(lanes[0].instances().empty());
  CHECK_THAT(lanes[0].alignment(), Catch::Contains("7 records were lost"));
}

TEST_CASE("a trace without instances gives no lane") {
  Passes aligner;
  aligner.Feed(SyntheticPass({"r"}));
  CHECK(aligner.Finish(kQuantiles).empty());
}

TEST_CASE("one pass is told to have nothing to align with") {
  Passes aligner;
  SyntheticPass trace({"r"});
  trace.Did(trace.Thread("t"), 0, 0, 4);
  aligner.Feed(trace);
  const auto lanes = aligner.Finish(kQuantiles);
  CHECK(lanes[0].alignment() == "exact: one pass: nothing to align with");
  CHECK(lanes[0].instances(0).duration_ns(0) == 4);
}

TEST_CASE("durations in cycles stay cycles, and launches do not mix") {
  Passes aligner;
  SyntheticPass trace({"mma"}, v1::CYCLES, 0.5);
  const uint32_t first = trace.Thread("consumer", {.launch = 0, .origin_ns = 1000});
  const uint32_t second = trace.Thread("consumer", {.launch = 1, .origin_ns = 9000});
  trace.Did(first, 0, 100, 40).Did(second, 0, 100, 60);
  aligner.Feed(trace);
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes[0].instances_size() == 2);
  CHECK(lanes[0].instances(0).ordinal() == 0);
  CHECK(lanes[0].instances(0).start_ns(1) == 1050);
  CHECK(lanes[0].instances(0).duration_cycles(1) == 40);
  CHECK(lanes[0].instances(0).duration_ns(1) == 20);
  CHECK(lanes[0].instances(1).ordinal() == 1);
  CHECK(lanes[0].instances(1).start_ns(1) == 9050);
}

TEST_CASE("roles and regions can be chosen, nesting stays as it was") {
  Passes aligner({.regions = {"inner"}, .roles = {"a"}});
  SyntheticPass trace({"outer", "inner"});
  const uint32_t a = trace.Thread("a");
  const uint32_t b = trace.Thread("b");
  trace.Did(a, 0, 0, 100).Did(a, 1, 10, 5).Did(b, 1, 0, 5);
  aligner.Feed(trace);
  const auto lanes = aligner.Finish(kQuantiles);
  REQUIRE(lanes.size() == 1);
  REQUIRE(lanes[0].instances_size() == 1);
  CHECK(lanes[0].instances(0).region() == "inner");
  CHECK(lanes[0].instances(0).depth() == 1);
}

TEST_CASE("exact aggregates are the quantiles of all instances") {
  ExactAggregates exact({}, {});
  SyntheticPass trace({"r", "s"});
  const uint32_t thread = trace.Thread("t");
  std::vector<double> durations;
  uint64_t x = 1;
  for (uint64_t i = 0; i < 5000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    const uint64_t duration = (x >> 33) % 1000000007;
    durations.push_back(static_cast<double>(duration));
    trace.Did(thread, 0, 1000 * i, duration);
  }
  trace.Did(thread, 1, 0, 0);
  const auto chunks = trace.Chunks(512);
  for (const auto& chunk : chunks) exact.Count(chunk);
  exact.Aim(kQuantiles);
  for (const auto& chunk : chunks) exact.Collect(chunk);
  const auto aggregates = exact.Finish();
  REQUIRE(aggregates.size() == 2);
  CHECK(aggregates[0].region() == "r");
  CHECK(aggregates[0].count() == 5000);
  const auto expected = Quantiles(&durations, kQuantiles);
  for (size_t i = 0; i < kQuantiles.size(); ++i)
    CHECK(aggregates[0].duration_ns(i) == Approx(expected[i]).epsilon(1e-12));
  CHECK(aggregates[0].min_ns() == durations.front());
  CHECK(aggregates[0].max_ns() == durations.back());
  CHECK(aggregates[1].duration_ns(1) == 0);
}

}  // namespace sextant::analysis
