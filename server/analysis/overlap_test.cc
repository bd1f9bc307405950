#include "server/analysis/overlap.h"

#include "server/analysis/synthetic.h"

namespace sextant::analysis {
namespace {

const v1::RoleOverlap& Row(const std::vector<v1::RoleOverlap>& rows, const std::string& region,
                           const std::string& other_role, const std::string& other_region) {
  for (const v1::RoleOverlap& row : rows)
    if (row.region() == region && row.other_role() == other_role && row.other_region() == other_region) return row;
  FAIL("no row of " << region << " with " << other_role << "/" << other_region);
  return rows.front();
}

enum : uint32_t { kLoad, kMma, kWait, kTile };

}  // namespace

TEST_CASE("how much of the loads is hidden under the computation") {
  std::vector<SyntheticPass> passes;
  for (int pass = 0; pass < 3; ++pass) {
    SyntheticPass trace({"load", "mma", "wait full", "tile"}, v1::CYCLES, 0.5);
    for (uint32_t cta = 0; cta < 4; ++cta) {
      // Two loaders: their times [0, 100) and [50, 200) are one of 200. One consumer waits until 120.
      const uint32_t a = trace.Warp("producer", {.cta = cta, .warp = 0, .origin_ns = 1000 * cta});
      const uint32_t b = trace.Warp("producer", {.cta = cta, .warp = 1, .origin_ns = 1000 * cta});
      const uint32_t c = trace.Warp("consumer", {.cta = cta, .warp = 2, .origin_ns = 1000 * cta});
      trace.Did(a, kLoad, 0, 100).Did(b, kLoad, 50, 150);
      trace.Did(c, kTile, 0, 400).Did(c, kWait, 0, 120).Did(c, kMma, 120, 200);
    }
    passes.push_back(std::move(trace));
  }
  const auto rows = Overlaps(SampleOf(passes));
  const v1::RoleOverlap& mma = Row(rows, "load", "consumer", "mma");
  CHECK(mma.busy_ns() == 100);
  CHECK(mma.both_ns() == 40);
  CHECK(mma.hidden_share() == Approx(0.4));
  CHECK(mma.exposed_ns() == 60);
  // The tile encloses the wait, in which the consumer does no work.
  CHECK(Row(rows, "load", "consumer", "").both_ns() == 40);
  CHECK(Row(rows, "load", "consumer", "tile").both_ns() == 100);
  CHECK(Row(rows, "load", "consumer", "wait full").both_ns() == 60);
  CHECK(Row(rows, "mma", "producer", "").hidden_share() == Approx(0.4));
  for (const auto& row : rows) CHECK(row.role() != row.other_role());
  CHECK(rows[0].region() == "tile");
}

TEST_CASE("warps of one CTA that begin at different times are placed by their origins") {
  SyntheticPass trace({"load", "mma"}, v1::CYCLES, 0.5);
  const uint32_t a = trace.Warp("producer", {.warp = 0, .origin_ns = 100});
  const uint32_t b = trace.Warp("consumer", {.warp = 1, .origin_ns = 140});
  trace.Did(a, kLoad, 0, 100).Did(b, kMma, 0, 100);   // [100, 150) and [140, 190) ns
  CHECK(Row(Overlaps(SampleOf({trace})), "load", "consumer", "mma").both_ns() == 10);
}

TEST_CASE("CTAs do not overlap with each other, and one role overlaps with itself where it is alone") {
  SyntheticPass trace({"load", "mma"}, v1::CYCLES);
  for (uint32_t cta = 0; cta < 2; ++cta) {
    const uint32_t a = trace.Warp("worker", {.cta = cta, .warp = 0});
    const uint32_t b = trace.Warp("worker", {.cta = cta, .warp = 1});
    trace.Did(a, kLoad, 0, 100).Did(a, kMma, 100, 100);
    trace.Did(b, kLoad, 60, 100).Did(b, kMma, 160, 100);
  }
  const auto rows = Overlaps(SampleOf({trace}));
  REQUIRE(rows.size() == 2);
  CHECK(Row(rows, "load", "worker", "mma").busy_ns() == 160);
  CHECK(Row(rows, "load", "worker", "mma").both_ns() == 60);
}

TEST_CASE("the median CTA speaks, and nothing recorded has no overlap") {
  SyntheticPass trace({"load", "mma"}, v1::CYCLES);
  for (uint32_t cta = 0; cta < 5; ++cta) {
    const uint32_t a = trace.Warp("producer", {.cta = cta, .warp = 0});
    const uint32_t b = trace.Warp("consumer", {.cta = cta, .warp = 1});
    trace.Did(a, kLoad, 0, 100).Did(b, kMma, 20 * cta, 1000);
  }
  CHECK(Row(Overlaps(SampleOf({trace})), "load", "consumer", "mma").both_ns() == 60);
  CHECK(Overlaps(TraceSample()).empty());
}

}  // namespace sextant::analysis
