#include "server/job/spread.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace sextant::job {
namespace {

constexpr uint32_t kMaxParts = 32;

// Hardware passes on GH100 (docs/counters.md); sets that are counted together share some.
struct Set {
  absl::string_view name;
  uint32_t passes;
};
constexpr Set kSets[] = {{"ipc", 1},    {"occupancy", 1}, {"tensor", 2},  {"spills", 2},
                         {"memory", 4}, {"stalls", 6},    {"roofline", 7}};

std::string Option(const v1::PassSpec& spec, const char* name) {
  const auto found = spec.options().find(name);
  return found == spec.options().end() ? "" : found->second;
}

uint32_t PassesOf(const v1::PassSpec& spec) {
  uint32_t passes = 0;
  const std::string sets = Option(spec, "set"), metrics = Option(spec, "metrics");
  for (absl::string_view name : absl::StrSplit(sets, '+', absl::SkipEmpty())) {
    const auto known = std::find_if(std::begin(kSets), std::end(kSets),
                                    [&](const Set& set) { return set.name == name; });
    passes += known == std::end(kSets) ? 1 : known->passes;
  }
  for (absl::string_view name : absl::StrSplit(metrics, '+', absl::SkipEmpty())) {
    passes += name.empty() ? 0 : 1;
  }
  return std::clamp<uint32_t>(passes, 1, kMaxParts);
}

std::vector<v1::PassSpec> Parts(const v1::PassSpec& spec, uint32_t parts, bool shares) {
  const uint32_t repeat = std::max<uint32_t>(1, spec.repeat());
  std::vector<v1::PassSpec> all;
  for (uint32_t part = 1; part <= parts; ++part) {
    v1::PassSpec& one = all.emplace_back(spec);
    (*one.mutable_options())["part"] = absl::StrCat(part);
    if (shares) one.set_repeat((repeat + parts - 1) / parts);
    if (part > 1) one.set_optional(true);
  }
  return all;
}

}  // namespace

std::vector<v1::PassSpec> Spread(const v1::PassSpec& spec) {
  if (spec.options().contains("part")) return {spec};
  uint32_t parts = 0;
  if (spec.backend() == "scopes" && absl::SimpleAtoi(Option(spec, "split"), &parts) && parts > 1 &&
      parts <= kMaxParts) {
    std::vector<v1::PassSpec> all = Parts(spec, parts, true);
    all.front().set_optional(true);  // any part may be the empty one
    return all;
  }
  if (spec.backend() == "counters" && Option(spec, "replay") == "application") {
    const uint32_t passes = PassesOf(spec);
    if (passes > 1) return Parts(spec, passes, false);
  }
  return {spec};
}

}  // namespace sextant::job
