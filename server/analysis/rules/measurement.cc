// Whether the numbers can be trusted: clocks, noise, perturbation.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kThrottledMatters = 0.01;   // of the passes' time
constexpr double kClockLow = 0.95;           // of the highest
constexpr double kNoisy = 0.1;               // (P80 − P20) ÷ P50 of clean launches
constexpr uint64_t kEnoughLaunches = 3;

constexpr char kCleanPass[] = "activity:light=1*5";

void Throttling(const Facts& facts, Judgement* out) {
  if (!facts.clock_mhz.known() && !facts.throttled_share.known() && facts.throttle_reasons.empty())
    return out->Abstain("whether clocks were held back", "no pass recorded clocks", kCleanPass);
  const bool held = facts.throttled_share.known() && facts.throttled_share.value >= kThrottledMatters;
  const bool low = facts.clock_mhz.known() && facts.max_clock_mhz.known() &&
                   facts.clock_mhz.value < kClockLow * facts.max_clock_mhz.value;
  if (!held && !low) return;
  const double ratio = facts.max_clock_mhz.value > 0 ? facts.clock_mhz.value / facts.max_clock_mhz.value : NAN;
  v1::Finding* finding = out->Say(
      absl::StrCat("Clock throttling", facts.throttle_reasons.empty() ? "" : absl::StrCat(" (", facts.throttle_reasons, ")"),
                   held ? absl::StrCat(": clocks were held back ", Percent(facts.throttled_share.value), " of the time")
                        : absl::StrCat(": SMs ran at ", Figure(facts.clock_mhz.value), " MHz under this load, at ",
                                       Figure(facts.max_clock_mhz.value), " before and after")),
      held || !facts.throttle_reasons.empty() ? "high" : "medium", std::isnan(ratio) ? NAN : 1 - ratio,
      std::isnan(ratio) ? "" : "1 − clock ÷ highest clock, of what the SMs bound",
      {&facts.throttled_share, &facts.clock_mhz, &facts.max_clock_mhz});
  finding->add_try_this("compare only runs at the same clock; lock it (nvidia-smi -lgc) or let the GPU cool");
}

void Noise(const Facts& facts, Judgement* out) {
  if (facts.kernel.empty()) return;
  if (!facts.clean_ns.known() || facts.clean_launches < kEnoughLaunches)
    return out->Abstain("how long the kernel takes, and how much that varies",
                        absl::StrCat(facts.clean_launches, " clean launches were timed, fewer than ", kEnoughLaunches),
                        kCleanPass);
  if (!(facts.clean_spread.value > kNoisy)) return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Noise: the same launch differs by ", Percent(facts.clean_spread.value),
                   " from time to time, so a change smaller than that cannot be judged from few of them"),
      facts.clean_launches >= 10 ? "high" : "medium", NAN, "", {&facts.clean_spread, &facts.clean_ns});
  finding->add_try_this("warm up, keep other work off the GPU, run more clean passes (activity:light=1*20)");
}

void Perturbed(const Facts& facts, Judgement* out) {
  for (const v1::Perturbation& one : facts.perturbation) {
    if (one.verdict() != "flagged" && one.verdict() != "disturbed") continue;
    Fact fact = MakeFact(one.backend(), "launch ÷ clean launch", one.ratio(), "",
                         {one.pass_ids().begin(), one.pass_ids().end()});
    v1::Finding* finding = out->Say(
        absl::StrCat("Perturbation: under ", one.backend(), " a launch takes ", Figure(one.ratio()),
                     " times as long as a clean one; its times are not the program's"),
        "high", NAN, "", {&fact});
    if (!one.why().empty()) finding->add_evidence(one.why());
    finding->add_try_this(absl::StartsWith(one.backend(), "scopes") && !absl::StrContains(one.backend(), "ctas=")
                              ? "record fewer regions, or a sample of the CTAs (scopes:ctas=1/16)"
                              : "record fewer regions");
  }
}

constexpr Rule kRules[] = {
    {"clock-throttling", "clocks held back 1 % of the time or more, or below 95 % of the highest",
     Throttling},
    {"noise", "(P80 − P20) ÷ P50 of clean launches above 0.1, or fewer than 3", Noise},
    {"perturbation", "instrumented ÷ clean launch above 1.15 (docs/decisions)", Perturbed},
};

}  // namespace

absl::Span<const Rule> MeasurementRules() { return kRules; }

}  // namespace sextant::analysis
