#include "server/analysis/pass_kind.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "server/analysis/selection.h"
#include "server/job/auto_plan.h"

namespace sextant::analysis {

v1::PassSpec ParsePass(absl::string_view text) {
  v1::PassSpec spec;
  if (const size_t star = text.rfind('*'); star != absl::string_view::npos) {
    uint32_t repeat = 0;
    if (absl::SimpleAtoi(text.substr(star + 1), &repeat)) {
      spec.set_repeat(repeat);
      text = text.substr(0, star);
    }
  }
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  spec.set_backend(std::string(parts.first));
  for (const absl::string_view option : absl::StrSplit(parts.second, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> one = absl::StrSplit(option, absl::MaxSplits('=', 1));
    (*spec.mutable_options())[one.first] = one.second;
  }
  return spec;
}

bool RegionsAreSpread(const v1::PassSpec& spec) {
  return spec.backend() == "scopes" && spec.options().contains("split");
}

double ExpectedCostS(absl::string_view text, absl::Span<const v1::PassInfo> passes) {
  const v1::PassSpec wanted = ParsePass(text);
  const double times = std::max<uint32_t>(wanted.repeat(), 1);
  double fastest_s = 0, alike_s = 0;
  for (const v1::PassInfo& pass : passes) {
    const double wall_s = pass.result().exit().wall_s();
    if (pass.state() != v1::DONE || pass.result().has_replayed() || !(wall_s > 0)) continue;
    if (fastest_s == 0 || wall_s < fastest_s) fastest_s = wall_s;
    if (MeasuredAs(pass).backend() == wanted.backend()) alike_s = std::max(alike_s, wall_s);
  }
  if (alike_s > 0) return times * alike_s;
  return times * job::TypicalCostOf(wanted).times_clean * (fastest_s > 0 ? fastest_s : job::kTypicalRunS);
}

}  // namespace sextant::analysis
