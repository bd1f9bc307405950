// Pictures are compared with testdata/*.txt. After an intended change:
//   SEXTANT_BLESS=1 cli_test "picture*"      writes them anew; look at the difference before committing
#include "client/cli/picture.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/axis.h"
#include "client/cli/text.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace {

void CheckGolden(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat("client/cli/testdata/", name, ".txt");
  if (std::getenv("SEXTANT_BLESS") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string expected{std::istreambuf_iterator<char>(file), {}};
  CHECK(text == expected);
}

// One instance whose edges vary by `jitter` around their medians.
void AddInstance(v1::RoleLane& lane, const std::string& region, double start, double end, double jitter,
                 uint32_t depth = 0) {
  v1::InstanceStat& stat = *lane.add_instances();
  stat.set_region(region);
  stat.set_depth(depth);
  uint64_t ordinal = 0;
  for (const auto& other : lane.instances()) ordinal += other.region() == region ? 1 : 0;
  stat.set_ordinal(ordinal - 1);
  stat.set_count(20);
  stat.set_passes(20);
  for (double shift : {-jitter, 0.0, jitter}) {
    stat.add_start_ns(start + shift);
    stat.add_end_ns(end + shift * 1.5);
    stat.add_duration_ns(end - start + shift * 0.5);
  }
}

v1::RegionAggregate& AddAggregate(v1::Timeline& t, const std::string& role, const std::string& region,
                                  uint64_t count, double p50, double spread) {
  v1::RegionAggregate& r = *t.add_regions();
  r.set_role(role);
  r.set_region(region);
  r.set_count(count);
  for (double f : {1 - spread / 2, 1.0, 1 + spread / 2}) r.add_duration_ns(p50 * f);
  r.set_sum_ns(p50 * count);
  r.set_relative_error(0.01);
  return r;
}

v1::Timeline Base(double span_ns) {
  v1::Timeline t;
  t.set_job_id(7);
  t.set_task("profile");
  t.set_program("async_pipeline");
  t.set_passes(20);
  t.set_events(1840);
  for (double q : {0.2, 0.5, 0.8}) t.add_quantiles(q);
  for (double f : {0.97, 1.0, 1.05}) t.add_span_ns(span_ns * f);
  v1::Provenance& p = *t.add_provenance();
  p.set_cpu_model("Example CPU @ 2.40GHz");
  p.set_cpu_cores(2);
  p.set_kernel("6.1.0");
  p.set_sandbox("bwrap 0.8.0");
  p.set_backend("host");
  p.set_worker("node-1");
  return t;
}

// Loaders fill buffers, compute threads empty them; compute holds two nested regions.
v1::Timeline Pipeline() {
  v1::Timeline t = Base(12e6);
  v1::RoleLane& loader = *t.add_lanes();
  loader.set_role("loader");
  loader.set_tracks(2);
  loader.set_alignment_confidence(1);
  loader.set_alignment("exact");
  v1::RoleLane& compute = *t.add_lanes();
  compute.set_role("compute");
  compute.set_tracks(3);
  compute.set_alignment_confidence(0.93);
  compute.set_alignment("role: 7 % of the instances changed their order between passes");
  v1::RoleLane& epilogue = *t.add_lanes();
  epilogue.set_role("epilogue");
  epilogue.set_tracks(1);
  epilogue.set_alignment_confidence(1);
  for (int i = 0; i < 6; ++i) {
    const double at = 0.2e6 + i * 1.8e6, jitter = 0.03e6 + i * 0.03e6;
    AddInstance(loader, "wait_empty", at, at + 0.5e6, jitter);
    AddInstance(loader, "load", at + 0.5e6, at + 1.75e6, jitter);
    AddInstance(compute, "compute", at + 0.7e6, at + 2.3e6, jitter);
    AddInstance(compute, "mma", at + 0.8e6, at + 1.6e6, jitter, 1);
    AddInstance(compute, "scale", at + 1.65e6, at + 2.2e6, jitter, 1);
  }
  AddInstance(epilogue, "store", 11.2e6, 12.0e6, 0.2e6);
  AddAggregate(t, "compute", "scale", 360, 0.55e6, 0.2);
  AddAggregate(t, "compute", "mma", 360, 0.8e6, 0.11);
  AddAggregate(t, "compute", "compute", 360, 1.6e6, 0.1);
  AddAggregate(t, "loader", "load", 240, 1.25e6, 0.3);
  AddAggregate(t, "loader", "wait_empty", 240, 0.5e6, 0.9);
  v1::RegionAggregate& store = AddAggregate(t, "epilogue", "store", 20, 0.8e6, 0.05);
  v1::Counter& counter = *store.add_counters();
  counter.set_name("instructions");
  counter.set_unit("instructions");
  counter.set_value(2.5e7);
  counter.set_instances(20);
  t.add_notes("pass 12 is partial: the program ended with signal 11");
  return t;
}

// Thousands of short instances, as a real loop gives them.
v1::Timeline Many() {
  v1::Timeline t = Base(90e6);
  std::mt19937 random(1);
  std::uniform_real_distribution<double> vary(0.7, 1.3);
  for (const std::string role : {"producer", "consumer"}) {
    v1::RoleLane& lane = *t.add_lanes();
    lane.set_role(role);
    lane.set_tracks(4);
    lane.set_alignment_confidence(0.999);
    double at = 1e6;
    for (int i = 0; i < 1200; ++i) {
      const double busy = 50e3 * vary(random), idle = (i < 600 ? 8e3 : 30e3) * vary(random);
      AddInstance(lane, role == "producer" ? "load" : "compute", at, at + busy, 2e3);
      AddInstance(lane, "wait", at + busy, at + busy + idle, 2e3);
      at += busy + idle;
    }
    AddAggregate(t, role, role == "producer" ? "load" : "compute", 24000, 50e3, 0.4);
    AddAggregate(t, role, "wait", 24000, 14e3, 1.4);
  }
  return t;
}

// Without SGR sequences.
std::string Plain(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = text.find('m', i);
      continue;
    }
    out += text[i];
  }
  return out;
}

TEST_CASE("picture: bars, whiskers, nesting, table and notes in plain Unicode") {
  CheckGolden("pipeline_unicode", DrawTimeline(Pipeline(), {100, false, true}));
}

TEST_CASE("picture: the same in ASCII holds ASCII alone") {
  const std::string text = DrawTimeline(Pipeline(), {100, false, false});
  CheckGolden("pipeline_ascii", text);
  for (char c : text) CHECK(static_cast<unsigned char>(c) < 0x80);
}

TEST_CASE("picture: in colour every line ends without colour") {
  const std::string text = DrawTimeline(Pipeline(), {120, true, true});
  CheckGolden("pipeline_color", text);
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(text, '\n'))) {
    const size_t last = line.rfind("\x1b[");
    CHECK((last == std::string::npos || line.substr(last, 4) == "\x1b[0m"));
  }
}

TEST_CASE("picture: thousands of short instances fold into shares of time") {
  CheckGolden("many_unicode", DrawTimeline(Many(), {100, false, true}));
}

TEST_CASE("picture: a narrow terminal still shows everything that fits") {
  CheckGolden("pipeline_narrow", DrawTimeline(Pipeline(), {60, false, true}));
}

TEST_CASE("picture: no line is wider than asked for") {
  for (int width : {60, 80, 100, 132, 200}) {
    for (bool color : {false, true}) {
      for (const v1::Timeline& t : {Pipeline(), Many()}) {
        const Legend legend(t);
        const std::string lanes = DrawLanes(t, legend, {width, color, true});
        for (const std::string& line : std::vector<std::string>(absl::StrSplit(Plain(lanes), '\n'))) {
          INFO(line);
          CHECK(Columns(line) <= static_cast<size_t>(width));
        }
      }
    }
  }
}

TEST_CASE("picture: names from the program cannot act on the terminal") {
  v1::Timeline t = Pipeline();
  t.set_program("evil\x1b]0;title\x07");
  t.mutable_lanes(0)->set_role("role\x1b[2J\n");
  t.mutable_lanes(0)->mutable_instances(0)->set_region("re\x1b[31mgion\r");
  t.add_notes("note\x1b[5m");
  t.mutable_provenance(0)->set_cpu_model("cpu\x1b[0m\xe2\x80\xae");
  const std::string text = DrawTimeline(t, {100, false, true});
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\x07') == std::string::npos);
  CHECK(text.find("\xe2\x80\xae") == std::string::npos);
}

TEST_CASE("picture: an empty timeline and missing numbers are said, not drawn") {
  v1::Timeline empty;
  empty.set_job_id(3);
  CHECK(DrawTimeline(empty, {}).find("No region was recorded") != std::string::npos);
  v1::Timeline t = Base(1e6);
  v1::RoleLane& lane = *t.add_lanes();
  lane.set_role("r");
  lane.add_instances()->set_region("no numbers");
  AddInstance(lane, "nan", std::nan(""), std::nan(""), 0);
  AddInstance(lane, "good", 0, 1e6, 0);
  CHECK(DrawTimeline(t, {}).find("good") != std::string::npos);
}

TEST_CASE("picture: one quantile alone draws bars without whiskers") {
  v1::Timeline t = Base(1e6);
  t.clear_quantiles();
  t.add_quantiles(0.5);
  v1::RoleLane& lane = *t.add_lanes();
  lane.set_role("r");
  v1::InstanceStat& stat = *lane.add_instances();
  stat.set_region("only");
  stat.add_start_ns(1e5);
  stat.add_end_ns(9e5);
  const std::string text = DrawTimeline(t, {80, false, true});
  CHECK(text.find("only████") != std::string::npos);
  CHECK(text.find("▒") == std::string::npos);
}

TEST_CASE("picture: buckets are drawn over time, empty ones are blank") {
  v1::Timeline t = Base(1e6);
  t.set_bucket_ns(100'000);
  v1::BucketSeries& series = *t.add_buckets();
  series.set_region("load");
  for (int i = 0; i < 8; ++i) {
    series.add_counts(i == 3 ? 0 : 10);
    for (int q = 0; q < 3; ++q) series.add_duration_ns(i == 3 ? std::nan("") : 1000.0 * (i + 1));
  }
  const std::string text = DrawBuckets(t, Legend(t), {80, false, true});
  CHECK(text.find("▁▂▃ ▅▆▇█") != std::string::npos);
  CHECK(text.find("1.00 µs to 8.00 µs") != std::string::npos);
}

TEST_CASE("an axis begins at zero when that costs little, and its ticks are round") {
  const Axis axis(1e6, 12.6e6, 100, true);
  CHECK(axis.begin_ns() == 0);
  REQUIRE(axis.ticks().size() >= 5);
  CHECK(axis.ticks()[0].label == "0");
  CHECK(axis.ticks()[1].label == "2 ms");
  const Axis late(300e6, 312e6, 100, true);
  CHECK(late.begin_ns() >= 298e6);
  const Axis tiny(0, 0, 50, false);
  CHECK(tiny.Boundary(1e12) == 50);
}

}  // namespace
TEST_CASE("picture of a loop: one iteration instead of ten thousand instances") {
  v1::Timeline t;
  t.set_job_id(3);
  t.set_passes(20);
  for (double q : {0.2, 0.5, 0.8}) t.add_quantiles(q);
  v1::RoleLane& lane = *t.add_lanes();
  lane.set_role("consumer");
  lane.set_tracks(4);
  lane.set_alignment_confidence(1);
  for (int k = 0; k < 100; ++k) {
    AddInstance(lane, "wait full", 200 + 100 * k, 230 + 100 * k, 2);
    AddInstance(lane, "mma", 230 + 100 * k, 300 + 100 * k, 2);
  }
  v1::RoleLane& few = *t.add_lanes();
  few.set_role("scheduler");
  few.set_tracks(1);
  few.set_alignment_confidence(1);
  AddInstance(few, "plan", 0, 300, 1);
  v1::LoopFold& fold = *t.add_loops();
  fold.set_role("consumer");
  fold.add_regions("wait full");
  fold.add_regions("mma");
  fold.set_iterations(10'000);
  fold.set_prologue_iterations(2);
  fold.set_steady_share(0.97);
  for (int i = 0; i < 3; ++i) {
    fold.add_period_ns(98 + 2 * i);
    fold.add_prologue_ns(240 + 10 * i);
    fold.add_steady_ns(9'000 + 100 * i);
    fold.add_epilogue_ns(800);
  }
  const auto add = [&](const char* region, double start, double duration, uint32_t depth) {
    v1::LoopRegion& one = *fold.add_iteration();
    one.set_region(region);
    one.set_depth(depth);
    one.set_count(1000);
    for (int i = -1; i <= 1; ++i) {
      one.add_start_ns(start + i);
      one.add_duration_ns(duration + 3 * i);
    }
  };
  add("wait full", 0, 30, 0);
  add("mma", 30, 70, 0);
  add("issue", 35, 15, 1);
  v1::RoleOverlap& overlap = *t.add_overlaps();
  overlap.set_role("consumer");
  overlap.set_region("mma");
  overlap.set_other_role("scheduler");
  overlap.set_busy_ns(7000);
  overlap.set_both_ns(70);
  overlap.set_hidden_share(0.01);
  overlap.set_exposed_ns(6930);
  const Style style{.width = 100, .color = false, .unicode = true};
  CheckGolden("picture_loop", DrawTimeline(t, style));
  t.clear_loops();
  CHECK(DrawTimeline(t, style).find("one iteration") == std::string::npos);
}

}  // namespace sextant::cli
