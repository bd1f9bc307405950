#include "workers/backends/ncu/options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"

namespace sextant::backends::ncu {
namespace {

constexpr size_t kMaxNames = 2000;
constexpr size_t kMaxNameBytes = 256;

template <typename... Args>
absl::Status Wrong(const std::string& option, const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat("options[\"", option, "\"]: ", what...));
}

// Names go into a command line of ncu's, where a comma and a dash at the beginning mean something.
absl::StatusOr<std::vector<std::string>> ParseNames(const std::string& option,
                                                    const std::string& value) {
  std::vector<std::string> names = absl::StrSplit(value, '+', absl::SkipEmpty());
  if (names.empty() || names.size() > kMaxNames) {
    return Wrong(option, names.size(), " names; 1 to ", kMaxNames, " joined by + are possible");
  }
  for (const std::string& name : names) {
    const bool good =
        name[0] != '-' && name.size() <= kMaxNameBytes &&
        std::all_of(name.begin(), name.end(), [](unsigned char c) {
          return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == ':' || c == '-';
        });
    if (!good) {
      return Wrong(option, "\"", name, "\" is no name of ncu's; `ncu --query-metrics` and ",
                   "`ncu --list-sections` list them");
    }
  }
  return names;
}

absl::StatusOr<uint32_t> ParseCount(const std::string& option, const std::string& value) {
  uint32_t count = 0;
  if (!absl::SimpleAtoi(value, &count) || count > 1'000'000) {
    return Wrong(option, "\"", value, "\" is no number between 0 and 1000000");
  }
  return count;
}

absl::StatusOr<std::string> ParseWord(const std::string& option, const std::string& value,
                                      std::initializer_list<const char*> words) {
  for (const char* word : words) {
    if (value == word) return value;
  }
  return Wrong(option, "\"", value, "\" is none of ", absl::StrJoin(words, ", "));
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  for (const auto& [name, value] : spec.options()) {
    if (name == "set") {
      ASSIGN_OR_RETURN(options.set, ParseWord(name, value,
                                              {"basic", "detailed", "full", "roofline",
                                               "pmsampling", "nvlink"}));
    } else if (name == "metrics") {
      ASSIGN_OR_RETURN(options.metrics, ParseNames(name, value));
    } else if (name == "sections") {
      ASSIGN_OR_RETURN(options.sections, ParseNames(name, value));
    } else if (name == "launch_skip") {
      ASSIGN_OR_RETURN(options.launch_skip, ParseCount(name, value));
    } else if (name == "launch_count") {
      ASSIGN_OR_RETURN(options.launch_count, ParseCount(name, value));
    } else if (name == "replay") {
      ASSIGN_OR_RETURN(options.replay, ParseWord(name, value, {"kernel", "application"}));
    } else if (name == "caches") {
      ASSIGN_OR_RETURN(const std::string word, ParseWord(name, value, {"flush", "keep"}));
      options.flush_caches = word == "flush";
    } else {
      return Wrong(name, "backend \"ncu\" has no such option; it has set, metrics, sections, ",
                   "launch_skip, launch_count, replay, caches");
    }
  }
  if (options.set.empty() && options.metrics.empty() && options.sections.empty()) {
    options.set = "basic";
  }
  return options;
}

}  // namespace sextant::backends::ncu
