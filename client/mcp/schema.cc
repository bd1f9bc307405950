#include "client/mcp/schema.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/mcp/values.h"
#include "proto/status/status.h"

namespace sextant::mcp {
namespace {

template <typename... What>
absl::Status Wrong(absl::string_view path, const What&... what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path.empty() ? "arguments" : path, ": expected ", what...));
}

bool IsWhole(const Json& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
}

bool HasType(const std::string& type, const Json& value) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return IsWhole(value);
  return value.is_number();
}

std::string Join(absl::string_view path, absl::string_view key) {
  return path.empty() ? std::string(key) : absl::StrCat(path, ".", key);
}

absl::Status ValidateObject(const Json& schema, const Json& value, absl::string_view path) {
  static const Json& none = *new Json(Json::object());
  const Json& properties = schema.contains("properties") ? schema["properties"] : none;
  const auto more = schema.find("additionalProperties");
  for (const auto& [key, child] : value.items()) {
    if (const auto known = properties.find(key); known != properties.end()) {
      if (child.is_null()) continue;   // as if it were not there
      RETURN_IF_ERROR(Validate(*known, child, Join(path, key)));
    } else if (more != schema.end() && more->is_object()) {
      RETURN_IF_ERROR(Validate(*more, child, Join(path, Clean(key, 60))));
    } else if (more != schema.end()) {
      std::vector<std::string> names;
      for (const auto& [name, ignored] : properties.items()) names.push_back(name);
      return absl::InvalidArgumentError(absl::StrCat(Join(path, Clean(key, 60)),
                                                     ": there is no such argument; there are ",
                                                     absl::StrJoin(names, ", ")));
    }
  }
  for (const Json& name : schema.value("required", Json::array())) {
    const auto found = value.find(name.get<std::string>());
    if (found == value.end() || found->is_null())
      return absl::InvalidArgumentError(absl::StrCat(Join(path, name.get<std::string>()), ": is required"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const Json& schema, const Json& value, absl::string_view path) {
  const std::string type = schema.value("type", "");
  if (!type.empty() && !HasType(type, value))
    return Wrong(path, type == "integer" ? "a whole number" : absl::StrCat("a JSON ", type));
  if (const auto choices = schema.find("enum"); choices != schema.end()) {
    if (std::find(choices->begin(), choices->end(), value) == choices->end())
      return Wrong(path, "one of ", Dump(*choices));
  }
  if (value.is_number()) {
    if (schema.contains("minimum") && value.get<double>() < schema["minimum"].get<double>())
      return Wrong(path, "at least ", Dump(schema["minimum"]));
    if (schema.contains("maximum") && value.get<double>() > schema["maximum"].get<double>())
      return Wrong(path, "at most ", Dump(schema["maximum"]));
  }
  if (value.is_string() && value.get_ref<const std::string&>().size() > schema.value("maxLength", SIZE_MAX))
    return Wrong(path, "at most ", schema.value("maxLength", SIZE_MAX), " bytes");
  if (value.is_array()) {
    if (value.size() > schema.value("maxItems", SIZE_MAX))
      return Wrong(path, "at most ", schema.value("maxItems", SIZE_MAX), " items");
    if (schema.contains("items"))
      for (size_t i = 0; i < value.size(); ++i)
        RETURN_IF_ERROR(Validate(schema["items"], value[i], absl::StrCat(path, "[", i, "]")));
  }
  return value.is_object() ? ValidateObject(schema, value, path) : absl::OkStatus();
}

}  // namespace sextant::mcp
