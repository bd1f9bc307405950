#include "client/mcp/protocol.h"

#include <algorithm>

namespace sextant::mcp {
namespace {

constexpr int kMaxDepth = 100;

}  // namespace

const std::vector<std::string>& Versions() {
  static const auto& versions =
      *new std::vector<std::string>{kModern, kNewestLegacy, "2025-06-18", "2025-03-26"};
  return versions;
}

bool IsLegacyVersion(absl::string_view version) {
  return version != kModern &&
         std::find(Versions().begin(), Versions().end(), std::string(version)) != Versions().end();
}

absl::StatusOr<Json> Parse(absl::string_view text) {
  // What follows a value down recurses; depth is bounded before anything is built.
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      else if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return absl::InvalidArgumentError("nested too deeply");
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded()) return absl::InvalidArgumentError("not JSON");
  return json;
}

const Json& Meta(const Json& message) {
  static const Json& none = *new Json(Json::object());
  const auto params = message.find("params");
  if (params == message.end() || !params->is_object()) return none;
  const auto meta = params->find("_meta");
  return meta == params->end() || !meta->is_object() ? none : *meta;
}

bool IsModern(const Json& message) { return Meta(message).contains(kVersionKey); }

Json Result(const Json& id, Json result) {
  Json message;
  message["jsonrpc"] = "2.0";
  message["id"] = id;
  message["result"] = std::move(result);
  return message;
}

Json Error(const Json& id, int code, absl::string_view text, Json data) {
  Json message;
  message["jsonrpc"] = "2.0";
  if (!id.is_null()) message["id"] = id;
  message["error"] = {{"code", code}, {"message", std::string(text)}};
  if (!data.is_null()) message["error"]["data"] = std::move(data);
  return message;
}

}  // namespace sextant::mcp
