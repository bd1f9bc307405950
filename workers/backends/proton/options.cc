#include "workers/backends/proton/options.h"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"

namespace sextant::backends::proton {
namespace {

const std::vector<std::string> kGranularities = {
    "cta",          "warp",         "warp_2",       "warp_4",      "warp_8",
    "warp_group",   "warp_group_2", "warp_group_4", "warp_group_8"};

template <typename... Args>
absl::Status Wrong(const std::string& name, const std::string& value, const Args&... args) {
  return absl::InvalidArgumentError(
      absl::StrCat("options[\"", name, "\"]: \"", value, "\" is not ", args...));
}

absl::StatusOr<std::string> OneOf(const std::string& name, const std::string& value,
                                  const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  return Wrong(name, value, "one of ", absl::StrJoin(choices, ", "));
}

absl::StatusOr<bool> Flag(const std::string& name, const std::string& value) {
  if (value == "1" || value == "0") return value == "1";
  return Wrong(name, value, "0 or 1");
}

template <typename T>
absl::StatusOr<T> Number(const std::string& name, const std::string& value, T least, T most) {
  T number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < least || number > most) {
    return Wrong(name, value, "a number from ", least, " to ", most);
  }
  return number;
}

// Lists are joined by +, because commas part options.
absl::StatusOr<std::string> Warps(const std::string& name, const std::string& value) {
  std::vector<uint32_t> warps;
  for (const absl::string_view part : absl::StrSplit(value, '+')) {
    ASSIGN_OR_RETURN(const uint32_t warp,
                     Number<uint32_t>(name, std::string(part), 0, 4095));
    warps.push_back(warp);
  }
  // Proton lays the buffer out in this order.
  std::sort(warps.begin(), warps.end());
  warps.erase(std::unique(warps.begin(), warps.end()), warps.end());
  return absl::StrJoin(warps, ",");
}

absl::StatusOr<std::string> Optimizations(const std::string& name, const std::string& value) {
  const std::vector<std::string> parts = absl::StrSplit(value, '+');
  for (const std::string& part : parts) {
    if (part == "time_shift") {
      return absl::InvalidArgumentError(absl::StrCat(
          "options[\"", name, "\"]: time_shift changes recorded cycles afterwards; Sextant keeps "
          "them as they were and reports what recording costs apart"));
    }
    RETURN_IF_ERROR(OneOf(name, part, {"clock32", "sched_stores", "sched_barriers"}).status());
  }
  return absl::StrJoin(parts, ",");
}

bool IsPython(const std::string& program) {
  const size_t slash = program.rfind('/');
  std::string name = slash == std::string::npos ? program : program.substr(slash + 1);
  if (name.rfind("python", 0) != 0) return false;
  name = name.substr(6);
  return std::all_of(name.begin(), name.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  bool inside = false, outside = false;  // options of which mode were given
  for (const auto& [name, value] : spec.options()) {
    if (name == "mode") {
      ASSIGN_OR_RETURN(const std::string mode, OneOf(name, value, {"intra", "host"}));
      options.intra = mode == "intra";
      continue;
    }
    if (name == "context") {
      ASSIGN_OR_RETURN(options.context, OneOf(name, value, {"shadow", "python"}));
      outside = true;
      continue;
    }
    if (name == "hook") {
      ASSIGN_OR_RETURN(options.hook, Flag(name, value));
      outside = true;
      continue;
    }
    inside = true;
    if (name == "granularity") {
      ASSIGN_OR_RETURN(options.granularity, OneOf(name, value, kGranularities));
    } else if (name == "buffer") {
      ASSIGN_OR_RETURN(options.buffer, OneOf(name, value, {"shared", "global"}));
    } else if (name == "buffer_bytes") {
      ASSIGN_OR_RETURN(options.buffer_bytes, Number<uint32_t>(name, value, 64, 64 << 20));
    } else if (name == "strategy") {
      ASSIGN_OR_RETURN(options.strategy, OneOf(name, value, {"circular", "flush"}));
    } else if (name == "warps") {
      ASSIGN_OR_RETURN(options.warps, Warps(name, value));
    } else if (name == "optimizations") {
      ASSIGN_OR_RETURN(options.optimizations, Optimizations(name, value));
    } else if (name == "launches") {
      ASSIGN_OR_RETURN(options.launches, Number<uint32_t>(name, value, 1, 1'000'000));
    } else if (name == "keep_bytes") {
      ASSIGN_OR_RETURN(options.keep_bytes,
                       Number<uint64_t>(name, value, 1 << 20, uint64_t{1} << 36));
    } else if (name == "raw") {
      ASSIGN_OR_RETURN(options.raw, Flag(name, value));
    } else if (name == "activity") {
      ASSIGN_OR_RETURN(options.activity, Flag(name, value));
    } else if (name == "chrome") {
      ASSIGN_OR_RETURN(options.chrome, Flag(name, value));
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "options[\"", name, "\"]: backend \"proton\" has no such option; it has mode, for "
          "mode=intra granularity, buffer, buffer_bytes, strategy, warps, optimizations, launches, "
          "keep_bytes, raw, chrome, activity, and for mode=host context, hook"));
    }
  }
  if (options.intra ? outside : inside) {
    return absl::InvalidArgumentError(absl::StrCat(
        "options[\"mode\"]: ", options.intra ? "context and hook are options of mode=host"
                                             : "only context and hook are options of mode=host"));
  }
  return options;
}

std::string ToJson(const Options& options, const std::string& kernels, const std::string& directory) {
  nlohmann::json json = {{"where", options.intra ? "intra" : "host"},
                         {"directory", directory},
                         {"kernels", kernels}};
  if (options.intra) {
    json["mode"] = {{"granularity", options.granularity},
                    {"buffer_type", options.buffer},
                    {"buffer_size", options.buffer_bytes},
                    {"buffer_strategy", options.strategy},
                    {"sampling_strategy", options.warps.empty() ? "none" : "selective"},
                    {"sampling_options", options.warps},
                    {"optimizations", options.optimizations}};
    json["launches"] = options.launches;
    json["keep_bytes"] = options.keep_bytes;
    json["raw"] = options.raw;
    json["chrome"] = options.chrome || !options.raw;
  } else {
    json["context"] = options.context;
    json["hook"] = options.hook;
  }
  // Bytes that are no UTF-8 cannot be in a pattern for names that are.
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<std::vector<std::string>> Wrap(const std::vector<std::string>& argv,
                                              const std::string& launcher) {
  if (argv.empty() || !IsPython(argv[0])) {
    return absl::InvalidArgumentError(
        absl::StrCat("workload.argv[0]: \"", argv.empty() ? "" : argv[0],
                     "\" is not Python; backend \"proton\" runs \"python3 SCRIPT …\". For other "
                     "programs use the backends activity or scopes"));
  }
  // Options of the interpreter; these two take the next word.
  size_t at = 1;
  while (at < argv.size() && argv[at].size() > 1 && argv[at][0] == '-' && argv[at] != "-m" &&
         argv[at] != "-c") {
    at += argv[at] == "-X" || argv[at] == "-W" ? 2 : 1;
  }
  const bool named = at < argv.size() && (argv[at][0] != '-' || at + 1 < argv.size());
  if (!named || argv[at] == "-") {
    return absl::InvalidArgumentError(
        "workload.argv: names no script, -m MODULE or -c CODE for Python to run");
  }
  std::vector<std::string> wrapped(argv.begin(), argv.begin() + at);
  wrapped.insert(wrapped.end(), {"-c", launcher});
  wrapped.insert(wrapped.end(), argv.begin() + at, argv.end());
  return wrapped;
}

}  // namespace sextant::backends::proton
