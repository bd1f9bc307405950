// Roofline, registers and hotspots of recorded kernels.
#include "server/analysis/roofline.h"

#include <cmath>
#include <map>
#include <set>

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
  std::map<std::string, v1::RooflinePoint> regions;
  for (int i = 3; i < roofline->points_size(); ++i) {
    const v1::RooflinePoint& point = roofline->points(i);
    CHECK(point.level() == "L1");
    regions[point.region()] = point;
  }
  // The product is issued in `mma` and done until the wait for it ends: its rate is not that region's.
  CHECK(regions["mma"].work() == 2.0 * 2048 * 2048 * 2048);
  CHECK(std::isnan(regions["mma"].achieved()));
  CHECK(regions["mma"].bound_by() == "BF16 tensor");
  CHECK(regions["store"].bytes() == 2048 * 2048 * 2);
  CHECK(regions["store"].share() == Approx(0.04).margin(0.01));
  CHECK(std::isnan(regions["load"].bytes()));   // by TMA
  std::set<std::string> questions;
  for (const v1::Abstention& one : roofline->basis().abstentions()) questions.insert(one.question());
  CHECK(questions.contains("the intensity of region load"));
  CHECK(questions.contains("the rate of region mma"));
  CHECK(roofline->clean_ns() > 28'000);
  CHECK(roofline->clean_ns() < 31'000);
  for (int i = 0; i < 3; ++i) CHECK(roofline->points(i).work() == 2.0 * 2048 * 2048 * 2048);
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

TEST_CASE("regions of Triton kernels have points by source line, and their work is the kernel's") {
  const auto points = [](const std::string& example, const std::string& kernel, const std::string& gpu = "h200") {
    TestJob job;
    AddRecordings("tests/recordings/" + gpu + "/" + example, &job);
    AddSources("examples/" + example, &job);
    v1::Subject subject;
    subject.set_kernel(kernel);
    const auto roofline = MakeRoofline(job.Gather(subject));
    REQUIRE(roofline.ok());
    std::map<std::string, v1::RooflinePoint> by_region;
    for (const v1::RooflinePoint& point : roofline->points()) by_region[point.region().empty() ? point.level() : point.region()] = point;
    return by_region;
  };
  auto matmul = points("triton_matmul", "matmul_kernel");
  CHECK(matmul["mainloop"].work() == 2.0 * 1024 * 1024 * 1024);
  CHECK(matmul["mainloop"].work() == matmul["L1"].work());   // that the counters counted
  CHECK(matmul["mainloop"].share() > matmul["L1"].share());
  CHECK(matmul["mainloop"].share() < 0.5);
  CHECK(matmul["epilogue"].bytes() == 1024 * 1024 * 2);
  CHECK(matmul["epilogue"].work() == 0);

  auto attention = points("triton_attention", "attention_kernel");
  double work = 0, bytes = 0;
  for (const char* const region : {"qk", "softmax", "pv", "epilogue"}) {
    INFO(region);
    work += attention[region].work();
    bytes += attention[region].bytes();
    CHECK(attention[region].share() > 0);
    CHECK(attention[region].share() < 1);
  }
  CHECK(attention["softmax"].bound_by() == "FP32");
  CHECK(work < attention["L1"].work());
  CHECK(work > 0.7 * attention["L1"].work());   // a matrix product stands under the line of the loop
  CHECK(bytes == Approx(attention["L1"].bytes()).epsilon(0.05));

  auto other = points("triton_attention", "attention_kernel", "h100");
  CHECK(other["softmax"].bytes() == 0);   // in registers and shared memory
  CHECK(other["softmax"].bound_by() == "FP32");
  CHECK(std::isfinite(other["softmax"].attainable()));
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
