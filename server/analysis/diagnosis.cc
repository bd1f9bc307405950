#include "server/analysis/diagnosis.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr const char* kBounds[] = {"memory-bound", "compute-bound", "instruction-issue-bound", "latency-bound"};

int RankOf(const std::string& confidence) {
  return confidence == "high" ? 0 : confidence == "medium" ? 1 : 2;
}

// Of all time the GPU is busy.
double Weight(const Facts& facts) {
  return std::isnan(facts.share_of_gpu_time) ? 1 : facts.share_of_gpu_time;
}

// One sentence about one kernel: its time, what bounds it, what promises most.
std::string VerdictOn(const Facts& facts, const std::vector<const v1::Finding*>& findings) {
  std::string verdict = facts.kernel.empty() ? "The program" : KernelTitle(facts.kernel);
  if (facts.clean_ns.known())
    absl::StrAppend(&verdict, " takes ", Duration(facts.clean_ns.value), " a launch");
  const v1::Finding* bound = nullptr;
  for (const char* rule : kBounds)
    for (const v1::Finding* one : findings)
      if (bound == nullptr && one->rule() == rule) bound = one;
  if (bound != nullptr)
    absl::StrAppend(&verdict, facts.clean_ns.known() ? ". " : ": ", bound->claim());
  else
    absl::StrAppend(&verdict, facts.clean_ns.known() ? "; what" : ": what",
                    " bounds it could not be judged from these passes");
  const v1::Finding* best = nullptr;
  for (const v1::Finding* one : findings)
    if (one != bound && !std::isnan(one->saves_share()) && one->saves_share() > 0.005 &&
        (best == nullptr || one->saves_share() > best->saves_share()))
      best = one;
  if (best != nullptr)
    absl::StrAppend(&verdict, ". Most promising: ", best->rule(),
                    best->region().empty() ? "" : absl::StrCat(" (", best->region(), ")"), ", at most ",
                    Percent(best->saves_share()), " of its time");
  return absl::StrCat(verdict, ".");
}

}  // namespace

v1::Diagnosis Diagnose(absl::Span<const Facts> kernels, uint32_t top) {
  v1::Diagnosis diagnosis;
  for (const Rule& rule : Rules()) diagnosis.add_rules(rule.name);
  struct Weighed {
    v1::Finding finding;
    double weight = 1;
    size_t order = 0;
  };
  std::vector<Weighed> weighed;
  std::vector<v1::Abstention> abstentions;
  std::set<std::string> asked;
  std::set<std::string> said;   // about the task rather than one kernel: once
  std::vector<std::string> verdicts;
  for (const Facts& facts : kernels) {
    const size_t first = weighed.size();
    for (const Rule& rule : Rules()) {
      Judgement judgement;
      rule.judge(facts, &judgement);
      for (v1::Finding& finding : judgement.findings) {
        finding.set_rule(rule.name);
        finding.set_source(rule.source);
        finding.set_kernel(facts.kernel);
        if (!said.insert(absl::StrCat(rule.name, "\n", finding.claim())).second) continue;
        weighed.push_back({std::move(finding), Weight(facts), weighed.size()});
      }
      for (v1::Abstention& abstention : judgement.abstentions) {
        if (kernels.size() > 1 && !facts.kernel.empty())
          abstention.set_question(absl::StrCat(KernelTitle(facts.kernel), ": ", abstention.question()));
        if (asked.insert(abstention.question()).second) abstentions.push_back(std::move(abstention));
      }
    }
    std::vector<const v1::Finding*> of_kernel;
    for (size_t i = first; i < weighed.size(); ++i) of_kernel.push_back(&weighed[i].finding);
    verdicts.push_back(VerdictOn(facts, of_kernel));
  }
  std::sort(weighed.begin(), weighed.end(), [](const Weighed& a, const Weighed& b) {
    const auto key = [](const Weighed& one) {
      const double saves = one.finding.saves_share();
      return std::make_tuple(std::isnan(saves), std::isnan(saves) ? 0 : -saves * one.weight,
                             RankOf(one.finding.confidence()), one.order);
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
