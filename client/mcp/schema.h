// The part of JSON Schema that the tools' inputs are written in.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/mcp/json.h"

namespace sextant::mcp {

// Whether `value` is as `schema` says: type, properties, required, additionalProperties (false, or a
// schema), items, enum, minimum, maximum, maxItems, maxLength. INVALID_ARGUMENT begins with the path of
// the value and says what is expected.
absl::Status Validate(const Json& schema, const Json& value, absl::string_view path = "");

}  // namespace sextant::mcp
