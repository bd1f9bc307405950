#include "workers/backends/profiling/options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace sextant::backends::profiling {
namespace {

constexpr size_t kMaxNameBytes = 256;

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
         });
}

}  // namespace

absl::StatusOr<uint64_t> ParseNumber(const std::string& option, const std::string& value,
                                     uint64_t least, uint64_t most) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < least || number > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        "options[\"", option, "\"]: \"", value, "\" is not a number from ", least, " to ", most));
  }
  return number;
}

absl::Status CheckChoice(const std::string& option, const std::string& value,
                         const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("options[\"", option, "\"]: \"", value,
                                                 "\" is none of ", absl::StrJoin(choices, ", ")));
}

absl::StatusOr<std::vector<std::string>> ParseMetricNames(const std::string& option,
                                                          const std::string& value) {
  std::vector<std::string> names;
  for (const std::string& name :
       std::vector<std::string>(absl::StrSplit(value, '+', absl::SkipEmpty()))) {
    if (!IsName(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "options[\"", option, "\"]: \"", name.substr(0, kMaxNameBytes),
          "\" is no metric's name: letters, digits, '_' and '.', at most ", kMaxNameBytes,
          ", several joined by +"));
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (names.empty() || names.size() > kMaxMetricsAsked) {
    return absl::InvalidArgumentError(absl::StrCat("options[\"", option, "\"]: ", names.size(),
                                                   " metrics; 1 to ", kMaxMetricsAsked,
                                                   " are possible"));
  }
  return names;
}

}  // namespace sextant::backends::profiling
