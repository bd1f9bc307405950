// How many warps of a kernel fit on a multiprocessor, by calculation: workers put it beside launches, the server asks what a
// change would give.
#pragma once

#include <cstdint>

namespace sextant::occupancy {

// What a multiprocessor has. Where the device can be asked, from it; the granularities of allocation follow from the
// compute capability.
struct Multiprocessor {
  uint32_t major = 0, minor = 0;  // compute capability
  uint32_t warp_threads = 32;
  uint32_t max_warps = 0;
  uint32_t max_blocks = 0;
  uint32_t max_registers = 0;
  uint32_t max_shared_bytes = 0;
  uint32_t max_block_registers = 0;
  uint32_t max_block_threads = 0;
};

// By compute capability, 90 for 9.0, from the CUDA C++ Programming Guide's table of technical specifications; max_warps is
// 0 where it is not known.
Multiprocessor MultiprocessorOf(uint32_t compute_capability);

struct BlockNeeds {
  uint64_t threads = 0;
  uint32_t registers = 0;     // of a thread
  uint64_t shared_bytes = 0;  // static and dynamic
};

enum class Limiter { kNone, kWarps, kBlocks, kRegisters, kShared };
const char* NameOf(Limiter limiter);  // "warps", …; "" for kNone

struct Occupancy {
  uint32_t blocks = 0;  // of the kernel on one multiprocessor at a time
  double percent = 0;   // its warps over max_warps, 0…100
  Limiter limiter = Limiter::kNone;
};

// The rules are those of the CUDA C++ Programming Guide ("Hardware Implementation" and the table of
// technical specifications per compute capability), for compute capability 7.0 and newer:
// registers are given to warps in units of 256 on each of four sub-partitions, shared memory in
// units of 256 bytes (7.x) or 128 (8.0 on), of which 1 KiB a block is the system's (8.0 on). Among
// equal limits the first of warps, blocks, registers, shared is named. Nothing fits: 0 blocks and
// the limiter that forbids it. The shared memory counted on is all that there is, as the driver
// gives it by default.
Occupancy CalculateOccupancy(const Multiprocessor& multiprocessor, const BlockNeeds& block);

}  // namespace sextant::occupancy
