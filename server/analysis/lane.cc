#include "server/analysis/lane.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/quantile.h"

namespace sextant::analysis {
namespace {

constexpr size_t kRegionsNamed = 3;
constexpr double kMovesBelow = 0.98;   // counts by CTA agree less, and those of the role more

uint32_t RegionOf(const SlotKey& key) { return std::get<3>(key); }
uint32_t RegionOf(const std::pair<uint32_t, uint32_t>& key) { return key.second; }

// In how many passes each region is to be: all, or where regions are spread over passes as many as have it
// anywhere in the lane.
class Expected {
 public:
  Expected(const LaneState& lane, uint32_t passes, bool spread) : passes_(passes) {
    if (!spread) return;
    for (const auto& [key, slot] : lane.slots) {
      uint32_t& most = of_[RegionOf(key)];
      most = std::max(most, slot.passes);
    }
  }
  uint32_t operator()(uint32_t region) const {
    const auto found = of_.find(region);
    return found == of_.end() ? passes_ : found->second;
  }

 private:
  const uint32_t passes_;
  std::map<uint32_t, uint32_t> of_;
};

// (Σ least, Σ most) over slots; what is missing in a pass has 0 there.
template <typename Slots>
std::pair<uint64_t, uint64_t> Evenness(const Slots& slots, const Expected& expected) {
  uint64_t least = 0, most = 0;
  for (const auto& [key, slot] : slots) {
    least += slot.passes < expected(RegionOf(key)) ? 0 : slot.least;
    most += slot.most;
  }
  return {least, most};
}

double Share(std::pair<uint64_t, uint64_t> evenness) {
  return evenness.second == 0 ? 1 : static_cast<double>(evenness.first) / static_cast<double>(evenness.second);
}

// Regions that some passes lack in this role.
std::string MissingRegions(const TraceSample& sample, const LaneState& lane, uint32_t passes,
                           const Expected& expected) {
  std::map<uint32_t, uint32_t> in;   // region → in how many passes, at most over launches
  for (const auto& [key, slot] : lane.slots) {
    uint32_t& most = in[std::get<3>(key)];
    most = std::max(most, slot.passes);
  }
  std::vector<std::string> some;
  size_t more = 0;
  for (const auto& [region, seen] : in) {
    if (seen >= expected(region)) continue;
    if (some.size() < kRegionsNamed) some.push_back(absl::StrCat(sample.regions[region], " (", seen, ")"));
    else ++more;
  }
  if (some.empty()) return "";
  return absl::StrCat("not in all ", passes, " passes: ", absl::StrJoin(some, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more regions") : "");
}

std::string UnevenRegions(const TraceSample& sample, const LaneState& lane, const Expected& expected) {
  absl::flat_hash_map<uint32_t, std::pair<uint64_t, uint64_t>> uneven;   // region: least, most
  for (const auto& [key, slot] : lane.slots) {
    const uint64_t low = slot.passes < expected(RegionOf(key)) ? 0 : slot.least;
    if (low == slot.most) continue;
    auto [it, added] = uneven.try_emplace(std::get<3>(key), low, slot.most);
    if (added) continue;
    it->second.first = std::min(it->second.first, low);
    it->second.second = std::max(it->second.second, slot.most);
  }
  if (uneven.empty()) return "";
  const auto worst = std::max_element(uneven.begin(), uneven.end(), [](const auto& a, const auto& b) {
    const uint64_t left = a.second.second - a.second.first;
    const uint64_t right = b.second.second - b.second.first;
    return left != right ? left < right : a.first > b.first;
  });
  return absl::StrFormat("the number of instances differs between passes in %d region%s, most in %s (%d to %d on "
                         "one thread)",
                         uneven.size(), uneven.size() == 1 ? "" : "s", sample.regions[worst->first],
                         worst->second.first, worst->second.second);
}

void Judge(const TraceSample& sample, const SampledLane& named, const LaneState& lane, bool regions_spread,
           uint64_t known, uint64_t usual, v1::RoleLane* out) {
  const uint32_t passes = static_cast<uint32_t>(sample.passes.size());
  const Expected expected(lane, passes, regions_spread);
  const double in_order = known == 0 ? 1 : static_cast<double>(usual) / static_cast<double>(known);
  double even = Share(Evenness(lane.slots, expected));
  const std::string uneven = UnevenRegions(sample, lane, expected);
  const double of_role = lane.role_slots.empty() ? 0 : Share(Evenness(lane.role_slots, expected));
  const bool moves = passes > 1 && !lane.tail && even < kMovesBelow && of_role > even + (1 - kMovesBelow);
  if (moves) even = of_role;
  out->set_alignment_confidence(even * in_order);

  std::vector<std::string> why;
  if (!named.why.empty()) why.push_back(named.why);
  if (lane.tail) why.push_back("the start of the recording was lost: ordinals are counted from the end");
  if (lane.dropped > 0) why.push_back(absl::StrCat(lane.dropped, " records were lost"));
  if (moves) {
    why.push_back(absl::StrFormat("tiles move between CTAs: matched by role and ordinal, the role's numbers of "
                                  "instances agree to %.3g %%, and which tile an instance worked on is not known",
                                  100 * of_role));
  } else if (!uneven.empty()) {
    why.push_back(uneven);
    if (const std::string missing = MissingRegions(sample, lane, passes, expected); !missing.empty()) why.push_back(missing);
  }
  if (usual < known)
    why.push_back(absl::StrFormat("%.3g %% come after another region than usual", 100 * (1 - in_order)));
  if (regions_spread) why.push_back("each region is in the passes of one part of the scopes");
  if (lane.slots_full) why.push_back("not all threads could be compared");
  if (passes == 1) why.push_back("one pass: nothing to align with");
  out->set_alignment(lane.tail ? "tail" : uneven.empty() && usual == known ? "exact" : "role");
  if (!why.empty()) absl::StrAppend(out->mutable_alignment(), ": ", absl::StrJoin(why, "; "));
}

}  // namespace

v1::RoleLane FinishLane(const TraceSample& sample, const SampledLane& named, const LaneState& lane,
                        absl::Span<const AlignedInstance> aligned, Observed* observed,
                        absl::Span<const double> quantiles, bool regions_spread) {
  v1::RoleLane out;
  out.set_role(named.name);
  out.set_tracks(lane.tracks);
  uint64_t known = 0, usual = 0, left_out = 0, base = 0;
  uint32_t of_region = kNothingBefore;
  std::vector<std::pair<double, v1::InstanceStat>> stats;
  std::vector<double> ends;
  for (const auto& [key, places] : lane.first) {
    const auto [region, launch] = key;
    if (region != of_region) base = 0;
    of_region = region;
    const uint64_t most = lane.most.at(key);
    uint64_t shown = 0;
    for (uint32_t i = 0; i < places.second; ++i) {
      const AlignedInstance& instance = aligned[places.first + i];
      if (instance.count == 0) continue;
      ++shown;
      v1::InstanceStat stat;
      stat.set_region(sample.regions[region]);
      stat.set_ordinal(base + (lane.tail ? most - 1 - i : i));
      const auto start = absl::MakeSpan(observed->start_ns).subspan(instance.begin, instance.count);
      const auto duration = absl::MakeSpan(observed->duration_ns).subspan(instance.begin, instance.count);
      ends.resize(instance.count);
      for (uint64_t k = 0; k < instance.count; ++k) ends[k] = start[k] + duration[k];
      const auto fill = [&](absl::Span<double> values, auto* field) {
        for (const double value : SelectQuantiles(values, quantiles)) field->Add(value);
      };
      fill(start, stat.mutable_start_ns());
      const double at = SelectQuantiles(start, {0.5})[0];
      fill(absl::MakeSpan(ends), stat.mutable_end_ns());
      fill(duration, stat.mutable_duration_ns());
      const std::vector<double> spread = SelectQuantiles(duration, {0.2, 0.5, 0.8});
      stat.set_spread(spread[1] > 0 ? (spread[2] - spread[0]) / spread[1] : 0);
      if (!observed->cycles.empty())
        fill(absl::MakeSpan(observed->cycles).subspan(instance.begin, instance.count),
             stat.mutable_duration_cycles());
      stat.set_count(instance.count);
      stat.set_passes(instance.passes);
      stat.set_depth(instance.depth);
      stats.emplace_back(at, std::move(stat));
      known += instance.known_before;
      usual += instance.usual_before;
    }
    base += most;
    left_out += most - std::min(most, shown);
  }
  std::stable_sort(stats.begin(), stats.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [at, stat] : stats) *out.add_instances() = std::move(stat);
  out.set_instances_left_out(left_out);
  Judge(sample, named, lane, regions_spread, known, usual, &out);
  return out;
}

}  // namespace sextant::analysis
