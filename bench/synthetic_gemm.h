// Traces that look like a warp-specialised GEMM's: per CTA one producer and four consumer warps that pass
// tiles through a ring of stages, with durations that vary, in cycles.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "proto/chunk/encoder.h"
#include "proto/table/table.h"

namespace sextant::bench {

class SyntheticGemm {
 public:
  static constexpr uint32_t kCtas = 132;
  static constexpr uint32_t kConsumers = 4;
  static constexpr double kNsPerCycle = 1 / 1.98;
  static constexpr uint64_t kStages = 4;   // of the ring
  static constexpr uint64_t kEventsOfTile = 2 + 2 * kConsumers;
  static constexpr uint64_t kLaunchGapNs = 2'000'000;

  // About `events` instances in `launches` launches. `slower`: of the multiplication, 0.05 for 5 %.
  SyntheticGemm(uint64_t seed, uint64_t events, uint32_t launches, double slower = 0)
      : state_(seed * 0x9e3779b97f4a7c15u + 1),
        launches_(launches),
        tiles_(std::max<uint64_t>(4, events / (uint64_t{launches} * kCtas * kEventsOfTile))),
        slower_(slower) {}

  chunk::TraceInfo Info() {
    chunk::TraceInfo info{.kernel = "gemm_ws", .unit = v1::CYCLES, .ns_per_unit = kNsPerCycle,
                          .regions = {"wait empty", "load", "wait full", "mma", "store"},
                          .roles = {"producer", "consumer"}};
    for (uint32_t launch = 0; launch < launches_; ++launch)
      for (uint32_t cta = 0; cta < kCtas; ++cta)
        for (uint32_t warp = 0; warp <= kConsumers; ++warp)
          info.tracks.push_back({.launch = launch, .cta = cta, .sm = cta, .warp = warp, .role = warp == 0 ? 0u : 1u,
                                 .origin_ns = StartNs(launch) + 3 * cta});
    return info;
  }

  // Before the first launch: its waits and signals are kept for Barriers().
  void KeepBarriers() { keep_barriers_ = true; }

  // All instances of one launch.
  std::vector<chunk::Instance> Launch(uint32_t launch) {
    std::vector<chunk::Instance> instances;
    instances.reserve(kCtas * (tiles_ * kEventsOfTile + kConsumers));
    end_ = 0;
    std::vector<uint64_t> emptied(tiles_);
    for (uint32_t cta = 0; cta < kCtas; ++cta) {
      const uint32_t first = (launch * kCtas + cta) * (1 + kConsumers);
      std::fill(emptied.begin(), emptied.end(), 0);
      uint64_t producer = 0, consumer[kConsumers] = {};
      for (uint64_t k = 0; k < tiles_; ++k) {
        const uint64_t free_at = k < kStages ? 0 : emptied[k - kStages] + 20;
        const uint64_t waited = std::max(producer + 10, free_at);
        instances.push_back({first, 0, producer, waited - producer});
        Mark(launch, cta, 0, k, kEmpty, producer, waited - producer);
        const uint64_t load = Vary(700);
        instances.push_back({first, 1, waited, load});
        producer = waited + load;
        Mark(launch, cta, 0, k, kFull, producer, kSignal);
        for (uint32_t c = 0; c < kConsumers; ++c) {
          const uint64_t full = std::max(consumer[c] + 10, producer + 250);
          instances.push_back({first + 1 + c, 2, consumer[c], full - consumer[c]});
          const uint64_t mma = Vary(600 * (1 + slower_));
          instances.push_back({first + 1 + c, 3, full, mma});
          Mark(launch, cta, 1 + c, k, kFull, consumer[c], full - consumer[c]);
          consumer[c] = full + mma;
          Mark(launch, cta, 1 + c, k, kEmpty, consumer[c], kSignal);
          emptied[k] = std::max(emptied[k], consumer[c]);
        }
      }
      for (uint32_t c = 0; c < kConsumers; ++c) {
        const uint64_t store = Vary(4000);
        instances.push_back({first + 1 + c, 4, consumer[c], store});
        end_ = std::max(end_, consumer[c] + store);
      }
    }
    ends_ns_.push_back(StartNs(launch) + static_cast<uint64_t>(static_cast<double>(end_) * kNsPerCycle) + 1000);
    return instances;
  }

  // After all launches: the table `barriers` of a `scopes` pass.
  v1::DataTable Barriers() const {
    table::Builder builder("barriers");
    const auto launch = builder.Int("launch"), cta = builder.Int("cta"), warp = builder.Int("warp"), slot = builder.Int("slot"),
               ordinal = builder.Int("ordinal"), at = builder.Int("at_cycles", "cycles"),
               duration = builder.Int("duration_cycles", "cycles"), head_lost = builder.Int("head_lost");
    const auto barrier = builder.Text("barrier"), kind = builder.Text("kind");
    for (const OneMark& mark : marks_) {
      const bool signal = mark.duration == kSignal;
      builder.Set(launch, mark.launch);
      builder.Set(cta, mark.cta);
      builder.Set(warp, mark.warp);
      builder.Set(slot, mark.tile % kStages);
      builder.Set(ordinal, mark.tile / kStages);
      builder.Set(at, static_cast<int64_t>(mark.at));
      builder.Set(duration, signal ? 0 : static_cast<int64_t>(mark.duration));
      builder.Set(head_lost, 0);
      builder.Set(barrier, mark.barrier == kEmpty ? "empty" : "full");
      builder.Set(kind, signal ? "signal" : "wait");
      builder.EndRow();
    }
    return builder.Finish();
  }

  // After all launches.
  v1::DataTable Launches() const {
    table::Builder builder("launches");
    const auto launch = builder.Int("launch"), start = builder.Int("start_ns", "ns"), end = builder.Int("end_ns", "ns"),
               duration = builder.Int("duration_ns", "ns"), grid_x = builder.Int("grid_x"), grid_y = builder.Int("grid_y"),
               grid_z = builder.Int("grid_z"), block_x = builder.Int("block_x"), block_y = builder.Int("block_y"),
               block_z = builder.Int("block_z"), registers = builder.Int("registers");
    const auto kernel = builder.Text("kernel"), code = builder.Text("sass_digest"), limiter = builder.Text("occupancy_limiter");
    const auto occupancy = builder.Number("occupancy_pct", "%");
    for (uint32_t i = 0; i < ends_ns_.size(); ++i) {
      builder.Set(launch, i);
      builder.Set(start, static_cast<int64_t>(StartNs(i)) - 1000);
      builder.Set(end, static_cast<int64_t>(ends_ns_[i]));
      builder.Set(duration, static_cast<int64_t>(ends_ns_[i] - StartNs(i)) + 1000);
      builder.Set(grid_x, kCtas);
      for (const auto one : {grid_y, grid_z, block_y, block_z}) builder.Set(one, 1);
      builder.Set(block_x, 32 * (1 + kConsumers));
      builder.Set(registers, 168);
      builder.Set(kernel, "gemm_ws(const half*, const half*, half*, int)");
      builder.Set(code, "5ea1");
      builder.Set(limiter, "shared");
      builder.Set(occupancy, 7.8);
      builder.EndRow();
    }
    return builder.Finish();
  }

  uint32_t launches() const { return launches_; }

 private:
  enum Barrier : uint8_t { kEmpty, kFull };
  static constexpr uint64_t kSignal = UINT64_MAX;   // it takes no time
  struct OneMark {
    uint32_t launch, cta, tile;
    uint8_t warp;
    Barrier barrier;
    uint64_t at, duration;
  };
  void Mark(uint32_t launch, uint32_t cta, uint32_t warp, uint64_t tile, Barrier barrier, uint64_t at, uint64_t duration) {
    if (keep_barriers_)
      marks_.push_back({launch, cta, static_cast<uint32_t>(tile), static_cast<uint8_t>(warp), barrier, at, duration});
  }

  static uint64_t StartNs(uint32_t launch) { return 1'000'000 + launch * kLaunchGapNs; }
  uint64_t Random() {  // xorshift64*, by Marsaglia and Vigna
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du >> 8;
  }
  // ±10 %, now and then a third more.
  uint64_t Vary(double cycles) {
    const double u = static_cast<double>(Random() & 0xffffffff) / 4294967296.0;
    const double v = static_cast<double>(Random() & 0xffffffff) / 4294967296.0;
    return static_cast<uint64_t>(cycles * (0.9 + 0.1 * (u + v)) * (Random() % 50 == 0 ? 1.33 : 1));
  }

  uint64_t state_;
  uint32_t launches_;
  uint64_t tiles_;
  double slower_;
  uint64_t end_ = 0;
  std::vector<uint64_t> ends_ns_;
  bool keep_barriers_ = false;
  std::vector<OneMark> marks_;
};

}  // namespace sextant::bench
