// The user programs run as when the worker is root.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "workers/sandbox/disk.h"

namespace sextant::sandbox {

// Nothing when the worker is not root, or `name` is empty. FAILED_PRECONDITION when there is no such
// user, or it is root.
absl::StatusOr<std::optional<Owner>> FindUser(const std::string& name);

// Whether that user may pass through every directory above `path`.
bool CanReach(const std::filesystem::path& path, const Owner& user);

}  // namespace sextant::sandbox
