#include "server/analysis/lane.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/quantile.h"

namespace sextant::analysis {

v1::RoleLane FinishLane(Lane* lane, absl::Span<const std::string> region_names, uint32_t passes,
                        bool cycles, absl::Span<const double> quantiles) {
  v1::RoleLane out;
  out.set_role(lane->name);
  out.set_tracks(lane->tracks);
  uint64_t observed = 0;
  uint64_t reordered = 0;
  uint64_t left_out = 0;
  std::vector<std::pair<double, v1::InstanceStat>> stats;
  for (auto& [region_id, region] : lane->regions) {
    uint64_t base = 0;
    for (auto& [launch, most] : region.most) {
      std::vector<AlignedInstance>& instances = region.launches[launch];
      uint64_t shown = 0;
      for (size_t i = 0; i < instances.size(); ++i) {
        AlignedInstance& instance = instances[i];
        const size_t n = instance.observations.size();
        if (n == 0) continue;
        ++shown;
        v1::InstanceStat stat;
        stat.set_region(region_names[region_id]);
        stat.set_ordinal(base + (lane->tail ? most - 1 - i : i));
        std::vector<double> values(n);
        const auto fill = [&](auto get, auto* field) {
          std::transform(instance.observations.begin(), instance.observations.end(),
                         values.begin(), get);
          for (double value : Quantiles(&values, quantiles)) field->Add(value);
        };
        fill([](const Observation& o) { return o.start_ns; }, stat.mutable_start_ns());
        const double at = Quantile(values, 0.5);
        fill([](const Observation& o) { return o.start_ns + o.duration_ns; },
             stat.mutable_end_ns());
        fill([](const Observation& o) { return o.duration_ns; }, stat.mutable_duration_ns());
        stat.set_spread(Spread(values));
        if (cycles) {
          instance.cycles.resize(n);
          for (double value : Quantiles(&instance.cycles, quantiles))
            stat.add_duration_cycles(value);
        }
        stat.set_count(n);
        stat.set_passes(instance.passes);
        stat.set_depth(instance.depth);
        stats.emplace_back(at, std::move(stat));
        uint32_t usual = 0;
        uint64_t known = 0;
        for (const auto& [before, count] : instance.before) {
          usual = std::max(usual, count);
          known += count;
        }
        observed += known;
        reordered += known - usual;
        instance = AlignedInstance();
      }
      base += most;
      left_out += most - std::min(most, shown);
    }
  }
  std::stable_sort(stats.begin(), stats.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [at, stat] : stats) *out.add_instances() = std::move(stat);
  out.set_instances_left_out(left_out);

  uint64_t least = 0;
  uint64_t most = 0;
  absl::flat_hash_map<uint32_t, std::pair<uint64_t, uint64_t>> uneven;   // region: least, most
  for (const auto& [key, slot] : lane->slots) {
    const uint64_t low = slot.passes < passes ? 0 : slot.least;
    least += low;
    most += slot.most;
    if (low == slot.most) continue;
    auto [it, added] = uneven.try_emplace(std::get<3>(key), low, slot.most);
    if (!added) {
      it->second.first = std::min(it->second.first, low);
      it->second.second = std::max(it->second.second, slot.most);
    }
  }
  const double even = most == 0 ? 1 : static_cast<double>(least) / static_cast<double>(most);
  const double in_order =
      observed == 0 ? 1 : 1 - static_cast<double>(reordered) / static_cast<double>(observed);
  out.set_alignment_confidence(even * in_order);

  std::vector<std::string> why;
  if (lane->tail)
    why.push_back("the start of the recording was lost: ordinals are counted from the end");
  if (lane->dropped > 0) why.push_back(absl::StrCat(lane->dropped, " records were lost"));
  if (!uneven.empty()) {
    const auto worst = std::max_element(
        uneven.begin(), uneven.end(), [](const auto& a, const auto& b) {
          const uint64_t left = a.second.second - a.second.first;
          const uint64_t right = b.second.second - b.second.first;
          return left != right ? left < right : a.first > b.first;
        });
    why.push_back(absl::StrFormat(
        "the number of instances differs between passes in %d region%s, most in %s (%d to %d on "
        "one thread)",
        uneven.size(), uneven.size() == 1 ? "" : "s", region_names[worst->first],
        worst->second.first, worst->second.second));
  }
  if (reordered > 0)
    why.push_back(absl::StrFormat("%.3g %% come after another region than usual",
                                  100.0 * (1 - in_order)));
  if (lane->slots_full) why.push_back("not all threads could be compared");
  if (passes == 1) why.push_back("one pass: nothing to align with");
  out.set_alignment(lane->tail ? "tail" : uneven.empty() && reordered == 0 ? "exact" : "role");
  if (!why.empty()) absl::StrAppend(out.mutable_alignment(), ": ", absl::StrJoin(why, "; "));
  return out;
}

}  // namespace sextant::analysis
