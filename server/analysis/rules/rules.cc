#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/rules/rule.h"

namespace sextant::analysis {

v1::Finding* Judgement::Say(std::string claim, absl::string_view confidence, Saving saving,
                            std::initializer_list<const Fact*> stands_on) {
  v1::Finding& finding = findings.emplace_back();
  finding.set_claim(std::move(claim));
  finding.set_confidence(std::string(confidence));
  const double most = std::isnan(saving.most) ? NAN : std::clamp(saving.most, 0.0, 1.0);
  least.push_back(std::isnan(most) ? 0 : std::clamp(std::isnan(saving.least) ? 0 : saving.least, 0.0, most));
  finding.set_saves_share(most);
  std::vector<int64_t> passes;
  for (const Fact* fact : stands_on) {
    if (!fact->known()) continue;
    finding.add_evidence(fact->evidence);
    passes.insert(passes.end(), fact->pass_ids.begin(), fact->pass_ids.end());
  }
  if (!saving.formula.empty() && !std::isnan(most))
    finding.add_evidence(absl::StrCat("saves ", SavingText(least.back(), most), ": ", saving.formula));
  std::sort(passes.begin(), passes.end());
  passes.erase(std::unique(passes.begin(), passes.end()), passes.end());
  for (const int64_t id : passes) finding.add_pass_ids(id);
  return &finding;
}

void Judgement::Abstain(absl::string_view question, absl::string_view why, absl::string_view pass) {
  v1::Abstention& abstention = abstentions.emplace_back();
  abstention.set_question(std::string(question));
  abstention.set_why(std::string(why));
  abstention.set_pass(std::string(pass));
}

absl::Span<const Rule> Rules() {
  static const auto* const rules = [] {
    auto* const all = new std::vector<Rule>();
    for (const auto& group : {BoundRules(), AccessRules(), PipelineRules(), MeasurementRules(), RecordingRules()})
      all->insert(all->end(), group.begin(), group.end());
    return all;
  }();
  return *rules;
}

std::string Percent(double share) {
  const double percent = 100 * share;
  return absl::StrFormat("%.*f %%", std::abs(percent) < 9.95 ? 1 : 0, percent);
}

std::string RoleWords(const std::string& role) {
  if (role.empty()) return "the unnamed role";
  return absl::StartsWith(role, "role ") || absl::StartsWith(role, "all ") ? role : absl::StrCat("role ", role);
}

std::string SavingText(double least, double most) {
  // A share that rounds to the same text as the largest says nothing of its own.
  const std::string small = Percent(least), large = Percent(most);
  if (least < 0.0005 || small == large) return absl::StrCat("at most ", large);
  return absl::StrCat(small.substr(0, small.find(' ')), " to ", large);
}

}  // namespace sextant::analysis
