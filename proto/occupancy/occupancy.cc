#include "proto/occupancy/occupancy.h"

#include <algorithm>

namespace sextant::occupancy {
namespace {

constexpr uint64_t kSubPartitions = 4;
constexpr uint64_t kRegisterUnit = 256;

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

uint64_t BlocksByRegisters(const Multiprocessor& sm, uint64_t warps, uint64_t registers) {
  if (registers == 0) return UINT64_MAX;
  const uint64_t of_warp = RoundUp(registers * sm.warp_threads, kRegisterUnit);
  if (of_warp * RoundUp(warps, kSubPartitions) > sm.max_block_registers) return 0;
  const uint64_t warps_that_fit = sm.max_registers / kSubPartitions / of_warp * kSubPartitions;
  return warps_that_fit / warps;
}

uint64_t BlocksByShared(const Multiprocessor& sm, uint64_t bytes) {
  const uint64_t unit = sm.major >= 8 ? 128 : 256;
  const uint64_t system = sm.major >= 8 ? 1024 : 0;
  const uint64_t of_block = RoundUp(bytes + system, unit);
  return of_block == 0 ? UINT64_MAX : sm.max_shared_bytes / of_block;
}

}  // namespace

Multiprocessor MultiprocessorOf(uint32_t compute_capability) {
  struct Known {
    uint32_t capability, warps, blocks, shared_kib;
  };
  constexpr Known kKnown[] = {{70, 64, 32, 96},   {72, 64, 32, 96},   {75, 32, 16, 64},   {80, 64, 32, 164},
                              {86, 48, 16, 100},  {87, 48, 16, 164},  {89, 48, 24, 100},  {90, 64, 32, 228},
                              {100, 64, 32, 228}, {103, 64, 32, 228}, {120, 48, 24, 100}, {121, 48, 24, 100}};
  Multiprocessor sm;
  for (const Known& known : kKnown) {
    if (known.capability != compute_capability) continue;
    sm.major = compute_capability / 10;
    sm.minor = compute_capability % 10;
    sm.max_warps = known.warps;
    sm.max_blocks = known.blocks;
    sm.max_registers = sm.max_block_registers = 65536;
    sm.max_shared_bytes = known.shared_kib * 1024;
    sm.max_block_threads = 1024;
  }
  return sm;
}

const char* NameOf(Limiter limiter) {
  switch (limiter) {
    case Limiter::kWarps:
      return "warps";
    case Limiter::kBlocks:
      return "blocks";
    case Limiter::kRegisters:
      return "registers";
    case Limiter::kShared:
      return "shared";
    case Limiter::kNone:
      break;
  }
  return "";
}

Occupancy CalculateOccupancy(const Multiprocessor& sm, const BlockNeeds& block) {
  Occupancy occupancy;
  if (sm.max_warps == 0 || sm.warp_threads == 0 || block.threads == 0) return occupancy;
  if (block.threads > std::max(sm.max_block_threads, 1u)) {
    occupancy.limiter = Limiter::kWarps;
    return occupancy;
  }
  const uint64_t warps = (block.threads + sm.warp_threads - 1) / sm.warp_threads;
  const struct {
    Limiter limiter;
    uint64_t blocks;
  } limits[] = {
      {Limiter::kWarps, sm.max_warps / warps},
      {Limiter::kBlocks, sm.max_blocks},
      {Limiter::kRegisters, BlocksByRegisters(sm, warps, block.registers)},
      {Limiter::kShared, BlocksByShared(sm, block.shared_bytes)},
  };
  uint64_t least = UINT64_MAX;
  for (const auto& limit : limits) {
    if (limit.blocks >= least) continue;
    least = limit.blocks;
    occupancy.limiter = limit.limiter;
  }
  occupancy.blocks = static_cast<uint32_t>(least);
  occupancy.percent = 100.0 * static_cast<double>(least * warps) / sm.max_warps;
  return occupancy;
}

}  // namespace sextant::occupancy
