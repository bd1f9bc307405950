#include "workers/backends/scopes/options.h"

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/include/sextant/detail/scopes_format.h"
#include "proto/status/status.h"

namespace sextant::backends::scopes {
namespace {

constexpr uint32_t kMaxArenaMb = 65536;
constexpr size_t kMaxScopesBytes = 255;  // what the recorder's file can say of them
constexpr uint32_t kMaxParts = 32;  // bits of the recorder's mask
constexpr std::array<const char*, 10> kOptions = {"records", "scopes", "split",    "part",    "ctas",
                                                  "memory",  "buffer", "mode",     "arena_mb", "launches"};

template <typename... Args>
absl::Status Bad(const std::string& name, const std::string& value, const Args&... what) {
  return absl::InvalidArgumentError(
      absl::StrCat("options[\"", name, "\"]: \"", value, "\" is ", what...));
}

absl::Status CheckNumber(const std::string& name, const std::string& value, uint32_t least,
                         uint32_t most) {
  uint32_t number = 0;
  if (absl::SimpleAtoi(value, &number) && number >= least && number <= most) {
    return absl::OkStatus();
  }
  return Bad(name, value, "not a number from ", least, " to ", most);
}

absl::Status CheckOneOf(const std::string& name, const std::string& value, const char* a,
                        const char* b) {
  if (value == a || value == b) return absl::OkStatus();
  return Bad(name, value, "neither \"", a, "\" nor \"", b, "\"");
}

absl::Status Check(const std::string& name, const std::string& value) {
  if (name == "records") {
    return CheckNumber(name, value, SEXTANT_SCOPES_MIN_RING, SEXTANT_SCOPES_MAX_RING);
  }
  if (name == "arena_mb") return CheckNumber(name, value, 1, kMaxArenaMb);
  if (name == "memory") return CheckOneOf(name, value, "device", "host");
  if (name == "buffer") return CheckOneOf(name, value, "global", "shared");
  if (name == "mode") return CheckOneOf(name, value, "flush", "circular");
  if (name == "launches") return CheckOneOf(name, value, "1", "0");
  if (name == "split" || name == "part") return CheckNumber(name, value, 1, kMaxParts);
  if (name == "ctas") {
    const std::vector<std::string> parts = absl::StrSplit(value, '/');
    uint32_t period = 0;
    if (parts.size() != 2 || parts[0] != "1" || !absl::SimpleAtoi(parts[1], &period) ||
        period < 1 || period > 1u << 30) {
      return Bad(name, value, "not 1/N: every N-th CTA is recorded");
    }
    return absl::OkStatus();
  }
  if (name == "scopes") {
    const std::vector<std::string> names = absl::StrSplit(value, '+', absl::SkipEmpty());
    if (names.empty() || value.size() > kMaxScopesBytes) {
      return Bad(name, value, "not a list of scopes joined by +, of at most ", kMaxScopesBytes,
                 " bytes");
    }
    // The recorder takes its options as one text.
    if (absl::StrContains(value, ',')) return Bad(name, value, "a list with a comma; join by +");
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("options[\"", name,
                                                 "\"]: backend \"scopes\" has no such option; it ",
                                                 "has ", absl::StrJoin(kOptions, ", ")));
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  std::map<std::string, std::string> sorted(spec.options().begin(), spec.options().end());
  std::vector<std::string> parts;
  for (const auto& [name, value] : sorted) {
    RETURN_IF_ERROR(Check(name, value));
    if (name == "launches") {
      options.launches = value == "1";
    } else if (name == "split") {
      const auto part = sorted.find("part");
      if (part == sorted.end()) return Bad(name, value, "not told which part; add part=K, from 1");
      RETURN_IF_ERROR(Check("part", part->second));
      uint32_t of = 0, number = 0;
      if (!absl::SimpleAtoi(value, &of) || !absl::SimpleAtoi(part->second, &number) ||
          number > of) {
        return Bad("part", part->second, "larger than split");
      }
      if (sorted.contains("scopes")) return Bad(name, value, "not for chosen scopes; leave one out");
      parts.push_back(absl::StrCat("part=", number, "/", of));
    } else if (name == "part") {
      if (!sorted.contains("split")) return Bad(name, value, "of no number of parts; add split=N");
    } else {
      parts.push_back(absl::StrCat(name, "=", value));
    }
  }
  options.recorder = parts.empty() ? "1" : absl::StrJoin(parts, ",");
  return options;
}

}  // namespace sextant::backends::scopes
