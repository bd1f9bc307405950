// Reading what a pass left under its results directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends {

// The whole of a regular file; links are not followed. NOT_FOUND, INVALID_ARGUMENT (no regular file),
// RESOURCE_EXHAUSTED: larger than `max_bytes`.
absl::StatusOr<std::string> ReadResultFile(const std::filesystem::path& path, uint64_t max_bytes);

// Names of the entries of `directory`, sorted; the first `max_files` that come, all of them hostile.
// A directory that is not there, or is a link, has none.
std::vector<std::string> ListResultFiles(const std::filesystem::path& directory, size_t max_files);

}  // namespace sextant::backends
