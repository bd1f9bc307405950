#include "server/analysis/event_graph.h"

#include <map>

#include "server/analysis/barrier_match.h"
#include "server/analysis/synthetic_pipeline.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

using Pipeline = SyntheticPipeline;

// What the path spends in each region; also checks that it leads from begin to end without a gap.
std::map<uint32_t, double> OnPath(const EventGraph& graph) {
  std::map<uint32_t, double> spent;
  double at = graph.begin();
  for (const PathPiece& piece : graph.LongestPath()) {
    REQUIRE(piece.begin == at);
    REQUIRE(piece.end >= piece.begin);
    at = piece.end;
    spent[piece.region] += piece.end - piece.begin;
  }
  REQUIRE(at == graph.end());
  return spent;
}

double MedianSlack(const EventGraph& graph, uint32_t region) {
  std::vector<double> slacks;
  for (const auto& one : graph.Slacks())
    if (one.region == region) slacks.push_back(one.slack);
  REQUIRE_FALSE(slacks.empty());
  std::sort(slacks.begin(), slacks.end());
  return slacks[slacks.size() / 2];
}

TEST_CASE("the path of a pipeline that computes longest goes through the computation") {
  const Pipeline pipeline;   // 300 to multiply, 100 to load
  const auto run = pipeline.Simulate();
  const EventGraph graph(run.warps);
  CHECK(graph.end() == run.end);
  const auto spent = OnPath(graph);
  // The first item must be loaded and copied; from then on the consumer never waits.
  CHECK(spent.at(Pipeline::kWaitEmpty) == 10);
  CHECK(spent.at(Pipeline::kLoad) == 100);
  CHECK(spent.at(Pipeline::kWaitFull) == 400 + 39 * 10);
  CHECK(spent.at(Pipeline::kMultiply) == 40 * 300);
  CHECK(spent.at(Pipeline::kStore) == 1000);
  CHECK(MedianSlack(graph, Pipeline::kMultiply) == 0);
  CHECK(MedianSlack(graph, Pipeline::kLoad) > 100);
}

TEST_CASE("the path of a pipeline that loads longest goes through the loads") {
  Pipeline pipeline;
  pipeline.load = 500;
  const auto run = pipeline.Simulate();
  const EventGraph graph(run.warps);
  const auto spent = OnPath(graph);
  CHECK(spent.at(Pipeline::kLoad) == 40 * 500);
  CHECK(spent.at(Pipeline::kMultiply) == 300);   // the last item's
  CHECK(MedianSlack(graph, Pipeline::kLoad) == 0);
  CHECK(MedianSlack(graph, Pipeline::kMultiply) > 0);
}

TEST_CASE("with too few stages the path goes round: load, copy, multiply, release") {
  Pipeline pipeline;
  pipeline.stages = 1;
  const auto run = pipeline.Simulate();
  const EventGraph graph(run.warps);
  const auto spent = OnPath(graph);
  CHECK(spent.at(Pipeline::kLoad) == 40 * 100);
  CHECK(spent.at(Pipeline::kMultiply) == 40 * 300);
  CHECK(spent.at(Pipeline::kWaitFull) == 40 * 400);
  CHECK(spent.at(Pipeline::kWaitEmpty) == 10 + 39 * 20);
}

TEST_CASE("the slack of an instance is how much longer it can take and no more") {
  Pipeline pipeline;
  pipeline.jitter = 97;
  const auto run = pipeline.Simulate();
  const EventGraph graph(run.warps);
  // Longer by its slack, an instance leaves the end where it was; by more, it moves it by the difference.
  const uint64_t item = 17;
  double slack = -1;
  for (const auto& one : graph.Slacks())
    if (one.region == Pipeline::kLoad && one.ordinal == item) slack = one.slack;
  REQUIRE(slack > 0);
  const auto end_after = [&](double by) {
    // A region of its own for this instance, so that it alone is scaled.
    auto warps = run.warps;
    double takes = 0;
    for (RunRegion& region : warps[0].regions)
      if (region.region == Pipeline::kLoad && region.ordinal == item) {
        region.region = 99;
        takes = static_cast<double>(region.end - region.begin);
      }
    const EventGraph changed(warps);
    const Scale scale{.region = 99, .factor = (takes + by) / takes};
    return changed.Replay({&scale, 1});
  };
  CHECK(end_after(slack) == Approx(graph.end()).margin(1e-6));
  CHECK(end_after(slack + 50) == Approx(graph.end() + 50).margin(1e-6));
}

TEST_CASE("what-if predicts what the changed program does, exactly, also where another part then bounds it") {
  struct Case {
    const char* name;
    uint64_t load, copy, multiply, stages, slower;
  };
  for (const Case& one : {Case{"computes longest", 100, 400, 300, 4, 0},
                          Case{"loads longest", 450, 400, 300, 4, 0},
                          Case{"about even", 290, 400, 300, 3, 0},
                          Case{"latency exposed", 100, 900, 300, 2, 0},
                          Case{"one consumer slower", 100, 400, 300, 4, 120}}) {
    Pipeline pipeline;
    pipeline.load = one.load, pipeline.copy = one.copy, pipeline.multiply = one.multiply;
    pipeline.stages = one.stages, pipeline.slower = one.slower;
    pipeline.store = 2000;
    const auto run = pipeline.Simulate();
    const EventGraph graph(run.warps);
    CHECK(graph.Replay({}) == graph.end());
    for (double factor : {0.1, 0.5, 0.9, 1.0, 1.5, 4.0}) {
      INFO(one.name << ", times " << factor);
      const auto predict = [&](uint32_t region) {
        const Scale scale{.region = region, .factor = factor};
        return graph.Replay({&scale, 1});
      };
      Pipeline changed = pipeline;
      changed.load = static_cast<uint64_t>(pipeline.load * factor);
      CHECK(predict(Pipeline::kLoad) == changed.Simulate().end);
      changed = pipeline;
      changed.store = static_cast<uint64_t>(pipeline.store * factor);
      CHECK(predict(Pipeline::kStore) == changed.Simulate().end);
      changed = pipeline;
      changed.multiply = static_cast<uint64_t>(pipeline.multiply * factor);
      changed.slower = static_cast<uint64_t>(pipeline.slower * factor);
      CHECK(predict(Pipeline::kMultiply) == changed.Simulate().end);
      changed = pipeline;   // a shorter wait for "full" is a shorter copy
      changed.copy = static_cast<uint64_t>(pipeline.copy * factor);
      changed.cost = pipeline.cost;
      CHECK(predict(Pipeline::kWaitFull) ==
            Approx(static_cast<double>(changed.Simulate().end))
                .margin(10.0 * static_cast<double>(pipeline.items) * std::abs(factor - 1)));
    }
  }
}

TEST_CASE("a change of a region counts for the regions in it, of one role alone when asked") {
  Pipeline pipeline;
  pipeline.inner = 80;
  const auto run = pipeline.Simulate();
  const EventGraph graph(run.warps);
  const Scale outer{.role = Pipeline::kConsumer, .region = Pipeline::kMultiply, .factor = 0.5};
  Pipeline changed = pipeline;
  changed.inner /= 2, changed.multiply /= 2;
  CHECK(graph.Replay({&outer, 1}) == changed.Simulate().end);
  const Scale inner{.region = Pipeline::kInner, .factor = 0.5};
  changed = pipeline;
  changed.inner /= 2;
  CHECK(graph.Replay({&inner, 1}) == changed.Simulate().end);
  const Scale other{.role = Pipeline::kProducer, .region = Pipeline::kMultiply, .factor = 0.5};
  CHECK(graph.Replay({&other, 1}) == graph.end());
}

TEST_CASE("a run that lost its head is judged from where all warps have records") {
  for (uint64_t load : {100, 500}) {
    Pipeline pipeline;
    pipeline.items = 400, pipeline.load = load, pipeline.jitter = 31;
    const auto whole = pipeline.Simulate();
    auto lost = whole;
    Pipeline::LoseHead(&lost, whole.end * 6 / 10);
    const EventGraph graph(lost.warps), full(whole.warps);
    CHECK(graph.head_lost());
    CHECK(graph.begin() >= 0.6 * static_cast<double>(whole.end));
    CHECK(graph.begin() < 0.6 * static_cast<double>(whole.end) + 2000);
    CHECK(graph.end() == whole.end);
    const auto spent = OnPath(graph), truth = OnPath(full);
    const double window = graph.end() - graph.begin();
    for (uint32_t region : {Pipeline::kLoad, Pipeline::kMultiply}) {
      INFO("load " << load << ", region " << region);
      const auto share = [&](const std::map<uint32_t, double>& of, double span) {
        const auto found = of.find(region);
        return found == of.end() ? 0 : found->second / span;
      };
      CHECK(share(spent, window) == Approx(share(truth, full.end())).margin(0.02));
      const Scale scale{.region = region, .factor = 0.8};
      const double predicted = (graph.end() - graph.Replay({&scale, 1})) / window;
      const double actual = (full.end() - full.Replay({&scale, 1})) / full.end();
      CHECK(predicted == Approx(actual).margin(0.01));
    }
  }
}

TEST_CASE("waits without signals keep their time and are named") {
  Pipeline pipeline;
  pipeline.load = 500;
  auto run = pipeline.Simulate();
  for (RunWarp& warp : run.warps)
    std::erase_if(warp.marks, [](const RunMark& mark) { return !mark.wait && mark.barrier == Pipeline::kFull; });
  const EventGraph graph(run.warps);
  REQUIRE(graph.unmatched().size() == 1);
  CHECK(graph.unmatched()[0].barrier == Pipeline::kFull);
  CHECK(graph.unmatched()[0].waits == 80);
  double unexplained = 0;
  for (const PathPiece& piece : graph.LongestPath())
    if (piece.unexplained) unexplained += piece.end - piece.begin;
  CHECK(unexplained > 0.4 * graph.end());
  CHECK(graph.Replay({}) == graph.end());
}

TEST_CASE("waits whose regions were not recorded still bind") {
  Pipeline pipeline;
  pipeline.load = 500;
  auto run = pipeline.Simulate();
  for (RunWarp& warp : run.warps)
    std::erase_if(warp.regions, [](const RunRegion& region) { return region.region == Pipeline::kWaitFull; });
  const EventGraph graph(run.warps);
  CHECK(graph.edges().size() == 80 + 36);
  CHECK(OnPath(graph).at(Pipeline::kLoad) == 40 * 500);
}

TEST_CASE("clocks that contradict each other end in a graph all the same") {
  // Each warp waits for the other's signal, which comes after its own wait, within the tolerance.
  std::vector<RunWarp> warps(2);
  for (uint32_t w = 0; w < 2; ++w) {
    warps[w].warp = w;
    warps[w].regions = {{.region = w, .ordinal = 0, .begin = 100, .end = 140}};
    warps[w].marks = {{.barrier = w, .slot = 0, .wait = true, .begin = 100, .end = 140},
                      {.barrier = 1 - w, .slot = 0, .wait = false, .begin = 150, .end = 150}};
  }
  const EventGraph graph(warps);
  CHECK(graph.end() == 150);
  CHECK(graph.Replay({}) == 150);
  CHECK(OnPath(graph).size() >= 1);
}

TEST_CASE("nothing recorded is an empty graph") {
  CHECK(EventGraph({}).LongestPath().empty());
  const std::vector<RunWarp> warps(3);
  const EventGraph graph(warps);
  CHECK(graph.end() == 0);
  CHECK(graph.Replay({}) == 0);
}

TEST_CASE("regions that overlap end with the one around them") {
  std::vector<RunWarp> warps(1);
  warps[0].regions = {{.region = 0, .ordinal = 0, .begin = 0, .end = 100},
                      {.region = 1, .ordinal = 0, .begin = 50, .end = 150},
                      {.region = 2, .ordinal = 0, .begin = 120, .end = 120}};
  const EventGraph graph(warps);
  const auto spent = OnPath(graph);
  CHECK(graph.end() == 120);
  CHECK(spent.at(0) == 50);
  CHECK(spent.at(1) == 50);
}

// ---- which signals complete which waits ----------------------------------------------------------

uint64_t SignalOf(const BarrierMatch& match, absl::Span<const RunWarp> warps, uint32_t warp, uint32_t mark) {
  for (const MatchedWait& one : match.matched)
    if (one.wait_warp == warp && one.wait_mark == mark)
      return warps[one.signal_warp].marks[one.signal_mark].begin;
  return 0;
}

TEST_CASE("each wait meets the last of the signals of its round, from the head and from the tail") {
  Pipeline pipeline;
  pipeline.items = 12, pipeline.stages = 3, pipeline.slower = 40;
  for (uint64_t from : {0, 1500}) {
    auto run = pipeline.Simulate();
    const auto whole = run;
    if (from > 0) Pipeline::LoseHead(&run, from);
    const BarrierMatch match = MatchBarriers(run.warps);
    CHECK(match.left.empty());
    uint64_t checked = 0;
    for (uint32_t w = 0; w < run.warps.size(); ++w) {
      const RunWarp& warp = run.warps[w];
      for (uint32_t m = 0; m < warp.marks.size(); ++m) {
        if (!warp.marks[m].wait) continue;
        // In this program every wait that had to wait ends wake or copy after its signal.
        const uint64_t signal = SignalOf(match, run.warps, w, m);
        if (signal == 0) continue;
        const uint64_t lag = w == 0 ? pipeline.wake : pipeline.copy;
        CHECK(warp.marks[m].end >= signal + lag);
        if (warp.marks[m].end - warp.marks[m].begin > pipeline.cost) {
          CHECK(warp.marks[m].end == signal + lag);
          ++checked;
        }
      }
    }
    CHECK(checked > (from > 0 ? 1u : 8u));
    // Of every producer's wait but those that pass the fresh barrier, where nothing was lost.
    if (from == 0) CHECK(match.matched.size() == 12 * 2 + 12 - 3);
  }
}

TEST_CASE("a barrier whose waits all end before its signals has no edges") {
  std::vector<RunWarp> warps(2);
  for (uint64_t k = 0; k < 5; ++k) {
    warps[0].marks.push_back({.barrier = 0, .slot = 0, .wait = true, .begin = 10 * k, .end = 10 * k + 5});
    warps[1].marks.push_back({.barrier = 0, .slot = 0, .begin = 1000 + k, .end = 1000 + k});
  }
  const BarrierMatch match = MatchBarriers(warps);
  CHECK(match.matched.empty());
  REQUIRE(match.left.size() == 1);
  CHECK(match.left[0].waits == 5);
  CHECK(std::string(match.left[0].why) == "its waits end before its signals");
}

}  // namespace
}  // namespace sextant::analysis
