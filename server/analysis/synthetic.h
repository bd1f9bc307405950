// Traces with a known truth, for tests.
#pragma once

#include <string>
#include <vector>

#include "proto/chunk/decoder.h"
#include "proto/chunk/encoder.h"
#include "tests/catch.h"

namespace sextant::analysis {

// One pass: threads with roles, and what they did.
class SyntheticPass {
 public:
  explicit SyntheticPass(std::vector<std::string> regions, v1::TimeUnit unit = v1::NANOSECONDS,
                         double ns_per_unit = 1) {
    info_.kernel = "synthetic";
    info_.regions = std::move(regions);
    info_.unit = unit;
    info_.ns_per_unit = ns_per_unit;
  }

  // Returns the track's index.
  uint32_t Thread(const std::string& role, chunk::Track track = {}) {
    track.warp = info_.tracks.size();
    size_t i = 0;
    while (i < info_.roles.size() && info_.roles[i] != role) ++i;
    if (i == info_.roles.size()) info_.roles.push_back(role);
    track.role = i;
    info_.tracks.push_back(track);
    return track.warp;
  }
  SyntheticPass& Did(uint32_t thread, uint32_t region, uint64_t start, uint64_t duration) {
    instances_.push_back({thread, region, start, duration});
    return *this;
  }

  std::vector<chunk::Decoded> Chunks(uint32_t max_events = 64 * 1024) const {
    auto encoded = chunk::EncodeTrace(info_, instances_, chunk::Limits{.max_events = max_events});
    REQUIRE(encoded.ok());
    std::vector<chunk::Decoded> chunks;
    for (const chunk::EncodedChunk& one : *encoded) {
      auto decoded = chunk::DecodeUntrusted(one.bytes);
      REQUIRE(decoded.ok());
      chunks.push_back(*std::move(decoded));
    }
    return chunks;
  }

 private:
  chunk::TraceInfo info_;
  std::vector<chunk::Instance> instances_;
};

}  // namespace sextant::analysis
