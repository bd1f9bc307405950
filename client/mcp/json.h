// The JSON of this room: objects keep the order in which they were filled, so that answers are the same
// text every time.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace sextant::mcp {

// A vector inside: adding a key moves the values of the others.
using Json = nlohmann::ordered_json;

inline std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sextant::mcp
