// Chunks in, columns out. Every input is taken for hostile: sizes are checked before memory is
// taken for them, and everything the header claims is verified against the columns.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/chunk/chunk.h"

namespace sextant::chunk {

// A track and where its events lie in the columns.
struct TrackSlice {
  Track track;
  uint32_t begin = 0;
  uint32_t count = 0;
};

// One chunk as columns; all event columns have header.events() entries.
struct Decoded {
  v1::ChunkHeader header;
  std::vector<TrackSlice> tracks;
  std::vector<uint32_t> region;      // index into header.regions()
  std::vector<uint64_t> start;       // in header.unit(), since the track's origin
  std::vector<uint64_t> duration;
  std::vector<uint64_t> ordinal;
};

// FAILED_PRECONDITION: a version this decoder does not read. INVALID_ARGUMENT: anything else wrong,
// with the field or column and the event's index. Nothing decoded is returned then.
absl::StatusOr<Decoded> DecodeUntrusted(std::string_view bytes, const Limits& limits = {});

// The header alone, its own fields checked; the columns are neither decompressed nor compared.
absl::StatusOr<v1::ChunkHeader> DecodeHeaderUntrusted(std::string_view bytes,
                                                      const Limits& limits = {});

// The second half of DecodeUntrusted: columns as they are after decompression. For fuzzing, which
// otherwise would not get past the compression.
absl::StatusOr<Decoded> DecodeColumnsUntrusted(v1::ChunkHeader header, std::string_view columns,
                                               const Limits& limits = {});

}  // namespace sextant::chunk
