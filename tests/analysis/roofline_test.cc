// Roofline, registers and hotspots of recorded kernels.
#include "server/analysis/roofline.h"

#include <cmath>

#include "absl/strings/match.h"
#include "server/analysis/hotspots.h"
#include "server/analysis/registers.h"
#include "tests/analysis/recorded_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

const TestJob& Gemm() {
  static const auto* const job = [] {
    auto* const made = new TestJob;
    AddRecordings("tests/recordings/h200/gemm_ws", made);
    return made;
  }();
  return *job;
}

Evidence OfGemm() {
  v1::Subject subject;
  subject.set_kernel("gemm_ws");
  return Gemm().Gather(subject);
}

TEST_CASE("the roofline of a recorded GEMM has the work of its multiply and the chip's peaks") {
  const auto roofline = MakeRoofline(OfGemm());
  REQUIRE(roofline.ok());
  REQUIRE(roofline->points_size() == 3);
  CHECK(roofline->clean_ns() > 28'000);
  CHECK(roofline->clean_ns() < 31'000);
  for (const v1::RooflinePoint& point : roofline->points()) CHECK(point.work() == 2.0 * 2048 * 2048 * 2048);
  const v1::RooflinePoint& dram = roofline->points(0);
  CHECK(dram.bound_by() == "BF16 tensor");
  CHECK(dram.share() > 0.55);
  CHECK(dram.share() < 0.75);
  // The tensor pipe's own counter agrees with work ÷ peak, at the clock of the counting pass.
  for (const v1::SpeedOfLight& one : roofline->speed_of_light())
    if (one.unit_name() == "tensor pipe") CHECK(one.achieved_pct() == Approx(57).margin(3));
  for (const v1::Ceiling& one : roofline->ceilings())
    if (one.name() == "DRAM bandwidth") CHECK(one.value() == Approx(4.9e12).epsilon(0.02));
}

TEST_CASE("a recorded GEMM's registers are live at its accumulators, and nothing spills") {
  const auto registers = MakeRegisters(OfGemm());
  REQUIRE(registers.ok());
  CHECK(registers->registers() == 168);
  CHECK(registers->max_live() > 128);
  CHECK(registers->max_live() <= 168);
  CHECK(absl::StrContains(registers->peak().where(), ":"));
  CHECK(registers->spill_bytes() == 0);
  CHECK(registers->blocks_per_sm() == 1);
  CHECK(registers->cases_size() >= 3);
  bool passes_registers_on = false;
  for (const std::string& note : registers->basis().notes()) passes_registers_on |= absl::StrContains(note, "setmaxnreg");
  CHECK(passes_registers_on);
}

TEST_CASE("a recorded GEMM's hotspots can be followed from regions to instructions") {
  v1::GetHotspotsRequest request;
  request.set_by("region");
  const auto regions = MakeHotspots(OfGemm(), request);
  REQUIRE(regions.ok());
  REQUIRE(regions->hotspots_size() >= 5);
  CHECK(regions->hotspots(0).name() == "mma");
  CHECK(regions->hotspots(0).time_ns() > 0);
  request.set_by("sass");
  request.set_within("mma");
  const auto instructions = MakeHotspots(OfGemm(), request);
  REQUIRE(instructions.ok());
  CHECK(instructions->total_samples() == regions->hotspots(0).samples());
  CHECK(absl::StrContains(instructions->hotspots(0).text(), "WARPGROUP"));
  request.set_by("line");
  request.set_within("");
  const auto lines = MakeHotspots(OfGemm(), request);
  REQUIRE(lines.ok());
  CHECK(absl::StrContains(lines->hotspots(0).name(), ":"));
}

}  // namespace
}  // namespace sextant::analysis
