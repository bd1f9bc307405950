// What one SASS instruction does: arithmetic, and bytes asked of L1. From its opcode alone, so that regions and lines have
// work where counters only tell of the whole kernel.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/analysis/sass.h"

namespace sextant::analysis {

struct InstructionWork {
  // Of roofline's types of work: "FP32", "FP16 tensor"; "": no arithmetic that is counted.
  std::string_view type;
  double flop_of_thread = 0;    // an add is one, a fused multiply-add two; of each thread that is not predicated off
  double flop_of_warp = 0;      // tensor cores: of a warp
  double bytes_of_thread = 0;   // global and local memory, and what is copied from there to shared memory through L1
  bool bulk_copy = false;       // TMA: how much it copies is in its descriptor, not in the code
};

// HMMA.16816: m × n × k with two operations each (PTX ISA, "mma"); HGMMA.64x128x16: of four warps together ("wgmma").
InstructionWork WorkOf(const SassInstruction& one);

}  // namespace sextant::analysis
