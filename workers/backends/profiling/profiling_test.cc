// Units and opcodes.
#include <string>

#include "proto/opcode/opcode_class.h"
#include "tests/catch.h"
#include "workers/backends/profiling/opcode.h"
#include "workers/backends/profiling/units.h"

namespace sextant::backends::profiling {
namespace {

TEST_CASE("the unit of a metric follows from its dimension and submetric") {
  CHECK(UnitOf("smsp__inst_executed.sum", "instruction") == "instructions");
  CHECK(UnitOf("sm__cycles_active.avg", "gpc_cycle") == "cycles");
  CHECK(UnitOf("lts__t_sectors_op_read.sum", "l2_sector") == "sectors");
  CHECK(UnitOf("dram__bytes_read.sum", "byte") == "bytes");
  CHECK(UnitOf("dram__bytes_read.sum.per_second", "byte") == "bytes/s");
  CHECK(UnitOf("gpu__time_duration.sum", "nanosecond") == "ns");
  CHECK(UnitOf("sm__inst_executed.avg.per_cycle_active", "instruction/gpc_cycle") ==
        "instructions/cycle");
  CHECK(UnitOf("smsp__warps_active.avg.per_cycle_active", "warp") == "warps/cycle");
  CHECK(UnitOf("sm__warps_active.avg.pct_of_peak_sustained_active", "percent") == "%");
  CHECK(UnitOf("lts__t_sector_hit_rate.pct", "") == "%");
  CHECK(UnitOf("smsp__thread_inst_executed_per_inst_executed.ratio", "") == "");
  CHECK(UnitOf("TPC.TriageCompute.sm__cycles_active.avg.pct_of_peak_sustained_elapsed",
               "percent") == "%");
}

TEST_CASE("values of several launches are summed, compared or averaged by their rollup") {
  CHECK(MergeOf("dram__bytes_read.sum") == Merge::kSum);
  CHECK(MergeOf("sm__cycles_elapsed.max") == Merge::kMax);
  CHECK(MergeOf("sm__cycles_elapsed.min") == Merge::kMin);
  CHECK(MergeOf("sm__cycles_active.avg") == Merge::kMean);
  CHECK(MergeOf("dram__bytes_read.sum.per_second") == Merge::kMean);
  CHECK(MergeOf("FBSP.TriageCompute.dramc__read_bytes.sum") == Merge::kSum);
}

std::string Opcode(uint16_t code, uint32_t architecture = 90) {
  // Bits above the low 12 are a predicate and operands.
  const uint8_t instruction[kInstructionBytes] = {static_cast<uint8_t>(code),
                                                  static_cast<uint8_t>(code >> 8 | 0x70), 0x11};
  return std::string(OpcodeOf(instruction, architecture));
}

TEST_CASE("an opcode is read from the bytes of an instruction") {
  CHECK(Opcode(0x223) == "FFMA");
  CHECK(Opcode(0x981) == "LDG");
  CHECK(Opcode(0x9f0) == "HGMMA");
  CHECK(Opcode(0x387) == "STL");
  // A form of the operands that was never met, of an operation that was.
  CHECK(Opcode(0x623) == "FFMA");
  CHECK(Opcode(0x000) == "");
  CHECK(Opcode(0x223, 100) == "");
  CHECK(Opcode(0x223, 61) == "");
}

TEST_CASE("every opcode has a class") {
  for (uint32_t code = 0; code < 4096; ++code) {
    const std::string opcode = Opcode(static_cast<uint16_t>(code));
    if (opcode.empty() || opcode == "QSPC") continue;
    INFO(opcode);
    CHECK(sextant::opcode::ClassOf(opcode) != "other");
  }
}

}  // namespace
}  // namespace sextant::backends::profiling
