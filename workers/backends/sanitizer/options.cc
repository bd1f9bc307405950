#include "workers/backends/sanitizer/options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sextant::backends::sanitizer {
namespace {

constexpr uint32_t kMaxLimit = 100'000;

template <typename... Args>
absl::Status Wrong(const std::string& option, const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat("options[\"", option, "\"]: ", what...));
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  for (const auto& [name, value] : spec.options()) {
    if (name == "tool") {
      if (value != "memcheck" && value != "racecheck" && value != "initcheck" &&
          value != "synccheck") {
        return Wrong(name, "\"", value, "\" is none of memcheck, racecheck, initcheck, synccheck");
      }
      options.tool = value;
    } else if (name == "limit") {
      if (!absl::SimpleAtoi(value, &options.limit) || options.limit == 0 ||
          options.limit > kMaxLimit) {
        return Wrong(name, "\"", value, "\" is no number between 1 and ", kMaxLimit);
      }
    } else if (name == "leaks" || name == "unused") {
      if (value != "0" && value != "1") return Wrong(name, "\"", value, "\" is neither 0 nor 1");
      (name == "leaks" ? options.leaks : options.unused) = value == "1";
    } else {
      return Wrong(name,
                   "backend \"sanitizer\" has no such option; it has tool, limit, leaks, unused");
    }
  }
  if (options.leaks && options.tool != "memcheck")
    return Wrong("leaks", "is of the tool memcheck alone");
  if (options.unused && options.tool != "initcheck")
    return Wrong("unused", "is of the tool initcheck alone");
  return options;
}

}  // namespace sextant::backends::sanitizer
