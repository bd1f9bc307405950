// The records of one buffer (client/include/sextant/detail/format.h), paired into scopes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace sextant::backends::host {

inline constexpr uint32_t kUnknown = UINT32_MAX;

// A begin and its end. Ticks are modulo 2^48.
struct Scope {
  uint32_t stretch = 0;  // index into Records::stretches
  uint32_t region = 0;   // name id
  uint64_t begin_ticks = 0;
  uint64_t end_ticks = 0;
};

// What one thread left in the buffer.
struct Stretch {
  uint32_t thread = kUnknown;  // index within its process
  uint32_t tid = kUnknown;     // the system's thread id: grows with the order of creation
  uint32_t role = 0;           // name id
  uint32_t cpu = 0;            // on which it ended, where known
  uint64_t lost = 0;           // records overwritten before the first one kept
  bool from_tail = false;      // its first records were overwritten
  std::vector<uint32_t> open;  // regions it was inside when the process died, outermost first
};

struct Records {
  uint32_t pid = 0;
  uint32_t file_index = 0;  // of the process file
  bool short_of_disk = false;
  std::vector<Stretch> stretches;
  std::vector<Scope> scopes;        // in the order of their ends
  uint64_t lost = 0;                // sum over the stretches
  uint64_t ends_without_begin = 0;  // not those whose begin was overwritten
  uint64_t begins_without_end = 0;  // an outer region, or the thread, ended first
  uint64_t malformed = 0;           // records that no recorder writes
  uint64_t left_out = 0;            // scopes of more stretches than the limit
};

struct ReadLimits {
  size_t max_open = 64 * 1024;  // nested scopes; deeper is malformed
  size_t max_stretches = 64 * 1024;
};

// How many bytes from its start a thread file must be read to have all its records; 0: its header
// is not one. `header` is the first SEXTANT_HEADER_BYTES of the file.
uint64_t UsedBytesUntrusted(absl::Span<const uint8_t> header);

// Reads a thread file in O(records). INVALID_ARGUMENT: no thread file, another version, or shorter
// than its header says.
absl::StatusOr<Records> ReadRecordsUntrusted(absl::Span<const uint8_t> file,
                                             const ReadLimits& limits = {});

}  // namespace sextant::backends::host
