// How the parts of the kernel wait for each other: pipelines, barriers, roles, waves.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/rules/sites.h"
#include "server/analysis/rules/units.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kExposedMatters = 0.1;        // of the critical path
constexpr double kOnPathMatters = 0.1;
constexpr double kTenthMatters = 0.005;        // of the span, that a tenth less saves
constexpr double kLoadStallsMatter = 0.3;      // of warp time
constexpr double kBarrierStallsMatter = 0.15;  // of warp time
constexpr double kStarves = 0.4;               // of a role's time
constexpr double kTailMatters = 0.1;           // of the SMs' time
constexpr double kIdleSmsMatter = 0.1;         // of the SMs
constexpr double kStallsOfRegionMatter = 0.3;  // of a region's samples, that its advice is about them
constexpr double kVaries = 0.5;                // (P80 − P20) ÷ P50
constexpr double kVaryingMatters = 0.1;        // of the role's time

bool IsWait(absl::string_view region) { return absl::StartsWith(region, "wait "); }

// The path of the median run; null without one.
const v1::CriticalPathAt* MedianPath(const Facts& facts) {
  if (!facts.path || facts.path->paths().empty()) return nullptr;
  const v1::CriticalPathAt* best = &facts.path->paths(0);
  for (const v1::CriticalPathAt& at : facts.path->paths())
    if (std::abs(at.quantile() - 0.5) < std::abs(best->quantile() - 0.5)) best = &at;
  return best;
}

// The speedup if the region took `shorten_pct` less, as a share of the span; NaN: not asked.
double WhatIfSaves(const Facts& facts, const v1::PathShare& share, double shorten_pct) {
  for (const v1::WhatIfResult& one : facts.path->what_if())
    if (one.what().region() == share.region() && (one.what().role().empty() || one.what().role() == share.role()) &&
        one.what().shorten_pct() == shorten_pct)
      return one.speedup_pct() / 100;
  return NAN;
}

Fact PathFact(const Facts& facts, const v1::CriticalPathAt& at, const v1::PathShare& share) {
  Fact fact;
  fact.value = share.share();
  for (const v1::PassSet& set : facts.path->basis().passes())
    if (set.left_out().empty() && set.used_for() == "critical path")
      fact.pass_ids.insert(fact.pass_ids.end(), set.pass_ids().begin(), set.pass_ids().end());
  fact.evidence = absl::StrCat("critical path: ", share.role(), "/", share.region(), " ",
                               Duration(share.on_path_ns()), " of ", Duration(at.span_ns()), ", ",
                               Percent(share.share()), " (", PassNames(fact.pass_ids), ")");
  return fact;
}

// Its share of the path, what runs beside it, and where in the code its time goes, as evidence.
void Describe(const Facts& facts, absl::string_view region, const std::string& role, v1::Finding* finding) {
  if (facts.timeline)
    for (const v1::RoleOverlap& one : facts.timeline->overlaps())
      if (one.region() == region && one.other_region().empty() && (role.empty() || absl::StrContains(role, one.role())))
        finding->add_evidence(absl::StrCat("timeline: ", Percent(one.hidden_share()), " of its ", Duration(one.busy_ns()),
                                           " in a CTA passes while role ", one.other_role(), " works"));
  double share = NAN;
  const std::string stall = StallOfRegion(facts, region, &share);
  if (!stall.empty() && share >= 0.1) {
    const StalledPlace place = MostStalled(facts, stall, region);
    finding->add_evidence(absl::StrCat("pcsampling: warps in it wait ", Percent(share), " of their samples for ", stall,
                                       place.site == nullptr ? "" : absl::StrCat(", most at ", PlaceText(place))));
  }
  if (const std::string lines = LinesOfRegion(facts, region, 3); !lines.empty())
    finding->add_evidence(absl::StrCat("lines with most of its samples: ", lines));
}

// The barrier that a wait waits for, as recorded: who signals it, and how often it had to wait.
const v1::BarrierEdge* EdgeOf(const Facts& facts, absl::string_view region, const std::string& role) {
  for (const v1::BarrierEdge& edge : facts.path->edges())
    if (absl::StrCat("wait ", edge.barrier()) == region && (role.empty() || edge.to_role() == role)) return &edge;
  return nullptr;
}

void ExposedLatency(const Facts& facts, Judgement* out) {
  constexpr char kQuestion[] = "whether the latency of loads is hidden";
  if (const v1::CriticalPathAt* at = MedianPath(facts)) {
    for (const v1::PathShare& share : at->shares()) {
      if (!IsWait(share.region()) || share.share() < kExposedMatters) continue;
      const Fact on_path = PathFact(facts, *at, share);
      const double hidden = WhatIfSaves(facts, share, 100), tenth = WhatIfSaves(facts, share, 10);
      bool round = false;   // the path comes back through a wait for a free stage
      for (const v1::PathShare& other : at->shares())
        round |= IsWait(other.region()) && other.role() != share.role() && other.share() > 0.01;
      Saving saving;
      if (std::isnan(hidden))
        saving = {.most = OfKernel(facts, share.share(), at->span_ns()), .formula = "its share of the path"};
      else
        saving = {.least = std::isnan(tenth) ? 0 : OfKernel(facts, tenth, at->span_ns()),
                  .most = OfKernel(facts, hidden, at->span_ns()),
                  .formula = absl::StrCat("replaying the run with ", std::isnan(tenth) ? "" : "a tenth, and with ",
                                          "all of that time hidden")};
      v1::Finding* finding = out->Say(
          absl::StrCat("Exposed latency: ", Percent(share.share()), " of the critical path is the time from a signal to the "
                       "end of \"", share.region(), "\" of ", RoleWords(share.role()),
                       round ? "; the path goes round the ring of stages, so all of them are in flight" : ""),
          facts.path->basis().abstentions().empty() ? "high" : "medium", Within(LeftInside(facts), std::move(saving)),
          {&on_path});
      finding->set_region(share.region());
      std::string barrier;
      if (const v1::BarrierEdge* edge = EdgeOf(facts, share.region(), share.role())) {
        finding->add_evidence(absl::StrCat("barrier \"", edge->barrier(), "\": ", edge->from_role(), " signals, ", edge->to_role(), " waits ",
                                           Duration(edge->wait_ns()), " in the median; ", Percent(edge->late_share()), " of the waits had to wait"));
        barrier = absl::StrCat(" that ", edge->from_role(), " fills (barrier \"", edge->barrier(), "\")");
      }
      Describe(facts, share.region(), share.role(), finding);
      if (round) {
        finding->add_try_this(absl::StrCat("more stages in the ring", barrier, ", or smaller ones; release a stage as soon as it has been read"));
        finding->add_try_this("make the round shorter: ask for copies earlier in it, or in fewer and larger pieces");
      } else {
        finding->add_try_this(absl::StrCat("ask for the data", barrier, " earlier: prefetch before what precedes the wait"));
      }
    }
    return;
  }
  const auto stall = facts.stalls.find("long_scoreboard");
  if (stall == facts.stalls.end() || !stall->second.known()) {
    out->Abstain(kQuestion, "neither a critical path nor stall reasons are known", "pcsampling");
    return;
  }
  if (stall->second.value < kLoadStallsMatter) return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Exposed latency: warps wait ", Percent(stall->second.value),
                   " of their time for data from global memory"),
      "medium", Within(LeftInside(facts), {.most = stall->second.value, .formula = "the time they wait"}), {&stall->second});
  const StalledPlace place = MostStalled(facts, "long_scoreboard", "");
  if (place.site != nullptr) finding->add_evidence(absl::StrCat("pcsampling: most at ", PlaceText(place)));
  const bool named = place.site != nullptr && !place.site->waits_for.empty();
  finding->add_try_this(absl::StrCat("load earlier", named ? absl::StrCat(" (", place.site->waits_for, ")") : "",
                                     ": software pipelining, asynchronous copies into shared memory, more stages"));
}

void LongestRegion(const Facts& facts, Judgement* out) {
  const v1::CriticalPathAt* at = MedianPath(facts);
  if (at == nullptr) {
    const std::string pass = facts.path && !facts.path->basis().abstentions().empty()
                                 ? facts.path->basis().abstentions(0).pass()
                                 : "scopes";
    return out->Abstain("which regions the run depends on",
                        facts.path && !facts.path->basis().abstentions().empty()
                            ? facts.path->basis().abstentions(0).why()
                            : "no pass recorded regions with waits and signals",
                        pass);
  }
  std::map<std::string, v1::PathShare> regions;   // over roles
  std::map<std::string, std::vector<std::string>> roles;
  for (const v1::PathShare& share : at->shares()) {
    if (IsWait(share.region()) || share.region() == "(outside)") continue;
    auto [found, added] = regions.try_emplace(share.region(), share);
    roles[share.region()].push_back(share.role());
    if (added) continue;
    found->second.set_share(found->second.share() + share.share());
    found->second.set_on_path_ns(found->second.on_path_ns() + share.on_path_ns());
  }
  for (auto& [region, share] : regions) {
    if (share.share() < kOnPathMatters) continue;
    const double tenth = WhatIfSaves(facts, share, 10);
    if (tenth < kTenthMatters) continue;   // another way is as long
    share.set_role(absl::StrJoin(roles[region], "+"));
    const Fact on_path = PathFact(facts, *at, share);
    Saving saving;
    if (!std::isnan(tenth))
      saving = {.least = OfKernel(facts, tenth, at->span_ns()),
                .most = OfKernel(facts, std::min(share.share() / 2, 5 * tenth), at->span_ns()),
                .formula = "replaying the run with the region a tenth shorter, and five times that for half its time"};
    v1::Finding* finding = out->Say(
        absl::StrCat("Critical region: \"", region, "\" of ", share.role(), " is ", Percent(share.share()),
                     " of the critical path"),
        "high", Within(LeftInside(facts), std::move(saving)), {&on_path});
    finding->set_region(region);
    Describe(facts, region, share.role(), finding);
    double of_region = NAN;
    const std::string stall = StallOfRegion(facts, region, &of_region);
    const char* const remedy = of_region >= kStallsOfRegionMatter ? RemedyOf(stall, MostStalled(facts, stall, region)) : nullptr;
    finding->add_try_this(remedy == nullptr
                              ? absl::StrCat("shorten \"", region, "\", or overlap it with what comes before or after")
                              : absl::StrCat("shorten \"", region, "\": ", remedy));
    if (remedy != nullptr) finding->add_try_this(absl::StrCat("or overlap \"", region, "\" with what comes before or after"));
  }
}

void BarrierImbalance(const Facts& facts, Judgement* out) {
  constexpr char kQuestion[] = "whether warps wait for each other at barriers";
  const auto stall = facts.stalls.find("barrier");
  if (facts.stalls.empty()) return out->Abstain(kQuestion, "no pass counted or sampled stall reasons", "pcsampling");
  if (stall == facts.stalls.end() || !(stall->second.value >= kBarrierStallsMatter)) return;
  const bool products = facts.Metric("sm__inst_executed_pipe_tensor_op_gmma.sum").value > 0;
  if (products && !facts.product_wait_share.known())
    return out->Abstain(kQuestion,
                        "waiting for asynchronous products counts as a barrier too; samples by instruction tell them apart",
                        "pcsampling");
  double share = stall->second.value - (facts.product_wait_share.known() ? facts.product_wait_share.value : 0);
  if (share < kBarrierStallsMatter) return;
  // Where the samples stand, without waiting for products.
  StalledPlace most{nullptr, kPlaceMatters};
  double inside = 0, known = 0;
  for (const CodeSite& site : facts.sites) {
    const auto found = site.stalls.find("barrier");
    if (found == site.stalls.end() || absl::StartsWith(site.opcode, "WARPGROUP")) continue;
    known += found->second;
    if (!site.region.empty()) inside += found->second;
    if (found->second >= most.samples) most = {&site, found->second};
  }
  // Roles that have nothing to do stand at the barrier at which they begin or end, and nobody waits for them.
  if (RolesRecorded(facts) > 1) {
    if (known > 0 && inside < kBarrierStallsMatter)
      return out->Abstain(kQuestion,
                          absl::StrCat("warps of the kernel have roles, and of those that stand at barriers most stand outside the regions of "
                                       "any role (", PlaceText(most), "): where roles begin and end, that delays nobody"),
                          "");
    if (known > 0) share = std::min(share, inside);
  }
  v1::Finding* finding = out->Say(
      absl::StrCat("Barrier imbalance: warps stand ", Percent(share),
                   " of their time at barriers of the CTA, waiting for the last one"),
      "medium", Within(LeftInside(facts), {.most = share, .formula = "the time they stand there"}),
      {&stall->second, &facts.product_wait_share});
  if (most.site != nullptr)
    finding->add_evidence(absl::StrCat("pcsampling: most at ", PlaceText(most),
                                       most.site->region.empty() ? "" : absl::StrCat(", in \"", most.site->region, "\"")));
  finding->add_try_this("give warps equal work between barriers, synchronise only those that exchange data (named "
                        "barriers, mbarrier), or split arriving from waiting");
}

void RoleStarvation(const Facts& facts, Judgement* out) {
  constexpr char kQuestion[] = "whether a role starves";
  if (!facts.costs || facts.costs->regions().empty())
    return out->Abstain(kQuestion, "no pass recorded what the roles of the kernel do", "scopes");
  std::map<std::string, double> waits;   // of a role's time
  std::map<std::string, std::string> longest;
  std::map<std::string, double> longest_share;
  for (const v1::RegionCost& cost : facts.costs->regions()) {
    if (cost.warp() >= 0 || !IsWait(cost.region()) || std::isnan(cost.time_share())) continue;
    waits[cost.role()] += cost.time_share();
    if (cost.time_share() > longest_share[cost.role()]) {
      longest_share[cost.role()] = cost.time_share();
      longest[cost.role()] = cost.region();
    }
  }
  std::vector<int64_t> passes;
  for (const v1::PassSet& set : facts.costs->basis().passes())
    if (set.left_out().empty()) passes.insert(passes.end(), set.pass_ids().begin(), set.pass_ids().end());
  const v1::CriticalPathAt* at = MedianPath(facts);
  for (const auto& [role, share] : waits) {
    if (share < kStarves) continue;
    // A role that waits and is not waited for is no problem of the kernel.
    double on_path = NAN;
    if (at != nullptr) {
      on_path = 0;
      for (const v1::PathShare& one : at->shares())
        if (one.role() == role && IsWait(one.region())) on_path += one.share();
      if (on_path < kOnPathMatters) continue;
    }
    Fact fact;
    fact.value = share;
    fact.pass_ids = passes;
    fact.evidence = absl::StrCat("region costs: ", RoleWords(role), " waits ", Percent(share), " of its time (",
                                 PassNames(passes), ")");
    v1::Finding* finding = out->Say(
        absl::StrCat("Role starvation: ", role, " waits ", Percent(share), " of its time, most in \"", longest[role], "\""),
        at == nullptr ? "medium" : "high",
        Within(LeftInside(facts),
               {.most = std::isnan(on_path) ? share : OfKernel(facts, on_path, at->span_ns()),
                .formula = std::isnan(on_path) ? "the time it waits" : "its waits on the critical path"}),
        {&fact});
    finding->set_region(longest[role]);
    finding->add_try_this("shift work or warps to the role it waits for, or let that one run further ahead");
  }
}

void TailWave(const Facts& facts, Judgement* out) {
  if (facts.occupancy && !facts.occupancy->resident_ctas().empty()) {
    const v1::OccupancyOverTime& occupancy = *facts.occupancy;
    if (!(occupancy.tail_loss_share() >= kTailMatters)) return;
    const bool sampled = occupancy.ctas_seen() < occupancy.ctas();
    Fact tail;
    tail.value = occupancy.tail_loss_share();
    for (const v1::PassSet& set : occupancy.basis().passes())
      if (set.left_out().empty()) tail.pass_ids.insert(tail.pass_ids.end(), set.pass_ids().begin(), set.pass_ids().end());
    tail.evidence = absl::StrCat("occupancy: ", Percent(tail.value), " of the SMs' time is idle in the last ",
                                 Duration(occupancy.tail_ns()), " (", PassNames(tail.pass_ids), ")");
    v1::Finding* finding = out->Say(
        absl::StrCat("Tail: from the first SM that runs dry to the end ", Percent(tail.value), " of the SMs' time is lost",
                     occupancy.waves_size() > 1 ? absl::StrCat(", over ", occupancy.waves_size(), " waves") : ""),
        sampled ? "low" : "high",
        Within(LeftOfAll(facts), {.most = tail.value,
                                  .formula = sampled ? "the SM time idle in the tail ÷ all SM time, of the CTAs that were recorded"
                                                     : "the SM time idle in the tail ÷ all SM time of the launch"}),
        {&tail});
    finding->add_try_this("smaller or more even CTAs; persistent CTAs that fetch tiles; split the last tiles along K");
    return;
  }
  if (!facts.ctas.known() || !facts.ctas_per_sm.known() || !(facts.sms > 0))
    return out->Abstain("whether the last wave leaves SMs idle",
                        "neither when CTAs ran is known, nor how many an SM holds", "scopes");
  const double waves = facts.ctas.value / (facts.sms * facts.ctas_per_sm.value);
  const double lost = 1 - waves / std::ceil(waves);
  if (waves <= 1 || lost < kTailMatters) return;
  v1::Finding* finding = out->Say(
      absl::StrFormat("Tail: %s CTAs are %.2f waves of what the SMs hold at once; the last wave is not full", Figure(facts.ctas.value), waves),
      "low",
      Within(LeftOfAll(facts), {.most = lost, .formula = absl::StrCat("1 − ", Figure(waves), " ÷ ", Figure(std::ceil(waves)),
                                                                      ", were all CTAs equally long")}),
      {&facts.ctas, &facts.ctas_per_sm});
  finding->add_try_this("choose the grid as a multiple of what the SMs hold, or persistent CTAs that fetch tiles");
}

void SmallGrid(const Facts& facts, Judgement* out) {
  if (!facts.ctas.known() || !(facts.sms > 0)) {
    if (!facts.kernel.empty())
      out->Abstain("whether the grid fills the GPU", "no pass tells the grid, or the chip is not known", "activity");
    return;
  }
  const double idle = 1 - facts.ctas.value / facts.sms;
  if (idle < kIdleSmsMatter - 1e-9) return;
  v1::Finding* finding = out->Say(
      absl::StrCat("Small grid: ", Figure(facts.ctas.value), " CTAs for ", Figure(facts.sms), " SMs; ", Percent(idle),
                   " of the SMs have nothing to do"),
      "high",
      Within(LeftOfAll(facts), {.most = idle, .formula = "the share of SMs without a CTA, were the work spread over all"}),
      {&facts.ctas});
  if (facts.ctas_per_sm.known()) {
    finding->add_evidence(facts.ctas_per_sm.evidence);
    if (facts.registers && facts.registers->occupancy_pct() < 50 && !facts.registers->limiter().empty())
      finding->add_evidence(absl::StrCat("occupancy by calculation ", Figure(facts.registers->occupancy_pct()), " %, limited by ",
                                         facts.registers->limiter(), ": of no matter as long as no SM gets a second CTA"));
  }
  finding->add_try_this(absl::StrFormat(
      "%s CTAs or more: tiles a factor of %.2g smaller, or the work split along another dimension (split-K)", Figure(facts.sms),
      facts.sms / facts.ctas.value));
  finding->add_try_this("run other kernels beside it");
}

void VaryingRegion(const Facts& facts, Judgement* out) {
  if (!facts.variation) return;   // the timeline's passes are what it needs, and others abstain for them
  const v1::RegionVariation* most = nullptr;
  for (const v1::RegionVariation& one : facts.variation->regions())
    if (one.spread() >= kVaries && one.time_share() >= kVaryingMatters &&
        (most == nullptr || one.spread() * one.time_share() > most->spread() * most->time_share()))
      most = &one;
  if (most == nullptr) return;
  Fact spread;
  spread.value = most->spread();
  for (const v1::PassSet& set : facts.variation->basis().passes())
    if (set.left_out().empty())
      spread.pass_ids.insert(spread.pass_ids.end(), set.pass_ids().begin(), set.pass_ids().end());
  spread.evidence = absl::StrFormat("variation: %s/%s P50 %s, (P80 − P20) ÷ P50 = %.2f over %s instances (%s)",
                                    most->role(), most->region(), Duration(most->median_ns()), most->spread(),
                                    Count(most->count()), PassNames(spread.pass_ids));
  std::string from;
  for (const v1::VarianceComponent& one : most->components())
    if (one.share() >= 0.3 && one.source() != "rest")
      absl::StrAppend(&from, from.empty() ? "; most of it between " : ", ", one.source(), " (", Percent(one.share()), ")");
  v1::Finding* finding = out->Say(absl::StrCat("Variation: \"", most->region(), "\" of ", RoleWords(most->role()), " spreads by ",
                                               Percent(most->spread()), from),
                                  most->count() >= 100 ? "high" : "medium", {}, {&spread});
  finding->set_region(most->region());
  if (most->bimodal() && most->modes_ns_size() == 2)
    finding->add_evidence(absl::StrCat("two modes, ", Duration(most->modes_ns(0)), " and ", Duration(most->modes_ns(1))));
  for (const v1::Association& one : most->goes_with())
    if (one.p_value() < 0.01 && std::abs(one.correlation()) >= 0.3 && finding->evidence_size() < 6)
      finding->add_evidence(absl::StrFormat("goes with %s: %.2f", one.with(), one.correlation()));
  finding->add_try_this("find what the slow instances have in common: sextant variation");
}

constexpr Rule kRules[] = {
    {"exposed-latency", "critical path through waits, 10 % or more, replayed (event_graph.h); without one, long_scoreboard 30 % of warp time",
     SavedFrom::kIdleUnits, ExposedLatency},
    {"critical-region", "10 % of the critical path or more, replayed (event_graph.h)", SavedFrom::kIdleUnits, LongestRegion},
    {"barrier-imbalance", "15 % of warp time at CTA barriers or more", SavedFrom::kIdleUnits, BarrierImbalance},
    {"role-starvation", "a role waits 40 % of its time or more, on the critical path", SavedFrom::kIdleUnits, RoleStarvation},
    {"tail-wave", "10 % of the SMs' time or more; unmeasured, 1 − waves ÷ ⌈waves⌉", SavedFrom::kIdleSms, TailWave},
    {"small-grid", "CTAs for less than 90 % of the SMs", SavedFrom::kIdleSms, SmallGrid},
    {"varying-region", "(P80 − P20) ÷ P50 of 0.5 or more, in 10 % of the role's time", SavedFrom::kNothing, VaryingRegion},
};

}  // namespace

absl::Span<const Rule> PipelineRules() { return kRules; }

}  // namespace sextant::analysis
