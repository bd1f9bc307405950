#include "server/analysis/critical_path.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "server/analysis/path_steps.h"
#include "server/analysis/synthetic.h"
#include "server/analysis/synthetic_pipeline.h"
#include "server/analysis/test_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

using Pipeline = SyntheticPipeline;

const std::vector<std::string> kRegions = {"wait empty", "load", "wait full", "multiply", "store", "inner"};
const std::vector<std::string> kBarriers = {"empty", "full"};

// What a `scopes` pass leaves of runs (CTA i of launch 0 is runs[i]), in cycles of `ns_per_cycle`.
class RecordedPass {
 public:
  void Add(const Pipeline::Run& run, uint32_t launch, uint32_t cta) {
    for (const RunWarp& warp : run.warps) {
      chunk::Track track{.launch = launch, .cta = cta, .sm = cta % 4, .warp = warp.warp, .role = warp.role};
      track.from_tail = warp.head_lost;
      track.dropped = warp.head_lost ? 7 : 0;
      for (const RunRegion& region : warp.regions)
        instances_.push_back({.track = static_cast<uint32_t>(info_.tracks.size()),
                              .region = region.region,
                              .start = region.begin,
                              .duration = region.end - region.begin});
      info_.tracks.push_back(track);
      std::map<std::tuple<uint32_t, uint32_t, bool>, int64_t> ordinals;
      for (const RunMark& mark : warp.marks) {
        rows_.Set(launch_, launch), rows_.Set(cta_, cta), rows_.Set(warp_, warp.warp);
        rows_.Set(barrier_, kBarriers[mark.barrier]), rows_.Set(slot_, mark.slot);
        rows_.Set(kind_, mark.wait ? "wait" : "signal");
        rows_.Set(ordinal_, ordinals[{mark.barrier, mark.slot, mark.wait}]++);
        rows_.Set(at_, static_cast<int64_t>(mark.begin));
        rows_.Set(duration_, static_cast<int64_t>(mark.end - mark.begin));
        rows_.Set(head_lost_, warp.head_lost ? 1 : 0);
        rows_.EndRow();
      }
    }
  }

  void Into(TestJob* job, double ns_per_cycle) {
    info_.kernel = "gemm";
    info_.regions = kRegions;
    info_.roles = {"producer", "consumer"};
    info_.unit = v1::CYCLES;
    info_.ns_per_unit = ns_per_cycle;
    auto encoded = chunk::EncodeTrace(info_, instances_, chunk::Limits());
    REQUIRE(encoded.ok());
    std::vector<chunk::Decoded> chunks;
    for (const chunk::EncodedChunk& one : *encoded) {
      auto decoded = chunk::DecodeUntrusted(one.bytes);
      REQUIRE(decoded.ok());
      chunks.push_back(*std::move(decoded));
    }
    job->Pass("scopes").Add(LaunchTable({{"void gemm(int)", 1000}})).Add(rows_.Finish()).Trace(std::move(chunks));
  }

 private:
  chunk::TraceInfo info_;
  std::vector<chunk::Instance> instances_;
  table::Builder rows_{"barriers"};
  table::Builder::IntColumn launch_ = rows_.Int("launch"), cta_ = rows_.Int("cta"),
                            warp_ = rows_.Int("warp"), slot_ = rows_.Int("slot"),
                            ordinal_ = rows_.Int("ordinal"), at_ = rows_.Int("at_cycles", "cycles"),
                            duration_ = rows_.Int("duration_cycles", "cycles"),
                            head_lost_ = rows_.Int("head_lost");
  table::Builder::TextColumn barrier_ = rows_.Text("barrier"), kind_ = rows_.Text("kind");
};

v1::CriticalPath Find(const TestJob& job, const v1::GetCriticalPathRequest& request = {}) {
  const Evidence evidence = job.Gather(request.subject());
  auto path = FindCriticalPath(evidence, request);
  INFO(path.status().ToString());
  REQUIRE(path.ok());
  return *std::move(path);
}

const v1::PathShare* ShareOf(const v1::CriticalPathAt& at, const std::string& region) {
  for (const v1::PathShare& share : at.shares())
    if (share.region() == region) return &share;
  return nullptr;
}

TEST_CASE("shares, slack, edges and steps of the median run are those that were simulated") {
  const Pipeline pipeline;   // 40 items: 300 to multiply, 100 to load; two consumers
  TestJob job;
  for (int pass = 0; pass < 3; ++pass) {
    RecordedPass recorded;
    for (uint32_t cta = 0; cta < 8; ++cta) recorded.Add(pipeline.Simulate(), 0, cta);
    recorded.Into(&job, 0.5);
  }
  const v1::CriticalPath path = Find(job);
  REQUIRE(path.paths_size() == 3);
  const v1::CriticalPathAt& median = path.paths(1);
  const double span = 0.5 * static_cast<double>(pipeline.Simulate().end);
  CHECK(median.quantile() == 0.5);
  CHECK(median.span_ns() == span);
  CHECK_FALSE(path.path_changes());
  CHECK(median.shares(0).region() == "multiply");
  CHECK(median.shares(0).role() == "consumer");
  CHECK(median.shares(0).on_path_ns() == 0.5 * 40 * 300);
  CHECK(median.shares(0).share() == Approx(0.5 * 40 * 300 / span));
  CHECK(median.shares(0).slack_ns() == 0);
  REQUIRE(ShareOf(median, "load") != nullptr);
  CHECK(ShareOf(median, "load")->on_path_ns() == 50);
  CHECK(ShareOf(median, "load")->slack_ns() > 50);
  // Producer: wait, load, then the copy; 39 times multiply and wait, and once more.
  REQUIRE(median.steps_size() == 7);
  CHECK(median.steps(0).region() == "wait empty");
  CHECK(median.steps(1).region() == "load");
  CHECK(median.steps(2).region() == "wait full");
  CHECK(median.steps(2).enters_by() == "full[0]");
  CHECK(median.steps(3).region() == "multiply");
  CHECK(median.steps(3).repeats() == 39);
  double total = 0;
  for (const v1::PathStep& step : median.steps()) total += step.duration_ns();
  CHECK(total == Approx(span));
  REQUIRE(path.edges_size() == 2);
  for (const v1::BarrierEdge& edge : path.edges()) {
    const bool full = edge.barrier() == "full";
    CHECK(edge.from_role() == (full ? "producer" : "consumer"));
    CHECK(edge.to_role() == (full ? "consumer" : "producer"));
    CHECK(edge.count() == path.ctas() * (full ? 80 : 36));
  }
  CHECK(path.basis().abstentions().empty());
  REQUIRE(path.what_if_size() > 1);
  CHECK(path.what_if(0).what().region() == "multiply");
  Pipeline faster = pipeline;
  faster.multiply = 270;
  CHECK(path.what_if(0).predicted_ns() == Approx(0.5 * static_cast<double>(faster.Simulate().end)));
}

TEST_CASE("where slow runs are slow for another reason the path changes") {
  TestJob job;
  RecordedPass recorded;
  for (uint32_t cta = 0; cta < 100; ++cta) {
    Pipeline pipeline;
    pipeline.load = cta < 60 ? 100 : 700;
    pipeline.jitter = cta < 60 ? 0 : cta;
    recorded.Add(pipeline.Simulate(), 0, cta);
  }
  recorded.Into(&job, 1);
  const v1::CriticalPath path = Find(job);
  CHECK(path.paths(0).shares(0).region() == "multiply");
  CHECK(path.paths(1).shares(0).region() == "multiply");
  CHECK(path.paths(2).shares(0).region() == "load");
  CHECK(path.path_changes());
  CHECK(path.paths(2).cta() >= 60);
}

TEST_CASE("what is asked for is answered, and lost heads are said and allowed for") {
  Pipeline pipeline;
  pipeline.items = 400, pipeline.load = 500;
  TestJob job;
  RecordedPass recorded;
  for (uint32_t cta = 0; cta < 3; ++cta) {
    auto run = pipeline.Simulate();
    Pipeline::LoseHead(&run, run.end / 2);
    recorded.Add(run, 0, cta);
  }
  recorded.Into(&job, 1);
  v1::GetCriticalPathRequest request;
  v1::WhatIf* what = request.add_what_if();
  what->set_region("load");
  what->set_shorten_pct(20);
  const v1::CriticalPath path = Find(job, request);
  REQUIRE(path.what_if_size() == 1);
  Pipeline faster = pipeline;
  faster.load = 400;
  CHECK(path.what_if(0).span_ns() == static_cast<double>(pipeline.Simulate().end));
  CHECK(path.what_if(0).predicted_ns() ==
        Approx(static_cast<double>(faster.Simulate().end)).epsilon(0.005));
  REQUIRE(path.basis().notes_size() == 1);
  CHECK(absl::StartsWith(path.basis().notes(0), "3 of 3 runs lost their first records: their paths are of the last 50 %"));

  request.mutable_what_if(0)->set_region("lode");
  const Evidence evidence = job.Gather();
  const absl::Status unknown = FindCriticalPath(evidence, request).status();
  CHECK(absl::IsInvalidArgument(unknown));
  CHECK(unknown.message() == "what_if[0].region: \"lode\" was not recorded; there are load, multiply, store, wait empty, wait full");
}

// Two consumers whose products one unit makes: busy `items` × 2 × `multiply` of the span. What a copy that is hidden
// altogether is worth, as simulated, as replayed, and as bounded by the unit.
TEST_CASE("a unit that warps share bounds what hiding a wait promises, as the simulation does") {
  Pipeline pipeline;
  pipeline.shared = true;
  pipeline.stages = 1;      // load, copy, multiply and release follow each other
  pipeline.copy = 150;
  for (const uint64_t multiply : {40, 300, 1000}) {
    pipeline.multiply = multiply;
    TestJob job;
    RecordedPass recorded;
    for (uint32_t cta = 0; cta < 3; ++cta) recorded.Add(pipeline.Simulate(), 0, cta);
    recorded.Into(&job, 1);
    const auto end = static_cast<double>(pipeline.Simulate().end);
    const double busy = 40.0 * 2 * static_cast<double>(multiply) / end;
    table::Builder counters("counters");
    const auto launch = counters.Int("launch");
    const auto kernel = counters.Text("kernel"), metric = counters.Text("metric"), unit = counters.Text("unit");
    const auto value = counters.Number("value");
    counters.Set(launch, 0), counters.Set(kernel, "void gemm(int)"), counters.Set(unit, "%"), counters.Set(value, 100 * busy);
    counters.Set(metric, "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active");
    counters.EndRow();
    job.Pass("counters").Add(LaunchTable({{"void gemm(int)", 1000}})).Add(counters.Finish());

    v1::GetCriticalPathRequest request;
    request.add_what_if()->set_region("wait full");
    request.mutable_what_if(0)->set_shorten_pct(100);
    request.add_what_if()->set_region("multiply");
    request.mutable_what_if(1)->set_shorten_pct(50);
    const v1::CriticalPath path = Find(job, request);
    Pipeline hidden = pipeline;
    hidden.copy = 0;
    INFO("multiply " << multiply << ", unit busy " << busy);
    const double predicted = path.what_if(0).predicted_ns(), truth = static_cast<double>(hidden.Simulate().end);
    CHECK(predicted >= busy * end - 1e-6);          // the unit has its work to do
    CHECK(predicted <= end);
    CHECK(predicted <= truth * 1.05 + 1e-6);        // and what is promised is at most a little more than comes
    CHECK(predicted >= 0.75 * truth);
    // Half of the multiplication: its own work shrinks with it, so the unit bounds by half of it.
    CHECK(path.what_if(1).predicted_ns() >= busy * end / 2 - 1e-6);
  }
}

TEST_CASE("without its counter a unit bounds nothing; a busy one bounds and is named") {
  Pipeline pipeline;
  pipeline.copy = 4000;     // waits are nearly all of the span
  pipeline.stages = 1;
  TestJob job;
  RecordedPass recorded;
  recorded.Add(pipeline.Simulate(), 0, 0);
  recorded.Into(&job, 1);
  v1::GetCriticalPathRequest request;
  request.add_what_if()->set_region("wait full");
  request.mutable_what_if(0)->set_shorten_pct(100);
  const v1::CriticalPath unbounded = Find(job, request);
  CHECK(unbounded.what_if(0).speedup_pct() > 80);
  CHECK(unbounded.basis().notes().empty());
  table::Builder counters("counters");
  const auto launch = counters.Int("launch");
  const auto kernel = counters.Text("kernel"), metric = counters.Text("metric"), unit = counters.Text("unit");
  const auto value = counters.Number("value");
  counters.Set(launch, 0), counters.Set(kernel, "void gemm(int)"), counters.Set(unit, "%"), counters.Set(value, 70);
  counters.Set(metric, "dram__throughput.avg.pct_of_peak_sustained_elapsed");
  counters.EndRow();
  job.Pass("counters").Add(LaunchTable({{"void gemm(int)", 1000}})).Add(counters.Finish());
  const v1::CriticalPath bounded = Find(job, request);
  CHECK(bounded.what_if(0).speedup_pct() == Approx(30));
  CHECK(bounded.what_if(0).predicted_ns() == Approx(0.7 * bounded.what_if(0).span_ns()));
  REQUIRE(bounded.basis().notes_size() == 1);
  CHECK(bounded.basis().notes(0) ==
        "what-if: warps share DRAM, busy 70 % of the time, which has its work to do: it, not the graph, bounds wait full −100 %");
}

TEST_CASE("without waits and signals there is no path but what to instrument") {
  SyntheticPass threads({"load"});
  threads.Did(threads.Thread("producer"), 0, 0, 10);
  TestJob scopes;
  scopes.Pass("scopes").Add(LaunchTable({{"k", 100}})).Trace(threads.Chunks());
  v1::CriticalPath path = Find(scopes);
  CHECK(path.paths().empty());
  REQUIRE(path.basis().abstentions_size() == 1);
  CHECK(absl::StrContains(path.basis().abstentions(0).why(), "SEXTANT_WAIT(ctx, \"full\", slot)"));
  CHECK(path.basis().abstentions(0).pass() == "scopes");

  TestJob host;
  host.Pass("host").Trace(threads.Chunks());
  path = Find(host);
  REQUIRE(path.basis().abstentions_size() == 1);
  CHECK(absl::StrContains(path.basis().abstentions(0).why(), "CPU threads"));
  CHECK(path.basis().abstentions(0).pass().empty());

  TestJob clean;
  clean.Pass("activity").Add(LaunchTable({{"k", 100}}));
  path = Find(clean);
  REQUIRE(path.basis().abstentions_size() == 1);
  CHECK(path.basis().abstentions(0).pass() == "scopes");
}

TEST_CASE("waits that nobody signals are an abstention, not an edge") {
  Pipeline pipeline;
  pipeline.load = 500;
  TestJob job;
  RecordedPass recorded;
  auto run = pipeline.Simulate();
  for (RunWarp& warp : run.warps)
    std::erase_if(warp.marks, [](const RunMark& mark) { return !mark.wait; });
  recorded.Add(run, 0, 0);
  recorded.Into(&job, 1);
  const v1::CriticalPath path = Find(job);
  CHECK(path.edges().empty());
  REQUIRE(path.basis().notes_size() == 2);
  CHECK(path.basis().notes(1) == "barrier full: 80 waits have no edge: it has no signals");
  REQUIRE(path.basis().abstentions_size() == 1);
  CHECK(absl::StrContains(path.basis().abstentions(0).why(), "sextant::signal"));
}

// ---- folding -------------------------------------------------------------------------------------

TEST_CASE("steps that repeat in the same order stand once, the rest as they came") {
  std::vector<PathPiece> pieces;
  double at = 0;
  const auto add = [&](uint32_t region, double took, int32_t edge = -1) {
    PathPiece piece;
    piece.region = region, piece.begin = at, piece.end = at += took, piece.entered_by = edge;
    pieces.push_back(piece);
  };
  add(0, 7);
  for (int i = 0; i < 5; ++i) add(1, 10 + i, i), add(2, 100);
  add(1, 3, 0);
  add(0, 9);
  std::vector<WaitEdge> edges(5);
  for (uint32_t i = 0; i < 5; ++i) edges[i].slot = i % 2;
  const std::vector<RunWarp> warps(1);
  const RunNames names{{"a", "b", "c"}, {"r"}, {"full"}};
  uint64_t left_out = 0;
  auto steps = FoldSteps(pieces, warps, edges, names, 2, 100, &left_out);
  REQUIRE(steps.size() == 5);
  CHECK(left_out == 0);
  CHECK(steps[0].repeats() == 1);
  CHECK(steps[1].region() == "b");
  CHECK(steps[1].repeats() == 5);
  CHECK(steps[1].duration_ns() == 2 * (10 + 11 + 12 + 13 + 14));
  CHECK(steps[1].start_ns() == 14);
  CHECK(steps[1].enters_by() == "full");
  CHECK(steps[2].duration_ns() == 1000);
  CHECK(steps[3].enters_by() == "full[0]");
  CHECK(steps[4].region() == "a");
  steps = FoldSteps(pieces, warps, edges, names, 2, 2, &left_out);
  CHECK(steps.size() == 2);
  CHECK(left_out == 3);
}

}  // namespace
}  // namespace sextant::analysis
