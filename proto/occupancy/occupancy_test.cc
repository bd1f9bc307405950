// Occupancy as NVIDIA's calculator gives it (CUDA Occupancy Calculator; cudaOccupancyMax… on the
// same limits): multiprocessors by compute capability, from the programming guide's table.
#include "proto/occupancy/occupancy.h"

#include <string>

#include "tests/catch.h"

namespace sextant::occupancy {
namespace {

Multiprocessor Sm(uint32_t major, uint32_t minor, uint32_t warps, uint32_t blocks,
                  uint32_t shared_kib) {
  return {.major = major,
          .minor = minor,
          .max_warps = warps,
          .max_blocks = blocks,
          .max_registers = 65536,
          .max_shared_bytes = shared_kib * 1024,
          .max_block_registers = 65536,
          .max_block_threads = 1024};
}

const Multiprocessor kV100 = Sm(7, 0, 64, 32, 96);
const Multiprocessor kT4 = Sm(7, 5, 32, 16, 64);
const Multiprocessor kA100 = Sm(8, 0, 64, 32, 164);
const Multiprocessor kA10 = Sm(8, 6, 48, 16, 100);
const Multiprocessor kL4 = Sm(8, 9, 48, 24, 100);
const Multiprocessor kH100 = Sm(9, 0, 64, 32, 228);
const Multiprocessor kB200 = Sm(10, 0, 64, 32, 228);
const Multiprocessor kRtx50 = Sm(12, 0, 48, 24, 100);

void CheckOccupancy(const Multiprocessor& sm, BlockNeeds block, uint32_t blocks, double percent,
                    const std::string& limiter) {
  INFO("sm_" << sm.major << sm.minor << ", " << block.threads << " threads, " << block.registers
             << " registers, " << block.shared_bytes << " bytes");
  const Occupancy occupancy = CalculateOccupancy(sm, block);
  CHECK(occupancy.blocks == blocks);
  CHECK(occupancy.percent == Approx(percent));
  CHECK(NameOf(occupancy.limiter) == limiter);
}

TEST_CASE("warps limit a kernel that needs little") {
  CheckOccupancy(kV100, {256, 32, 0}, 8, 100, "warps");
  CheckOccupancy(kT4, {256, 32, 0}, 4, 100, "warps");
  CheckOccupancy(kA100, {256, 32, 0}, 8, 100, "warps");
  CheckOccupancy(kA10, {256, 32, 0}, 6, 100, "warps");
  CheckOccupancy(kL4, {1024, 32, 0}, 1, 200.0 / 3, "warps");
  CheckOccupancy(kH100, {1024, 32, 0}, 2, 100, "warps");
  CheckOccupancy(kB200, {768, 32, 0}, 2, 75, "warps");
  CheckOccupancy(kRtx50, {768, 32, 0}, 2, 100, "warps");
}

TEST_CASE("blocks limit a kernel of small blocks") {
  CheckOccupancy(kH100, {32, 16, 0}, 32, 50, "blocks");
  CheckOccupancy(kT4, {32, 16, 0}, 16, 50, "blocks");
  CheckOccupancy(kL4, {32, 16, 0}, 24, 50, "blocks");
  CheckOccupancy(kA10, {33, 16, 0}, 16, 100.0 * 32 / 48, "blocks");
}

TEST_CASE("registers are given to warps in units of 256, on four sub-partitions") {
  CheckOccupancy(kH100, {256, 64, 0}, 4, 50, "registers");
  CheckOccupancy(kH100, {128, 255, 0}, 2, 12.5, "registers");
  // 33 registers take 40: 12 warps a sub-partition, 48 in all.
  CheckOccupancy(kH100, {256, 33, 0}, 6, 75, "registers");
  // 5 warps a block: 40 warps fit, in 8 blocks.
  CheckOccupancy(kH100, {160, 48, 0}, 8, 62.5, "registers");
  CheckOccupancy(kA100, {1024, 65, 0}, 0, 0, "registers");
}

TEST_CASE("shared memory is counted with the system's part") {
  CheckOccupancy(kH100, {128, 32, 48 * 1024}, 4, 25, "shared");
  CheckOccupancy(kH100, {128, 32, 227 * 1024}, 1, 6.25, "shared");
  CheckOccupancy(kA100, {128, 32, 48 * 1024}, 3, 18.75, "shared");
  CheckOccupancy(kV100, {128, 32, 48 * 1024}, 2, 12.5, "shared");  // no part for the system
  CheckOccupancy(kL4, {128, 32, 99 * 1024}, 1, 100.0 / 12, "shared");
  CheckOccupancy(kH100, {128, 32, 228 * 1024}, 0, 0, "shared");
}

TEST_CASE("what no device takes is 0 and not an error") {
  CheckOccupancy(kH100, {2048, 32, 0}, 0, 0, "warps");
  CheckOccupancy(kH100, {0, 32, 0}, 0, 0, "");
  CheckOccupancy({}, {256, 32, 0}, 0, 0, "");
}

TEST_CASE("multiprocessors are known by their compute capability, others are not") {
  CHECK(MultiprocessorOf(90).max_shared_bytes == kH100.max_shared_bytes);
  CHECK(MultiprocessorOf(90).max_warps == kH100.max_warps);
  CHECK(MultiprocessorOf(89).max_blocks == kL4.max_blocks);
  CHECK(MultiprocessorOf(12).max_warps == 0);
}

}  // namespace
}  // namespace sextant::occupancy
