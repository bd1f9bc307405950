#include "server/analysis/trace_sample.h"

#include <set>

#include "server/analysis/aligner.h"
#include "server/analysis/synthetic.h"

namespace sextant::analysis {
namespace {

// `ctas` CTAs of two warps, each with `each` instances, in one launch.
SyntheticPass Grid(uint32_t ctas, uint64_t each, const std::string& role = "worker") {
  SyntheticPass trace({"load", "mma"}, v1::CYCLES, 0.5);
  for (uint32_t cta = 0; cta < ctas; ++cta) {
    for (uint32_t warp = 0; warp < 2; ++warp) {
      const uint32_t track =
          trace.Warp(role, {.cta = cta, .sm = cta % 4, .warp = warp, .origin_ns = 1000 + 10 * cta});
      for (uint64_t i = 0; i < each; ++i) trace.Did(track, i % 2, 100 * i, 50 + cta);
    }
  }
  return trace;
}

std::set<uint32_t> CtasOf(const SampledPass& pass) {
  std::set<uint32_t> ctas;
  for (const SampledTrack& track : pass.tracks) ctas.insert(track.track.cta);
  return ctas;
}

std::vector<std::string> Names(const TraceSample& sample) {
  std::vector<std::string> names;
  for (const SampledLane& lane : sample.lanes) names.push_back(lane.name);
  return names;
}

}  // namespace

TEST_CASE("what fits is kept whole") {
  const TraceSample sample = SampleOf({Grid(10, 20), Grid(10, 20)});
  CHECK(sample.whole());
  CHECK(sample.Describe().empty());
  CHECK(sample.events == 800);
  REQUIRE(sample.passes.size() == 2);
  CHECK(sample.passes[0].tracks.size() == 20);
  CHECK(sample.passes[0].tracks[3].instances.size() == 20);
  CHECK(sample.passes[0].ctas.size() == 10);
  CHECK(sample.passes[0].ctas[2].start_ns == 1020);
  CHECK(sample.passes[0].ctas[2].end_ns == 1020 + (1900 + 52) / 2);
  CHECK(sample.passes[0].ctas[2].sm == 2);
}

TEST_CASE("too many CTAs: whole ones are left out, the same ones of every pass, whatever the order of chunks") {
  const PassSampler::Options few{.max_instances = 1000};
  const std::vector<SyntheticPass> passes = {Grid(400, 20), Grid(400, 20), Grid(396, 20)};
  const TraceSample sample = SampleOf(passes, few, 5000);
  CHECK_FALSE(sample.whole());
  CHECK(sample.level > 0);
  CHECK(sample.kept <= 3000);
  CHECK(sample.events == 2 * 20 * (400 + 400 + 396));
  const std::set<uint32_t> ctas = CtasOf(sample.passes[0]);
  CHECK(ctas.size() >= 8);
  CHECK(ctas.contains(0));
  CHECK(CtasOf(sample.passes[1]) == ctas);
  for (const SampledPass& pass : sample.passes)
    for (const SampledTrack& track : pass.tracks) CHECK(track.instances.size() == 20);
  CHECK(CtasOf(SampleOf(passes, few, 333).passes[2]) == CtasOf(sample.passes[2]));
  // Spans and counts are of all of them.
  CHECK(sample.passes[0].ctas.size() == 400);
  CHECK_THAT(sample.Describe(), Catch::StartsWith("1 in "));
  uint64_t total = 0;
  for (const auto& [key, count] : sample.passes[0].totals) total += count;
  CHECK(total == 400 * 2 * 20);
  // A sample aligns like the whole.
  const auto lanes = Align(sample, {.from_cta = true}, {{0.5}});
  REQUIRE(lanes.size() == 1);
  CHECK(lanes[0].instances_size() == 20);
  CHECK(lanes[0].instances_left_out() == 0);
}

TEST_CASE("few long CTAs: their warps are shortened instead") {
  const TraceSample sample = SampleOf({Grid(2, 5000)}, {.max_instances = 1000}, 2000);
  CHECK(sample.level == 0);
  CHECK(sample.most_per_track >= 64);
  CHECK(sample.kept <= 1000);
  CHECK(sample.passes[0].tracks.size() == 4);
  CHECK_THAT(sample.Describe(), Catch::StartsWith("the first "));
  CHECK_FALSE(sample.passes[0].tracks[0].complete);
  CHECK(sample.passes[0].tracks[0].counts[0].second == 2500);
}

TEST_CASE("warps that name no role but record the same regions are one role") {
  std::vector<SyntheticPass> passes;
  for (uint32_t pass = 0; pass < 3; ++pass) {
    SyntheticPass trace({"load", "wait full", "mma", "store", "rare"}, v1::CYCLES);
    for (uint32_t cta = 0; cta < 8; ++cta) {
      for (uint32_t warp = 0; warp < 4; ++warp) {
        const uint32_t track = trace.Warp("", {.cta = cta, .warp = warp});
        if (warp == 0) {
          trace.Did(track, 0, 10, 5);
        } else {
          trace.Did(track, 1, 10, 5).Did(track, 2, 20, 5).Did(track, 3, 30, 5);
          if (cta == 3 && warp == 2 && pass == 1) trace.Did(track, 4, 40, 1);   // does not make a role
        }
      }
    }
    passes.push_back(std::move(trace));
  }
  const TraceSample sample = SampleOf(passes);
  CHECK(Names(sample) == std::vector<std::string>{"role 0 (load)", "role 1 (wait full, mma, store)"});
  const auto lanes = Align(sample, {.from_cta = true}, {{0.5}});
  REQUIRE(lanes.size() == 2);
  CHECK(lanes[1].tracks() == 24);
  CHECK_THAT(lanes[1].alignment(), Catch::Contains("role inferred: warps 1, 2, 3 record the same regions"));
  CHECK(Align(sample, {.roles = {"role 0 (load)"}}, {{0.5}}).size() == 1);
}

TEST_CASE("warps that lost records do not make a role of their own") {
  SyntheticPass trace({"load", "mma"}, v1::CYCLES);
  for (uint32_t warp = 0; warp < 3; ++warp) {
    const bool lossy = warp == 0;
    for (uint32_t cta = 0; cta < 3; ++cta) {
      const bool lost = lossy && cta > 0;
      const uint32_t track = trace.Warp("", {.cta = cta, .warp = warp, .dropped = lost ? 5u : 0u, .from_tail = lost});
      if (!lost) trace.Did(track, 0, 10, 5);
      trace.Did(track, 1, 20, 5);
    }
  }
  CHECK(Names(SampleOf({trace})) == std::vector<std::string>{"role 0 (load, mma)"});
}

TEST_CASE("where what a warp does depends on its CTA, roles are told apart CTA by CTA") {
  SyntheticPass trace({"copy", "notify", "reduce", "await"}, v1::CYCLES);
  for (uint32_t cta = 0; cta < 6; ++cta) {
    const uint32_t track = trace.Warp("", {.cta = cta, .warp = 0});
    if (cta % 2 == 0) trace.Did(track, 0, 10, 5).Did(track, 1, 20, 5);
    else trace.Did(track, 2, 10, 5).Did(track, 3, 20, 5);
  }
  const TraceSample sample = SampleOf({trace});
  CHECK(Names(sample) == std::vector<std::string>{"role 0 (copy, notify)", "role 1 (reduce, await)"});
  CHECK_THAT(sample.lanes[0].why, Catch::EndsWith("in some CTAs"));
  for (const SampledTrack& track : sample.passes[0].tracks) CHECK(track.lane == track.track.cta % 2);
}

TEST_CASE("one kernel of several can be read alone, and two that share a short name stay apart") {
  const Kernels kernels = {{0, "void gemm<float>(int)"}, {1, "void gemm<half>(int)"}, {2, "copy(int)"}};
  SyntheticPass trace({"r"}, v1::CYCLES);
  for (uint32_t launch = 0; launch < 3; ++launch)
    trace.Did(trace.Warp("worker", {.launch = launch}), 0, 0, 10 * (launch + 1));
  const TraceSample all = SampleOf({trace}, {.kernels = &kernels});
  CHECK(Names(all) == std::vector<std::string>{"void gemm<float>(int) · worker", "void gemm<half>(int) · worker",
                                               "copy · worker"});
  const TraceSample one = SampleOf({trace}, {.kernels = &kernels, .kernel = "copy"});
  CHECK(one.events == 1);
  CHECK(one.passes[0].tracks[0].instances[0].duration == 30);
  CHECK(SampleOf({trace}, {.kernels = &kernels, .kernel = "gemm"}).events == 2);
  CHECK(SampleOf({trace}, {.kernels = &kernels, .kernel = "void gemm<half>(int)"}).events == 1);
  CHECK(SampleOf({trace}, {.kernels = &kernels, .kernel = "other"}).events == 0);
}

TEST_CASE("a thousand kernels have a thousand lanes") {
  Kernels kernels;
  SyntheticPass trace({"r"}, v1::CYCLES);
  for (uint32_t launch = 0; launch < 1000; ++launch) {
    kernels[launch] = "kernel" + std::to_string(launch) + "(int)";
    trace.Did(trace.Warp("worker", {.launch = launch}), 0, 0, 10);
  }
  const auto lanes = Align(SampleOf({trace, trace}, {.kernels = &kernels}), {.from_cta = true}, {{0.5}});
  REQUIRE(lanes.size() == 1000);
  CHECK(lanes[7].alignment_confidence() == 1);
}

}  // namespace sextant::analysis
