// DrawLoops, FoldLanes and DrawOverlaps of picture.h: lanes whose many instances are a loop.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/picture.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr int kTooMany = 30;          // instances of a lane that are folded
constexpr size_t kOverlapRows = 10;
constexpr double kWorthShowing = 0.01;   // of the longest region

// The loops of each role whose lane has too many instances: the first, and those that come before or after it, in order of time.
std::map<std::string, std::vector<const v1::LoopFold*>> FoldedLanes(const v1::Timeline& timeline, const Bounds& b) {
  std::map<std::string, std::vector<const v1::LoopFold*>> folded;
  for (const v1::RoleLane& lane : timeline.lanes()) {
    if ((lane.instances_size() <= kTooMany && lane.instances_left_out() == 0) || folded.contains(lane.role())) continue;
    std::vector<const v1::LoopFold*> loops;
    const auto from = [&](const v1::LoopFold* fold) { return At(fold->prologue_ns(), b.mid); };
    const auto to = [&](const v1::LoopFold* fold) { return from(fold) + At(fold->steady_ns(), b.mid); };
    for (const v1::LoopFold& fold : timeline.loops()) {
      if (fold.role() != lane.role() || fold.iteration().empty()) continue;
      if (std::all_of(loops.begin(), loops.end(),
                      [&](const auto* one) { return to(&fold) <= from(one) || to(one) <= from(&fold); }))
        loops.push_back(&fold);
    }
    std::sort(loops.begin(), loops.end(), [&](const auto* one, const auto* other) { return from(one) < from(other); });
    if (!loops.empty()) folded.emplace(lane.role(), std::move(loops));
  }
  return folded;
}

std::string Share(double share) { return absl::StrFormat("%.0f %%", 100 * share); }

std::string Range(const google::protobuf::RepeatedField<double>& values, const Bounds& b, const Style& style) {
  std::string text = absl::StrCat(b.mid_name, " ", FormatNs(At(values, b.mid), style.unicode));
  if (b.low != b.high)
    absl::StrAppend(&text, " (", b.low_name, " ", FormatNs(At(values, b.low), style.unicode), ", ", b.high_name, " ",
                    FormatNs(At(values, b.high), style.unicode), ")");
  return text;
}

}  // namespace

v1::Timeline FoldLanes(const v1::Timeline& timeline, const Style& style) {
  v1::Timeline out = timeline;
  const Bounds b = BoundsOf(timeline);
  const auto folded = FoldedLanes(timeline, b);
  for (v1::RoleLane& lane : *out.mutable_lanes()) {
    const auto found = folded.find(lane.role());
    if (found == folded.end()) continue;
    double first = std::numeric_limits<double>::infinity();
    uint64_t most = 0;
    for (const v1::InstanceStat& stat : lane.instances()) {
      const double start = At(stat.start_ns(), b.mid);
      if (start < first) first = start;
      most = std::max(most, stat.count());
    }
    lane.clear_instances();
    const auto add = [&](const std::string& name, auto from, auto to) {
      if (!(to(b.mid) > from(b.mid))) return;
      v1::InstanceStat& stat = *lane.add_instances();
      stat.set_region(name);
      stat.set_count(most);
      for (int q = 0; q < timeline.quantiles_size(); ++q) {
        stat.add_start_ns(from(q));
        stat.add_end_ns(to(q));
        stat.add_duration_ns(to(q) - from(q));
      }
    };
    // Borders between parts at their medians; within them the quantiles of the part that ends there.
    double begin = first;
    for (const v1::LoopFold* fold : found->second) {
      const double loop = first + At(fold->prologue_ns(), b.mid);
      add(fold == found->second.front() ? "prologue" : "between", [&](int) { return begin; },
          [&](int q) { return first + At(fold->prologue_ns(), q); });
      const uint64_t edges = fold->prologue_iterations() + fold->epilogue_iterations();
      const double start = std::max(begin, loop);
      add(absl::StrCat("loop ", style.unicode ? "×" : "x", fold->iterations() - std::min(fold->iterations(), edges)),
          [&](int q) { return fold == found->second.front() ? first + At(fold->prologue_ns(), q) : start; },
          [&](int q) { return loop + At(fold->steady_ns(), q); });
      begin = loop + At(fold->steady_ns(), b.mid);
    }
    const v1::LoopFold& last = *found->second.back();
    add("epilogue", [&](int q) { return first + At(last.prologue_ns(), b.mid) + At(last.steady_ns(), q); },
        [&](int q) { return begin + At(last.epilogue_ns(), q); });
  }
  return out;
}

std::string DrawLoops(const v1::Timeline& timeline, const Legend& legend, const Style& style) {
  std::string text;
  const Bounds b = BoundsOf(timeline);
  for (const auto& [role, loops] : FoldedLanes(timeline, b)) {
    for (const v1::LoopFold& fold : timeline.loops()) {
      if (fold.role() != role || fold.iteration().empty()) continue;
      std::vector<std::string> words = {
          BoldText(absl::StrCat("one iteration of ", Escape(role, 60)), style),
          absl::StrCat(FormatCount(fold.iterations()), " iterations"),
          absl::StrCat("period ", Range(fold.period_ns(), b, style)),
          absl::StrCat("steady for ", Share(fold.steady_share()), " of the role's time")};
      if (fold.prologue_iterations() > 0)
        words.push_back(absl::StrCat(Plural(fold.prologue_iterations(), "iteration", "iterations"),
                                     " before it is steady"));
      if (fold.epilogue_iterations() > 0)
        words.push_back(absl::StrCat(Plural(fold.epilogue_iterations(), "iteration", "iterations"),
                                     " after it was steady"));
      absl::StrAppend(&text, text.empty() ? "" : "\n",
                      Wrap(words, style.unicode ? " · " : ", ", style.width + (style.color ? 8 : 0), "  "));
      v1::Timeline one;
      *one.mutable_quantiles() = timeline.quantiles();
      v1::RoleLane& lane = *one.add_lanes();
      lane.set_role(fold.role());
      uint32_t outermost = std::numeric_limits<uint32_t>::max();
      for (const v1::LoopRegion& region : fold.iteration()) outermost = std::min(outermost, region.depth());
      for (const v1::LoopRegion& region : fold.iteration()) {
        v1::InstanceStat& stat = *lane.add_instances();
        stat.set_region(region.region());
        stat.set_depth(region.depth() - outermost);
        stat.set_count(region.count());
        const double start = At(region.start_ns(), b.mid), duration = At(region.duration_ns(), b.mid);
        for (int q = 0; q < timeline.quantiles_size(); ++q) {
          stat.add_start_ns(At(region.start_ns(), q));
          // Edges vary as starts and durations do, whichever varies more.
          const double by_start = At(region.start_ns(), q) + duration;
          const double by_duration = start + At(region.duration_ns(), q);
          stat.add_end_ns(std::abs(by_start - start - duration) > std::abs(by_duration - start - duration)
                              ? by_start : by_duration);
          stat.add_duration_ns(At(region.duration_ns(), q));
        }
      }
      absl::StrAppend(&text, DrawLanes(one, legend, style, false));
    }
  }
  if (!text.empty())
    absl::StrAppend(&text, FaintLines("lanes of more than 30 instances that repeat are folded; --unfold shows all\n",
                                      style));
  return text;
}

std::string DrawOverlaps(const v1::Timeline& timeline, const Style& style) {
  double longest = 0;
  for (const v1::RoleOverlap& row : timeline.overlaps()) longest = std::max(longest, row.busy_ns());
  Table table({{"role"}, {"region"}, {"busy", Table::Align::kRight}, {"hidden under the work of"},
               {"share", Table::Align::kRight}, {"exposed", Table::Align::kRight}, {"most under"}});
  table.set_max_cell(36);
  size_t rows = 0;
  for (int i = 0; i < timeline.overlaps_size() && rows < kOverlapRows; ++i) {
    const v1::RoleOverlap& row = timeline.overlaps(i);
    if (!row.other_region().empty() || absl::StartsWithIgnoreCase(row.region(), "wait") ||
        row.busy_ns() < kWorthShowing * longest)
      continue;
    std::string most;   // rows of a region come with the largest first
    for (const v1::RoleOverlap& other : timeline.overlaps()) {
      if (other.role() != row.role() || other.region() != row.region() || other.other_role() != row.other_role() ||
          other.other_region().empty() || absl::StartsWithIgnoreCase(other.other_region(), "wait"))
        continue;
      if (other.both_ns() > 0) most = absl::StrCat(other.other_region(), ", ", Share(other.hidden_share()));
      break;
    }
    table.Add({row.role(), row.region(), FormatNs(row.busy_ns(), style.unicode), row.other_role(),
               Share(row.hidden_share()), FormatNs(row.exposed_ns(), style.unicode), most});
    ++rows;
  }
  if (rows == 0) return "";
  return absl::StrCat(
      table.Text(style.color, "", style.width), "\n",
      FaintLines(Wrap({"busy: of a CTA (or process), all warps of the role together, median",
                       "exposed: while no warp of the other role works; its waits are no work"},
                      "; ", style.width, ""),
                 style));
}

}  // namespace sextant::cli
