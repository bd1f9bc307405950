#include "server/analysis/diagnosis.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/rules/units.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr const char* kBounds[] = {"memory-bound", "compute-bound", "instruction-issue-bound", "latency-bound"};

double WeightOf(const std::string& confidence) {
  return confidence == "high" ? kHighWeight : confidence == "medium" ? kMediumWeight : kLowWeight;
}

// What is known of a finding beside itself.
struct Weighed {
  v1::Finding finding;
  SavedFrom from = SavedFrom::kNothing;
  double least = 0;
  size_t kernel = 0;     // 0: it was looked into, or none was; 1: another was
  double weight = 1;     // of the kernel in the GPU's time
  size_t order = 0;

  bool saves() const { return finding.saves_share() > 0; }
  double expected() const { return (least + finding.saves_share()) / 2 * WeightOf(finding.confidence()); }
};

std::string NameOf(const v1::Finding& finding) {
  return finding.region().empty() ? finding.rule() : absl::StrCat(finding.rule(), " (", Shown(finding.region()), ")");
}

// Regions inside it were recorded.
bool LookedInto(const Facts& facts) {
  return (facts.timeline && !facts.timeline->regions().empty()) || (facts.costs && !facts.costs->regions().empty());
}

bool AsksForRegions(const Rule& rule, const v1::Abstention& abstention) {
  return abstention.pass() == "scopes" || rule.name == absl::string_view("critical-region");
}

// Names the rivals of each finding about one kernel. What all save together, as a share of the kernel's time; 0: nothing.
double SettleRivals(const Facts& facts, std::vector<Weighed*> findings) {
  // Fewer accesses in a region of the critical path save of that region's time.
  const auto same_time = [&](const Weighed& work) {
    return std::any_of(findings.begin(), findings.end(), [&](const Weighed* other) {
      return other->from == SavedFrom::kIdleUnits && other->finding.region() == work.finding.region();
    });
  };
  for (Weighed* one : findings)
    if (one->from == SavedFrom::kWork && !one->finding.region().empty() && same_time(*one)) one->from = SavedFrom::kIdleUnits;
  std::map<SavedFrom, std::vector<Weighed*>> pools;
  for (Weighed* one : findings)
    if (one->saves() && one->from != SavedFrom::kNothing && one->from != SavedFrom::kBetween) pools[one->from].push_back(one);
  double kept = 1, kept_idle = 1;
  for (auto& [from, rivals] : pools) {
    double product = 1, sum = 0;
    for (const Weighed* one : rivals) {
      product *= 1 - one->finding.saves_share();
      sum += one->finding.saves_share();
    }
    const bool idle = from == SavedFrom::kIdleUnits || from == SavedFrom::kIdleSms;
    // Times that are idle lie beside each other; work that is spared is spared of what is left.
    const double together = idle ? std::min(sum, LeftFor(from, facts).share) : 1 - product;
    (idle ? kept_idle : kept) *= 1 - together;
    if (rivals.size() < 2) continue;
    for (Weighed* one : rivals) {
      std::vector<std::string> others;
      for (const Weighed* other : rivals)
        if (other != one) others.push_back(NameOf(other->finding));
      const size_t shown = std::min<size_t>(others.size(), 3);
      one->finding.add_evidence(absl::StrCat(
          "not beside ", absl::StrJoin(others.begin(), others.begin() + shown, ", "),
          others.size() > shown ? absl::StrCat(" and ", others.size() - shown, " more") : "",
          ", which save of the same time: together at most ", Percent(together)));
    }
  }
  return 1 - kept * std::max(kept_idle, 1 - LeftOfAll(facts).share);
}

// Of all time the GPU is busy.
double Weight(const Facts& facts) {
  return std::isnan(facts.share_of_gpu_time) ? 1 : facts.share_of_gpu_time;
}

// One sentence about one kernel: its time, what bounds it, what promises most.
std::string VerdictOn(const Facts& facts, const std::vector<const Weighed*>& findings, double together) {
  std::string verdict = facts.kernel.empty() ? "The program" : KernelTitle(facts.kernel);
  if (facts.clean_ns.known())
    absl::StrAppend(&verdict, " takes ", Duration(facts.clean_ns.value), " a launch",
                    facts.share_of_gpu_time < 0.995 ? absl::StrCat(", ", Percent(facts.share_of_gpu_time), " of the GPU's time") : "");
  const v1::Finding* bound = nullptr;
  for (const char* rule : kBounds)
    for (const Weighed* one : findings)
      if (bound == nullptr && one->finding.rule() == rule) bound = &one->finding;
  if (bound != nullptr)
    absl::StrAppend(&verdict, facts.clean_ns.known() ? ". " : ": ", bound->claim());
  else
    absl::StrAppend(&verdict, facts.clean_ns.known() ? "; what" : ": what",
                    " bounds it could not be judged from these passes");
  const Weighed* best = nullptr;
  int saving = 0;
  for (const Weighed* one : findings) {
    if (!one->saves() || one->from == SavedFrom::kNothing) continue;
    if (one->from != SavedFrom::kBetween) ++saving;
    if (&one->finding != bound && one->finding.saves_share() > 0.005 && (best == nullptr || one->expected() > best->expected())) best = one;
  }
  if (best != nullptr)
    absl::StrAppend(&verdict, ". Most promising: ", NameOf(best->finding), ", ", SavingText(best->least, best->finding.saves_share()),
                    " of its time", saving > 1 && together > 0 ? absl::StrCat("; all findings together at most ", Percent(together)) : "");
  return absl::StrCat(verdict, ".");
}

}  // namespace

v1::Diagnosis Diagnose(absl::Span<const Facts> kernels, uint32_t top) {
  v1::Diagnosis diagnosis;
  for (const Rule& rule : Rules()) diagnosis.add_rules(rule.name);
  std::vector<Weighed> weighed;
  std::vector<v1::Abstention> abstentions;
  std::set<std::string> asked;
  std::set<std::string> said;   // about the task rather than one kernel: once
  std::vector<std::string> verdicts;
  const bool some_looked_into = std::any_of(kernels.begin(), kernels.end(), LookedInto);
  for (const Facts& facts : kernels) {
    const size_t first = weighed.size();
    for (const Rule& rule : Rules()) {
      Judgement judgement;
      rule.judge(facts, &judgement);
      for (size_t i = 0; i < judgement.findings.size(); ++i) {
        v1::Finding& finding = judgement.findings[i];
        finding.set_rule(rule.name);
        finding.set_source(rule.source);
        finding.set_kernel(facts.kernel);
        if (!said.insert(absl::StrCat(rule.name, "\n", finding.claim())).second) continue;
        weighed.push_back({.finding = std::move(finding),
                           .from = rule.saved_from,
                           .least = judgement.least[i],
                           .kernel = some_looked_into && !LookedInto(facts) ? size_t{1} : size_t{0},
                           .weight = Weight(facts),
                           .order = weighed.size()});
      }
      for (v1::Abstention& abstention : judgement.abstentions) {
        // What regions would tell is asked of the kernels that somebody looks into.
        if (some_looked_into && !LookedInto(facts) && AsksForRegions(rule, abstention)) continue;
        if (kernels.size() > 1 && !facts.kernel.empty())
          abstention.set_question(absl::StrCat(KernelTitle(facts.kernel), ": ", abstention.question()));
        if (asked.insert(abstention.question()).second) abstentions.push_back(std::move(abstention));
      }
    }
    std::vector<Weighed*> of_kernel;
    for (size_t i = first; i < weighed.size(); ++i) of_kernel.push_back(&weighed[i]);
    const double together = SettleRivals(facts, of_kernel);
    verdicts.push_back(VerdictOn(facts, {of_kernel.begin(), of_kernel.end()}, together));
  }
  std::sort(weighed.begin(), weighed.end(), [](const Weighed& a, const Weighed& b) {
    const auto key = [](const Weighed& one) {
      const bool unknown = std::isnan(one.finding.saves_share());
      return std::make_tuple(one.kernel, unknown, unknown ? 0 : -one.expected() * one.weight, -WeightOf(one.finding.confidence()),
                             one.order);
    };
    return key(a) < key(b);
  });
  const size_t most = top == 0 ? kDefaultFindings : top;
  for (size_t i = 0; i < std::min(most, weighed.size()); ++i)
    *diagnosis.add_findings() = std::move(weighed[i].finding);
  if (weighed.size() > most)
    diagnosis.mutable_basis()->add_notes(
        absl::StrCat(weighed.size() - most, " more findings that could save less are left out"));
  std::map<std::string, int> settles;
  for (const v1::Abstention& one : abstentions) ++settles[one.pass()];
  std::stable_sort(abstentions.begin(), abstentions.end(), [&](const auto& a, const auto& b) {
    const auto key = [&](const v1::Abstention& one) {
      return std::make_pair(one.pass().empty(), -settles[one.pass()]);
    };
    return key(a) < key(b);
  });
  for (v1::Abstention& one : abstentions) *diagnosis.add_abstentions() = std::move(one);
  for (const std::string& verdict : verdicts)
    diagnosis.set_verdict(absl::StrCat(diagnosis.verdict(), diagnosis.verdict().empty() ? "" : " ", verdict));
  return diagnosis;
}

}  // namespace sextant::analysis
