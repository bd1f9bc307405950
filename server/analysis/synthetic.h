// Traces with a known truth, for tests.
#pragma once

#include <string>
#include <vector>

#include "proto/chunk/decoder.h"
#include "proto/chunk/encoder.h"
#include "server/analysis/trace_sample.h"
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

  // Returns the track's index, which is its thread's number too.
  uint32_t Thread(const std::string& role, chunk::Track track = {}) {
    track.warp = info_.tracks.size();
    return Warp(role, track);
  }
  // Returns the track's index.
  uint32_t Warp(const std::string& role, chunk::Track track) {
    size_t i = 0;
    while (i < info_.roles.size() && info_.roles[i] != role) ++i;
    if (i == info_.roles.size()) info_.roles.push_back(role);
    track.role = i;
    info_.tracks.push_back(track);
    return static_cast<uint32_t>(info_.tracks.size() - 1);
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

// What is read of passes, as one sample.
inline TraceSample SampleOf(const std::vector<SyntheticPass>& passes, PassSampler::Options options = {},
                            uint32_t max_events = 64 * 1024) {
  std::vector<PassSampler> samplers;
  for (const SyntheticPass& pass : passes) {
    PassSampler& sampler = samplers.emplace_back(options);
    for (const chunk::Decoded& chunk : pass.Chunks(max_events)) sampler.Add(chunk);
  }
  return JoinSamples(std::move(samplers));
}

}  // namespace sextant::analysis
