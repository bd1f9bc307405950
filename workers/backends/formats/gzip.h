// Files that tools write gzipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sextant::backends::formats {

bool IsGzip(std::string_view bytes);

// The content of one or several gzip members. RESOURCE_EXHAUSTED: more than `max_bytes`. DATA_LOSS: damaged,
// or cut off; the message says after how many unpacked bytes.
absl::StatusOr<std::string> UnpackGzipUntrusted(std::string_view bytes, uint64_t max_bytes);

// As far as it can be unpacked, at most `max_bytes`.
std::string UnpackGzipHead(std::string_view bytes, uint64_t max_bytes);

}  // namespace sextant::backends::formats
