// Reads a JSON object field by field and remembers the first thing that was wrong, by its place.
#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace sextant::backends::exec {

// The whole text as an object. INVALID_ARGUMENT: it is none.
inline absl::StatusOr<nlohmann::json> ParseObject(std::string_view text, const std::string& whose) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) return json;
  return absl::InvalidArgumentError(absl::StrCat(whose, " did not print one JSON object"));
}

// Borrows the JSON and the status, which all readers of one text share. A field of the wrong type
// is as if absent, and noted.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& json, std::string place, absl::Status* status)
      : json_(json), place_(std::move(place)), status_(status) {
    if (!json.is_object()) Wrong("", "must be an object");
  }

  std::string Text(const char* name) const {
    const nlohmann::json* field = Find(name);
    if (field == nullptr) return "";
    if (!field->is_string()) return Wrong(name, "must be a string"), "";
    return field->get<std::string>();
  }
  bool Flag(const char* name) const {
    const nlohmann::json* field = Find(name);
    if (field == nullptr) return false;
    if (!field->is_boolean()) return Wrong(name, "must be true or false"), false;
    return field->get<bool>();
  }
  double Number(const char* name, double otherwise = 0) const {
    const nlohmann::json* field = Find(name);
    if (field == nullptr) return otherwise;
    if (!field->is_number()) return Wrong(name, "must be a number"), otherwise;
    return field->get<double>();
  }
  uint64_t Count(const char* name) const {
    const nlohmann::json* field = Find(name);
    if (field == nullptr) return 0;
    if (!field->is_number_unsigned()) return Wrong(name, "must be a whole number, not negative"), 0;
    return field->get<uint64_t>();
  }
  std::vector<std::string> Texts(const char* name) const {
    std::vector<std::string> texts;
    for (const nlohmann::json& one : List(name)) {
      if (!one.is_string())
        return Wrong(name, "must be a list of strings"), std::vector<std::string>();
      texts.push_back(one.get<std::string>());
    }
    return texts;
  }
  // An empty list where there is none.
  const nlohmann::json& List(const char* name) const {
    static const nlohmann::json* const kNone = new nlohmann::json(nlohmann::json::array());
    const nlohmann::json* field = Find(name);
    if (field == nullptr) return *kNone;
    if (!field->is_array()) return Wrong(name, "must be a list"), *kNone;
    return *field;
  }
  // Null where there is none.
  const nlohmann::json* Find(const char* name) const {
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string Place(const char* name) const {
    return place_.empty() ? name : *name == 0 ? place_ : absl::StrCat(place_, ".", name);
  }
  void Wrong(const char* name, const std::string& what) const {
    if (status_->ok()) *status_ = absl::InvalidArgumentError(absl::StrCat(Place(name), " ", what));
  }

 private:
  const nlohmann::json& json_;
  const std::string place_;
  absl::Status* const status_;
};

}  // namespace sextant::backends::exec
