// What a trace chunk is made of, for those who encode and decode it (docs/trace_format.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sextant/v1/trace.pb.h"

namespace sextant::v1 {
class ServiceLimits;
}

namespace sextant::chunk {

inline constexpr uint32_t kVersion = 1;
inline constexpr uint64_t kMaxHeaderBytes = 1 << 20;
// Times and durations, in units and in ns, stay below this (36 years of ns), so that sums of two
// cannot overflow. Ordinals and drop counts too.
inline constexpr uint64_t kMaxTime = uint64_t{1} << 60;
inline constexpr double kMaxNsPerUnit = 1e6;

// What one chunk may hold. The defaults are the service's.
struct Limits {
  uint32_t max_events = 64 * 1024;      // max_events_per_chunk
  uint32_t max_tracks = 64 * 1024;      // max_tracks_per_chunk
  uint32_t max_regions = 4096;          // max_regions_per_pass
  uint32_t max_roles = 4096;            // bounded with the regions
  uint32_t max_name_bytes = 1024;       // of a region, a role and the kernel
  uint64_t max_chunk_bytes = 4 << 20;   // serialized
};

// The service's limits; a limit absent there keeps its default here.
Limits LimitsFrom(const v1::ServiceLimits& service);

// Who recorded: one warp of one CTA of one launch, or one thread of one process.
struct Track {
  uint32_t launch = 0;      // host: process index in order of appearance
  uint32_t cta = 0;         // linear; host: 0
  uint32_t sm = 0;          // host: CPU on which the thread ended
  uint32_t warp = 0;        // host: thread index in order of creation
  uint32_t role = 0;        // index into the role names
  uint64_t origin_ns = 0;   // start of the CTA (host: 0), ns since the pass began
  uint64_t dropped = 0;     // records lost on this track; in its first chunk, 0 in later ones
  bool from_tail = false;   // the head was lost: ordinals count from the first record kept

  friend bool operator==(const Track&, const Track&) = default;
};

// One occurrence of a region on a track, in the trace's unit.
struct Instance {
  uint32_t track = 0;       // index into the tracks
  uint32_t region = 0;      // index into the region names
  uint64_t start = 0;       // since the track's origin
  uint64_t duration = 0;

  friend bool operator==(const Instance&, const Instance&) = default;
};

// When a start (or end) of a track happened, ns since the pass began. Placement only: durations
// are never converted.
inline uint64_t PlaceNs(uint64_t origin_ns, uint64_t start, double ns_per_unit) {
  if (ns_per_unit == 1.0) return origin_ns + start;
  return origin_ns + static_cast<uint64_t>(static_cast<double>(start) * ns_per_unit);
}

// SHA-256, 32 raw bytes.
std::string Digest(std::string_view bytes);

// The digest of a trace: SHA-256 over its chunks' digests in order (TraceReceipt.trace_digest).
std::string TraceDigest(const std::vector<std::string>& chunk_digests);

}  // namespace sextant::chunk
