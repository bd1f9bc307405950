// What can be read by URI: the guide, the schema of SQL's views, reports, and files that jobs left.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/mcp/json.h"
#include "client/mcp/scope.h"

namespace sextant::mcp {

Json Resources();
Json ResourceTemplates();

// The `contents` of resources/read. Waits for the service. NOT_FOUND: there is no such resource.
absl::StatusOr<Json> ReadResource(Scope& scope, const std::string& uri);

// For agents, in Markdown: how to work with the service.
absl::string_view Guide();

}  // namespace sextant::mcp
