#include "server/analysis/loop_fold.h"

#include "server/analysis/synthetic.h"

namespace sextant::analysis {
namespace {

const std::vector<double> kQuantiles = {0.2, 0.5, 0.8};
enum : uint32_t { kWait, kMma, kStep, kStore, kInit };

SyntheticPass Empty() { return SyntheticPass({"wait full", "mma", "step", "store", "init"}, v1::CYCLES, 0.5); }

struct Shape {
  uint64_t iterations = 40;
  uint64_t slow_first = 0;     // iterations that take three times as long
  uint64_t slow_last = 0;
  uint64_t lost = 0;           // instances of the head that a ring overwrote
};

// A consumer: init, iterations of 100 (wait 30, mma 70 with a step of 20 inside), a store. In cycles of half a ns.
void Consumer(SyntheticPass* trace, uint32_t cta, const Shape& shape) {
  struct Did {
    uint32_t region;
    uint64_t start, duration;
  };
  std::vector<Did> did = {{kInit, 0, 400}};
  uint64_t now = 500;
  for (uint64_t k = 0; k < shape.iterations; ++k) {
    const uint64_t times = k < shape.slow_first || k + shape.slow_last >= shape.iterations ? 3 : 1;
    did.push_back({kWait, now, 30 * times});
    did.push_back({kMma, now + 30 * times, 70 * times});
    did.push_back({kStep, now + 30 * times + 10, 20});
    now += 100 * times;
  }
  did.push_back({kStore, now, 1000});
  const bool cut = shape.lost > 0;
  const uint32_t track = trace->Warp("consumer", {.cta = cta, .dropped = shape.lost, .from_tail = cut});
  for (size_t i = shape.lost; i < did.size(); ++i) trace->Did(track, did[i].region, did[i].start, did[i].duration);
}

std::vector<v1::LoopFold> Fold(const std::vector<Shape>& ctas, int passes = 2) {
  std::vector<SyntheticPass> all;
  for (int pass = 0; pass < passes; ++pass) {
    SyntheticPass trace = Empty();
    for (uint32_t cta = 0; cta < ctas.size(); ++cta) Consumer(&trace, cta, ctas[cta]);
    all.push_back(std::move(trace));
  }
  return FoldLoops(SampleOf(all), {}, kQuantiles);
}

}  // namespace

TEST_CASE("a loop is folded to its typical iteration, with what is nested in it") {
  const auto folds = Fold({{}, {}, {}});
  REQUIRE(folds.size() == 1);
  const v1::LoopFold& fold = folds[0];
  CHECK(fold.role() == "consumer");
  REQUIRE(fold.regions_size() == 2);
  CHECK(fold.regions(0) == "wait full");
  CHECK(fold.regions(1) == "mma");
  CHECK(fold.iterations() == 40);
  CHECK(fold.prologue_iterations() == 0);
  CHECK(fold.epilogue_iterations() == 0);
  CHECK(fold.period_ns(1) == 50);
  REQUIRE(fold.iteration_size() == 3);
  CHECK(fold.iteration(1).region() == "mma");
  CHECK(fold.iteration(1).start_ns(1) == 15);
  CHECK(fold.iteration(1).duration_ns(1) == 35);
  CHECK(fold.iteration(2).region() == "step");
  CHECK(fold.iteration(2).depth() == 1);
  CHECK(fold.iteration(2).start_ns(1) == 20);
  CHECK(fold.iteration(2).count() == 240);
  CHECK(fold.prologue_ns(1) == 250);
  CHECK(fold.steady_ns(1) == 2000);
  CHECK(fold.epilogue_ns(1) == 500);
  CHECK(fold.steady_share() == Approx(2000.0 / 2750));
}

TEST_CASE("iterations that are not yet, or no longer, steady are prologue and epilogue") {
  const auto folds = Fold({{.slow_first = 3, .slow_last = 2}, {.slow_first = 3, .slow_last = 2}});
  REQUIRE(folds.size() == 1);
  CHECK(folds[0].iterations() == 40);
  CHECK(folds[0].prologue_iterations() == 3);
  CHECK(folds[0].epilogue_iterations() == 2);
  CHECK(folds[0].period_ns(0) == 50);
  CHECK(folds[0].period_ns(2) == 50);
  CHECK(folds[0].steady_ns(1) == 35 * 50);
  CHECK(folds[0].prologue_ns(1) == 250 + 450);
  CHECK(folds[0].epilogue_ns(1) == 300 + 500);
}

TEST_CASE("a ring that lost the head leaves the steady iterations as they are") {
  const auto folds = Fold({{.slow_last = 2, .lost = 20}, {.slow_last = 2, .lost = 23}});
  REQUIRE(folds.size() == 1);
  CHECK(folds[0].period_ns(1) == 50);
  CHECK(folds[0].epilogue_iterations() == 2);
  CHECK(folds[0].iterations() >= 32);
  CHECK(folds[0].iterations() <= 34);
}

TEST_CASE("CTAs that work on different numbers of tiles fold to one iteration") {
  const auto folds = Fold({{.iterations = 10}, {.iterations = 40}, {.iterations = 70}});
  REQUIRE(folds.size() == 1);
  CHECK(folds[0].iterations() == 40);
  CHECK(folds[0].period_ns(0) == 50);
  CHECK(folds[0].period_ns(2) == 50);
}

TEST_CASE("10,000 iterations fold, and so does a producer that runs ahead") {
  SyntheticPass trace({"wait empty", "load"}, v1::CYCLES);
  const uint32_t track = trace.Warp("producer", {});
  uint64_t now = 0;
  for (uint64_t k = 0; k < 10'000; ++k) {
    if (k >= 4) {
      trace.Did(track, 0, now, 60);
      now += 60;
    }
    trace.Did(track, 1, now, 40);
    now += 40;
  }
  const auto folds = FoldLoops(SampleOf({trace}), {}, kQuantiles);
  REQUIRE(folds.size() == 1);
  CHECK(folds[0].regions(0) == "wait empty");
  CHECK(folds[0].iterations() == 9996);
  CHECK(folds[0].period_ns(1) == 100);
  CHECK(folds[0].prologue_ns(1) == 160);
}

TEST_CASE("the loop inside one enclosing region is found, and a loop of loops twice") {
  SyntheticPass trace({"main", "load", "tile", "k"}, v1::CYCLES);
  const uint32_t one = trace.Warp("a", {.warp = 0});
  trace.Did(one, 0, 0, 10'000);
  for (uint64_t k = 0; k < 20; ++k) trace.Did(one, 1, 100 * k, 50);
  const uint32_t two = trace.Warp("b", {.warp = 1});
  for (uint64_t tile = 0; tile < 6; ++tile) {
    trace.Did(two, 2, 10'000 * tile, 9'000);
    for (uint64_t k = 0; k < 80; ++k) trace.Did(two, 3, 10'000 * tile + 100 * k, 60);
  }
  const auto folds = FoldLoops(SampleOf({trace}), {}, kQuantiles);
  REQUIRE(folds.size() == 3);
  CHECK(folds[0].role() == "a");
  CHECK(folds[0].regions(0) == "load");
  CHECK(folds[0].period_ns(1) == 100);
  CHECK(folds[1].regions(0) == "tile");
  CHECK(folds[1].iterations() == 6);
  CHECK(folds[1].period_ns(1) == 10'000);
  CHECK(folds[2].regions(0) == "k");
  CHECK(folds[2].iterations() == 480);
  CHECK(folds[2].period_ns(1) == 100);
}

TEST_CASE("loops one after the other fold each, the longest first") {
  SyntheticPass trace({"a", "b", "c", "d", "e", "f", "once"}, v1::CYCLES);
  const uint32_t warp = trace.Warp("w", {});
  uint64_t now = 0;
  const auto loop = [&](uint64_t times, std::vector<uint32_t> regions, uint64_t each) {
    for (uint64_t k = 0; k < times; ++k)
      for (const uint32_t region : regions) {
        trace.Did(warp, region, now, each - 10);
        now += each;
      }
  };
  loop(40, {0, 1}, 50);      // periods of 2, 3 and 1: together none repeats for half of the time
  trace.Did(warp, 6, now, 90);
  now += 100;
  loop(30, {2, 3, 4}, 100);
  trace.Did(warp, 6, now, 90);
  now += 100;
  loop(70, {5}, 40);
  const auto folds = FoldLoops(SampleOf({trace}), {}, kQuantiles);
  REQUIRE(folds.size() == 3);
  const auto of = [&](const std::string& region) {
    for (const v1::LoopFold& fold : folds)
      if (std::find(fold.regions().begin(), fold.regions().end(), region) != fold.regions().end()) return fold;
    return v1::LoopFold();
  };
  CHECK(of("a").regions_size() == 2);
  CHECK(of("a").iterations() == 40);
  CHECK(of("a").period_ns(1) == 100);
  CHECK(of("c").regions_size() == 3);
  CHECK(of("c").iterations() == 30);
  CHECK(of("c").period_ns(1) == 300);
  CHECK(of("c").prologue_ns(1) == 4100);
  CHECK(of("f").iterations() == 70);
  CHECK(of("f").period_ns(1) == 40);
}

TEST_CASE("two loops of which neither is half, and whose periods repeat together, are two") {
  SyntheticPass trace({"a", "b", "c", "d", "e"}, v1::CYCLES);
  const uint32_t warp = trace.Warp("w", {});
  uint64_t now = 0;
  for (uint64_t k = 0; k < 45; ++k, now += 200) trace.Did(warp, 0, now, 90), trace.Did(warp, 1, now + 100, 90);
  for (uint64_t k = 0; k < 30; ++k, now += 300)
    for (uint32_t region = 2; region < 5; ++region) trace.Did(warp, region, now + 100 * (region - 2), 90);
  const auto folds = FoldLoops(SampleOf({trace}), {}, kQuantiles);
  REQUIRE(folds.size() == 2);
  CHECK(folds[0].regions_size() + folds[1].regions_size() == 5);
}

TEST_CASE("what comes once a tile between the loops of tiles repeats with the tiles") {
  SyntheticPass trace({"load", "mma", "store"}, v1::CYCLES);
  const uint32_t warp = trace.Warp("w", {});
  uint64_t now = 0;
  for (int tile = 0; tile < 5; ++tile) {
    for (int k = 0; k < 20; ++k, now += 100) trace.Did(warp, 0, now, 40), trace.Did(warp, 1, now + 40, 50);
    trace.Did(warp, 2, now, 490);
    now += 500;
  }
  const auto folds = FoldLoops(SampleOf({trace}), {}, kQuantiles);
  REQUIRE(folds.size() == 2);
  CHECK(folds[0].iterations() == 100);
  CHECK(folds[0].period_ns(1) == 100);
  CHECK(folds[1].regions(0) == "store");
  CHECK(folds[1].iterations() == 5);
  CHECK(folds[1].period_ns(1) == 2500);
}

TEST_CASE("a loop behind a loop is found where one of them is in a region") {
  SyntheticPass trace({"a", "main", "k"}, v1::CYCLES);
  const uint32_t warp = trace.Warp("w", {});
  for (uint64_t k = 0; k < 10; ++k) trace.Did(warp, 0, 100 * k, 90);
  trace.Did(warp, 1, 1000, 3000);
  for (uint64_t k = 0; k < 25; ++k) trace.Did(warp, 2, 1000 + 100 * k, 90);
  const auto folds = FoldLoops(SampleOf({trace}), {}, kQuantiles);
  REQUIRE(folds.size() == 2);
  CHECK(folds[0].regions(0) == "a");
  CHECK(folds[1].regions(0) == "k");
  CHECK(folds[1].iterations() == 25);
}

TEST_CASE("what does not repeat is no loop, nor are three times") {
  SyntheticPass trace({"a", "b", "c", "d", "e", "f"}, v1::CYCLES);
  const uint32_t one = trace.Warp("straight", {.warp = 0});
  for (uint32_t region = 0; region < 6; ++region) trace.Did(one, region, 100 * region, 50);
  const uint32_t two = trace.Warp("thrice", {.warp = 1});
  for (uint64_t k = 0; k < 3; ++k) trace.Did(two, 0, 100 * k, 50);
  trace.Warp("nothing", {.warp = 2, .dropped = 4});
  CHECK(FoldLoops(SampleOf({trace}), {}, kQuantiles).empty());
  CHECK(FoldLoops(TraceSample(), {}, kQuantiles).empty());
}

}  // namespace sextant::analysis
