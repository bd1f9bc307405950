// A RunSpec as a JSON file, so that the very container of a kept pass can be opened again.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

// Written whole or not at all (a temporary file, renamed), readable by its owner only: it holds the
// environment. INVALID_ARGUMENT when the spec holds text that is no UTF-8.
absl::Status WriteRunSpec(const RunSpec& spec, const std::filesystem::path& file);

// NOT_FOUND when there is no such file, DATA_LOSS naming the field when it is not what was written.
absl::StatusOr<RunSpec> ReadRunSpec(const std::filesystem::path& file);

}  // namespace sextant::sandbox
