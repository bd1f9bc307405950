#include "server/analysis/rules/sites.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/rules/rule.h"

namespace sextant::analysis {
namespace {

absl::string_view Mnemonic(const CodeSite& site) {
  return absl::string_view(site.opcode).substr(0, site.opcode.find('.'));
}

double StalledFor(const CodeSite& site, absl::string_view reason) {
  const auto found = site.stalls.find(std::string(reason));
  return found == site.stalls.end() ? 0 : found->second;
}

}  // namespace

const char* RemedyOf(absl::string_view stall, const StalledPlace& place) {
  // The same reason has several causes, and the instruction tells which.
  if (place.site != nullptr) {
    const absl::string_view awaited = place.site->awaited;
    if (stall == "barrier" && absl::StartsWith(place.site->opcode, "WARPGROUP")) return RemedyOf("gmma", {});
    if (absl::StartsWith(awaited, "ST") || absl::StartsWith(awaited, "RED"))
      return "registers are needed again before stores have read them: fewer and wider stores, or through shared memory and one bulk copy";
    if (awaited == "SYNCS") return "an mbarrier is waited for: have the copy or the arrival that completes it asked for earlier";
    if (stall == "long_scoreboard" && awaited == "LDGSTS")
      return "copies into shared memory are waited for: ask for them more iterations ahead (more stages)";
  }

  struct Remedy {
    absl::string_view stall;
    const char* text;
  };
  static constexpr Remedy kRemedies[] = {
      {"long_scoreboard", "issue loads from global memory earlier: prefetch, pipeline deeper, or copy asynchronously"},
      {"short_scoreboard", "shared memory or special functions answer late: read them earlier, or less"},
      {"barrier", "warps wait for each other: balance their work between barriers, or synchronise fewer of them"},
      {"wait", "dependent instructions follow each other: interleave independent work in a warp"},
      {"math_pipe_throttle", "one execution pipe is full: use another instruction mix"},
      {"mio_throttle", "the shared-memory and special-function queue is full: wider and fewer accesses"},
      {"lg_throttle", "the queue for global and local memory is full: wider and fewer accesses"},
      {"gmma", "the tensor cores are waited for: keep more than one group of products in flight"},
      {"no_instruction", "instructions are fetched late: a smaller loop body"},
      {"branch_resolving", "branches are waited for: fewer of them in the inner loop"},
      {"drain", "stores are waited for at the end of warps: store earlier or coalesced"},
      {"membar", "memory fences are waited for: weaker or fewer fences"},
      {"imc_miss", "constants miss their cache: pass them in registers"},
  };
  for (const Remedy& one : kRemedies)
    if (one.stall == stall) return one.text;
  return nullptr;
}

StalledPlace MostStalled(const Facts& facts, absl::string_view reason, absl::string_view region) {
  struct Place {
    const CodeSite* most = nullptr;
    double samples = 0;
  };
  std::map<std::string, Place> places;
  for (const CodeSite& site : facts.sites) {
    const double samples = StalledFor(site, reason);
    if (!(samples > 0) || site.recorder || (!region.empty() && site.region != region)) continue;
    Place& place = places[site.where.empty() ? absl::StrCat(site.pc) : site.where];
    place.samples += samples;
    if (place.most == nullptr || samples > StalledFor(*place.most, reason)) place.most = &site;
  }
  StalledPlace most{nullptr, kPlaceMatters};
  for (const auto& [where, place] : places)
    if (place.samples >= most.samples) most = {place.most, place.samples};
  return most;
}

StalledPlace MostStalledAtProducts(const Facts& facts) {
  StalledPlace most{nullptr, kPlaceMatters};
  for (const CodeSite& site : facts.sites)
    if (absl::StartsWith(site.opcode, "WARPGROUP") && StalledFor(site, "barrier") >= most.samples) most = {&site, StalledFor(site, "barrier")};
  return most;
}

std::string PlaceText(const StalledPlace& place) {
  if (place.site == nullptr) return "";
  const CodeSite& site = *place.site;
  const bool store = absl::StartsWith(site.awaited, "ST");
  return absl::StrCat(SiteText(site),
                      site.waits_for.empty() ? ""
                      : store                ? absl::StrCat(", until ", site.waits_for, " has read its registers")
                                             : absl::StrCat(", for ", site.waits_for),
                      " (", Percent(place.samples), " of the kernel's samples)");
}

size_t RolesRecorded(const Facts& facts) {
  std::set<std::string> roles;
  if (facts.timeline)
    for (const v1::RegionAggregate& one : facts.timeline->regions()) roles.insert(one.role());
  if (facts.costs)
    for (const v1::RegionCost& one : facts.costs->regions()) roles.insert(one.role());
  return roles.size();
}

bool ParksAtBarriers(const Facts& facts) {
  if (RolesRecorded(facts) < 2) return false;
  double inside = 0, outside = 0;
  for (const CodeSite& site : facts.sites) {
    const double samples = absl::StartsWith(site.opcode, "WARPGROUP") ? 0 : StalledFor(site, "barrier");
    (site.region.empty() ? outside : inside) += samples;
  }
  return outside > inside;
}

std::string StallOfRegion(const Facts& facts, absl::string_view region, double* share) {
  std::map<std::string, double> reasons;
  double all = 0;
  for (const CodeSite& site : facts.sites) {
    if (site.region != region) continue;
    all += site.samples;
    for (const auto& [reason, part] : site.stalls) reasons[reason] += part;
  }
  std::string most;
  for (const auto& [reason, part] : reasons)
    if (reason != "selected" && (most.empty() || part > reasons[most])) most = reason;
  *share = most.empty() || !(all > 0) ? NAN : reasons[most] / all;
  return most;
}

std::vector<AccessPlace> PlacesOfKind(const Facts& facts, std::initializer_list<absl::string_view> mnemonics) {
  std::map<std::pair<std::string, std::string>, AccessPlace> places;
  for (const CodeSite& site : facts.sites) {
    if (site.recorder || std::find(mnemonics.begin(), mnemonics.end(), Mnemonic(site)) == mnemonics.end()) continue;
    AccessPlace& place = places[{site.where.empty() ? absl::StrCat(site.pc) : site.where, site.opcode}];
    if (place.site == nullptr) place.site = &site;
    ++place.instructions;
    if (site.executed > 0) place.executed += site.executed;
  }
  std::vector<AccessPlace> order;
  for (const auto& [where, place] : places) order.push_back(place);
  std::stable_sort(order.begin(), order.end(), [](const AccessPlace& a, const AccessPlace& b) { return a.executed > b.executed; });
  return order;
}

std::string PlaceText(const AccessPlace& place) {
  const std::string times = place.executed > 0 ? absl::StrCat(Figure(place.executed), " times a launch by warps") : "";
  const std::string number = place.instructions > 1 ? absl::StrCat(place.instructions, " instructions") : "";
  return absl::StrCat(SiteText(*place.site), times.empty() && number.empty() ? "" : " (", number,
                      times.empty() || number.empty() ? "" : ", ", times, times.empty() && number.empty() ? "" : ")");
}

std::string LinesOfRegion(const Facts& facts, absl::string_view region, size_t most) {
  std::map<std::string, double> lines;
  double all = 0;
  for (const CodeSite& site : facts.sites) {
    if (site.region != region || site.recorder) continue;
    all += site.samples;
    if (!site.where.empty()) lines[site.where] += site.samples;
  }
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [where, samples] : lines)
    if (samples > 0.05 * all) order.push_back({-samples, where});
  std::sort(order.begin(), order.end());
  std::string text;
  for (size_t i = 0; i < std::min(most, order.size()); ++i)
    absl::StrAppend(&text, i > 0 ? ", " : "", order[i].second, " (", Percent(-order[i].first / all), ")");
  return text;
}

}  // namespace sextant::analysis
