// Files that an agent gives with its arguments, stored with the service.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/mcp/tool.h"

namespace sextant::mcp {

struct GivenFile {
  std::string digest;   // 32 bytes
  uint64_t size_bytes = 0;
};

// Stores what `items` hold as "text", "base64" or "local" (a path here, where `call.local`), and looks up
// what they name by "digest". In their order. INVALID_ARGUMENT names the item under `field`.
absl::StatusOr<std::vector<GivenFile>> StoreFiles(ToolCall& call, const Json& items,
                                                  absl::string_view field);

}  // namespace sextant::mcp
