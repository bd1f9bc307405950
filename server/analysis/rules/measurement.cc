// Whether the numbers can be trusted: clocks, noise, perturbation.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kHeldBackMatters = 0.01;    // of the passes' time
constexpr double kClockUneven = 0.02;        // (highest − lowest) ÷ median
constexpr double kNoisy = 0.1;               // (P80 − P20) ÷ P50 of clean launches
constexpr uint64_t kEnoughLaunches = 3;

constexpr char kCleanPass[] = "activity:light=1*5";

void Throttling(const Facts& facts, Judgement* out) {
  constexpr char kQuestion[] = "whether clocks were held back";
  if (!facts.held_back_known) return out->Abstain(kQuestion, "no pass recorded the driver's reasons", kCleanPass);
  const Facts::HeldBack* worst = nullptr;
  std::vector<std::string> reasons;
  for (const Facts::HeldBack& one : facts.held_back) {
    if (one.share.known() && one.share.value < kHeldBackMatters) continue;
    reasons.push_back(one.reason);
    if (worst == nullptr || one.share.value > worst->share.value) worst = &one;
  }
  if (worst == nullptr) return;
  const double ratio = facts.max_clock_mhz.value > 0 ? facts.clock_mhz.value / facts.max_clock_mhz.value : NAN;
  v1::Finding* finding = out->Say(
      absl::StrCat("Clocks were held back: ", absl::StrJoin(reasons, ", "),
                   worst->share.known() ? absl::StrCat(", ", Percent(worst->share.value), " of the time of the passes that timed kernels") : "",
                   std::isnan(ratio) ? "" : absl::StrCat("; SMs ran at ", Figure(facts.clock_mhz.value), " of ", Figure(facts.max_clock_mhz.value), " MHz")),
      worst->share.known() ? "high" : "medium",
      {.most = 1 - ratio, .formula = "1 − clock ÷ highest clock seen, of what the SMs bound"},
      {&worst->share, &facts.clock_mhz, &facts.max_clock_mhz});
  for (const Facts::HeldBack& one : facts.held_back)
    if (!one.share.known()) {
      finding->add_evidence(one.share.evidence);
      for (const int64_t id : one.share.pass_ids) finding->add_pass_ids(id);
    }
  const bool heat = std::any_of(reasons.begin(), reasons.end(), [](const std::string& one) {
    return one == "heat" || absl::StrContains(one, "thermal");
  });
  const bool power = std::any_of(reasons.begin(), reasons.end(), [](const std::string& one) { return absl::StrContains(one, "power"); });
  if (heat) finding->add_try_this("let the GPU cool between passes, or see to its cooling");
  if (power) finding->add_try_this("the power limit decides the clock (nvidia-smi -q -d POWER): less data moved and fewer bits switched is faster here");
  finding->add_try_this("compare only runs at the same clock; lock it below where it is held back (nvidia-smi -lgc)");
}

void UnevenClock(const Facts& facts, Judgement* out) {
  if (!(facts.clock_spread.value > kClockUneven)) return;   // one pass, or none that measured it: nothing is joined over clocks
  v1::Finding* finding = out->Say(
      absl::StrCat("The SM clock differs by ", Percent(facts.clock_spread.value),
                   " between the passes that recorded regions: their times in ns do too, their cycles do not"),
      "high", {}, {&facts.clock_spread, &facts.clock_mhz});
  finding->add_try_this("lock the clock (nvidia-smi -lgc), or judge in cycles");
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
      facts.clean_launches >= 10 ? "high" : "medium", {}, {&facts.clean_spread, &facts.clean_ns});
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
        "high", {}, {&fact});
    if (!one.why().empty()) finding->add_evidence(one.why());
    finding->add_try_this(absl::StartsWith(one.backend(), "scopes") && !absl::StrContains(one.backend(), "ctas=")
                              ? "record fewer regions, or a sample of the CTAs (scopes:ctas=1/16)"
                              : "record fewer regions");
  }
}

constexpr Rule kRules[] = {
    {"clock-throttling", "the driver's reasons (nvmlClocksEventReasons, without idle and application clocks) and its clocks of "
                         "time held back, 1 % of the passes or more",
     SavedFrom::kClock, Throttling},
    {"uneven-clock", "SM clock of the joined passes, (highest − lowest) ÷ median above 0.02", SavedFrom::kNothing, UnevenClock},
    {"noise", "(P80 − P20) ÷ P50 of clean launches above 0.1, or fewer than 3", SavedFrom::kNothing, Noise},
    {"perturbation", "instrumented ÷ clean launch above 1.15 (docs/decisions)", SavedFrom::kNothing, Perturbed},
};

}  // namespace

absl::Span<const Rule> MeasurementRules() { return kRules; }

}  // namespace sextant::analysis
