// Request targets: "/path?name=value".
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sextant::http {

// Splits and decodes an origin-form target. INVALID_ARGUMENT: no path, a broken escape, a control
// character, or a "." or ".." segment.
absl::Status ParseTarget(absl::string_view target, std::string* path,
                         std::multimap<std::string, std::string>* query);

}  // namespace sextant::http
