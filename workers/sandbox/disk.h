// How much a run has written, cheaply, in directories that the program controls.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::sandbox {

struct DiskUse {
  uint64_t bytes = 0;  // allocated blocks; a hard link counts once per name
  uint64_t files = 0;
  bool too_deep = false;  // nested deeper than kMaxDepth: the rest was not counted
};

inline constexpr int kMaxDepth = 256;

// Never follows a symbolic link. With `owner`, everything is also given to that user and group.
// What vanishes meanwhile is not an error; `directory` itself being unreadable is NOT_FOUND.
struct Owner {
  uid_t uid;
  gid_t gid;
};
absl::StatusOr<DiskUse> MeasureDisk(const std::filesystem::path& directory,
                                    std::optional<Owner> owner = std::nullopt);

}  // namespace sextant::sandbox
