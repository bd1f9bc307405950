// Traces that look like a pipelined kernel's: warps that go round a ring of regions, with durations
// that vary, some of them in two modes.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "proto/chunk/encoder.h"

namespace sextant::bench {

class Synthetic {
 public:
  Synthetic(uint64_t seed, uint32_t regions = 64, uint32_t tracks = 32)
      : state_(seed * 0x9e3779b97f4a7c15u + 1), regions_(regions), at_(tracks), tracks_(tracks) {}

  chunk::TraceInfo Info() const {
    chunk::TraceInfo info{.kernel = "synthetic"};
    for (uint32_t r = 0; r < regions_; ++r) info.regions.push_back("region " + std::to_string(r));
    info.roles = {"producer", "consumer"};
    for (uint32_t t = 0; t < tracks_; ++t) info.tracks.push_back({.warp = t, .role = t % 4 == 0 ? 0u : 1u});
    return info;
  }

  // The next `n` instances, in time order, `step_ns` apart in the mean.
  std::vector<chunk::Instance> Next(size_t n, double step_ns) {
    std::vector<chunk::Instance> instances(n);
    for (chunk::Instance& e : instances) {
      now_ns_ += 2 * step_ns * Uniform();
      e.track = static_cast<uint32_t>(Random() % tracks_);
      e.region = at_[e.track]++ % regions_;
      e.start = static_cast<uint64_t>(now_ns_);
      // 100 ns … 3 µs by region, ±10 %; every fourth region is three times as long at times.
      double duration = (100 + 45 * e.region) * (0.9 + 0.1 * (Uniform() + Uniform()));
      if (e.region % 4 == 3 && Random() % 5 == 0) duration *= 3;
      e.duration = static_cast<uint64_t>(duration);
    }
    return instances;
  }

 private:
  uint64_t Random() {  // xorshift64*, by Marsaglia and Vigna
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du >> 8;
  }
  double Uniform() { return static_cast<double>(Random() & 0xffffffff) / 4294967296.0; }

  uint64_t state_;
  uint32_t regions_;
  std::vector<uint32_t> at_;
  uint32_t tracks_;
  double now_ns_ = 0;
};

}  // namespace sextant::bench
