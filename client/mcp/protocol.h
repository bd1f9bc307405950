// The words of the Model Context Protocol: versions, codes, and the shape of messages.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/mcp/json.h"

namespace sextant::mcp {

inline constexpr char kModern[] = "2026-07-28";        // stateless: every request says its version
inline constexpr char kNewestLegacy[] = "2025-11-25";  // with initialize

inline constexpr char kVersionKey[] = "io.modelcontextprotocol/protocolVersion";
inline constexpr char kCapabilitiesKey[] = "io.modelcontextprotocol/clientCapabilities";
inline constexpr char kServerInfoKey[] = "io.modelcontextprotocol/serverInfo";
inline constexpr char kSubscriptionKey[] = "io.modelcontextprotocol/subscriptionId";
inline constexpr char kTasksExtension[] = "io.modelcontextprotocol/tasks";

enum Code {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kHeaderMismatch = -32020,
  kMissingCapability = -32021,
  kUnsupportedVersion = -32022,
};

// All that are spoken, the newest first.
const std::vector<std::string>& Versions();
bool IsLegacyVersion(absl::string_view version);

// One message. INVALID_ARGUMENT: not JSON, or nested deeper than any message of the protocol.
absl::StatusOr<Json> Parse(absl::string_view text);

// params._meta, or an empty object.
const Json& Meta(const Json& message);
// Whether a message carries its protocol version itself.
bool IsModern(const Json& message);

Json Result(const Json& id, Json result);
// `id` null: could not be read.
Json Error(const Json& id, int code, absl::string_view message, Json data = nullptr);

}  // namespace sextant::mcp
