#include "server/analysis/role_inference.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {
namespace {

constexpr size_t kRegionsNamed = 3;
constexpr size_t kWarpsNamed = 8;

std::string ThreadName(v1::TimeUnit unit, uint32_t launch, uint32_t warp) {
  if (unit == v1::CYCLES) return absl::StrCat("warp ", warp);
  if (launch > 0) return absl::StrCat("process ", launch, " thread ", warp);
  return absl::StrCat("thread ", warp);
}

size_t Shared(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  std::vector<uint32_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both.size();
}

}  // namespace

std::string LaneName(const v1::ChunkHeader& header, const chunk::Track& track) {
  if (track.role < static_cast<uint32_t>(header.roles_size()) && !header.roles(track.role).empty())
    return header.roles(track.role);
  return ThreadName(header.unit(), track.launch, track.warp);
}

std::string LaneFinder::KernelOf(const SampledPass& pass, uint32_t launch) const {
  if (pass.kernels == nullptr || pass.unit != v1::CYCLES) return "";
  const auto kernel = pass.kernels->find(launch);
  return kernel == pass.kernels->end() ? "" : kernel->second;
}

LaneFinder::RegionSet LaneFinder::RegionsOf(const SampledTrack& track) {
  RegionSet regions;
  for (const auto& [region, count] : track.counts) regions.push_back(region);
  std::sort(regions.begin(), regions.end());
  return regions;
}

void LaneFinder::Decide(Warp* warp) const {
  std::vector<std::pair<uint64_t, const RegionSet*>> sets;
  uint64_t tracks = 0;
  for (const auto& [set, count] : warp->seen) {
    sets.emplace_back(count, &set);
    tracks += count;
  }
  std::stable_sort(sets.begin(), sets.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  warp->does = {*sets.front().second};
  for (const auto& [count, set] : sets) {
    if (5 * count < tracks) break;
    const bool unlike = std::all_of(warp->does.begin(), warp->does.end(), [&](const RegionSet& other) {
      return 2 * Shared(*set, other) < std::min(set->size(), other.size());
    });
    if (unlike) warp->does.push_back(*set);
  }
  if (warp->does.size() > 1) return;
  std::map<uint32_t, uint64_t> in;
  for (const auto& [set, count] : warp->seen)
    for (const uint32_t region : set) in[region] += count;
  RegionSet usual;
  for (const auto& [region, count] : in)
    if (2 * count >= tracks) usual.push_back(region);
  if (!usual.empty()) warp->does = {usual};
}

uint32_t LaneFinder::AddLane(const std::string& kernel, const std::string& key, SampledLane lane) {
  const auto [at, added] = lanes_.try_emplace({kernel, key}, static_cast<uint32_t>(sample_->lanes.size()));
  if (added) sample_->lanes.push_back(std::move(lane));
  return at->second;
}

void LaneFinder::Infer(TraceSample* sample) {
  for (auto& [key, warp] : warps_) Decide(&warp);
  struct Role {
    std::set<uint32_t> warps;
    bool by_cta = false;
  };
  std::map<std::string, std::map<RegionSet, Role>> kernels;
  for (const auto& [key, warp] : warps_) {
    for (const RegionSet& set : warp.does) {
      Role& role = kernels[key.first][set];
      role.warps.insert(key.second);
      role.by_cta |= warp.does.size() > 1;
    }
  }
  for (const auto& [kernel, roles] : kernels) {
    std::vector<std::pair<uint32_t, const RegionSet*>> order;
    for (const auto& [set, role] : roles) order.emplace_back(*role.warps.begin(), &set);
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : *a.second < *b.second;
    });
    for (size_t i = 0; i < order.size(); ++i) {
      const RegionSet& set = *order[i].second;
      const Role& role = roles.at(set);
      std::vector<std::string> names, warps;
      for (const uint32_t region : set)
        if (names.size() < kRegionsNamed) names.push_back(sample->regions[region]);
      for (const uint32_t warp : role.warps)
        if (warps.size() < kWarpsNamed) warps.push_back(absl::StrCat(warp));
      SampledLane lane;
      lane.kernel = kernel;
      lane.inferred = true;
      lane.name = absl::StrCat("role ", i, " (", absl::StrJoin(names, ", "),
                               set.size() > names.size() ? absl::StrCat(", +", set.size() - names.size()) : "", ")");
      lane.why = absl::StrCat("role inferred: warp", role.warps.size() == 1 ? " " : "s ",
                              absl::StrJoin(warps, ", "), role.warps.size() > warps.size() ? " …" : "",
                              role.warps.size() == 1 ? " records" : " record", role.warps.size() == 1 ? "" : " the same",
                              role.warps.size() == 1 ? " regions of its own" : " regions",
                              role.by_cta ? " in some CTAs" : "");
      inferred_[{kernel, set}] = AddLane(kernel, absl::StrCat("\ninferred ", i), std::move(lane));
    }
  }
}

LaneFinder::LaneFinder(TraceSample* sample) : sample_(sample) {
  const auto unnamed_warp = [](const SampledPass& pass, const SampledTrack& track) {
    return pass.unit == v1::CYCLES && track.role.empty();
  };
  // Warps that lost records may lack regions: they are asked only where there is no other.
  std::set<WarpKey> unharmed;
  for (const bool lossy : {false, true})
    for (const SampledPass& pass : sample->passes)
      for (const SampledTrack& track : pass.tracks) {
        if (!unnamed_warp(pass, track) || track.counts.empty()) continue;
        if ((track.track.dropped > 0 || track.track.from_tail) != lossy) continue;
        const WarpKey key(KernelOf(pass, track.track.launch), track.track.warp);
        if (lossy && unharmed.contains(key)) continue;
        if (!lossy) unharmed.insert(key);
        ++warps_[key].seen[RegionsOf(track)];
      }
  Infer(sample);
  for (SampledPass& pass : sample->passes) {
    for (SampledTrack& track : pass.tracks) {
      const std::string kernel = KernelOf(pass, track.track.launch);
      int lane = LaneOf(pass, track.track.launch, track.role, track.track.warp);
      if (lane < 0 && unnamed_warp(pass, track)) {
        const auto warp = warps_.find({kernel, track.track.warp});
        if (warp != warps_.end()) {
          const RegionSet set = RegionsOf(track);
          const RegionSet* best = &warp->second.does.front();
          const auto likeness = [&](const RegionSet& other) {
            const size_t both = Shared(set, other);
            return static_cast<double>(both) / static_cast<double>(std::max<size_t>(set.size() + other.size() - both, 1));
          };
          for (const RegionSet& other : warp->second.does)
            if (likeness(other) > likeness(*best)) best = &other;
          lane = static_cast<int>(inferred_.at({kernel, *best}));
        }
      }
      if (lane < 0) {
        const std::string name = track.role.empty() ? ThreadName(pass.unit, track.track.launch, track.track.warp)
                                                    : track.role;
        lane = static_cast<int>(AddLane(kernel, track.role.empty() ? absl::StrCat("\n", name) : name,
                                        {.name = name, .kernel = kernel, .role = track.role}));
      }
      track.lane = static_cast<uint32_t>(lane);
    }
  }
  // Kernels stand before their roles, by their short names where these tell them apart.
  std::map<std::string, std::set<std::string>> fulls;
  for (const SampledLane& lane : sample->lanes) fulls[ShortKernel(lane.kernel)].insert(lane.kernel);
  if (fulls.size() == 1 && fulls.begin()->second.size() == 1) return;   // one kernel alone
  for (SampledLane& lane : sample->lanes) {
    if (lane.kernel.empty()) continue;
    const std::string brief = ShortKernel(lane.kernel);
    lane.name = absl::StrCat(fulls[brief].size() > 1 || brief.empty() ? lane.kernel : brief, " · ", lane.name);
  }
}

int LaneFinder::LaneOf(const SampledPass& pass, uint32_t launch, const std::string& role, uint32_t warp) const {
  const std::string kernel = KernelOf(pass, launch);
  if (!role.empty() || pass.unit != v1::CYCLES) {
    const auto lane = lanes_.find(
        {kernel, role.empty() ? absl::StrCat("\n", ThreadName(pass.unit, launch, warp)) : role});
    return lane == lanes_.end() ? -1 : static_cast<int>(lane->second);
  }
  const auto found = warps_.find({kernel, warp});
  if (found == warps_.end() || found->second.does.size() != 1) return -1;
  const auto lane = inferred_.find({kernel, found->second.does.front()});
  return lane == inferred_.end() ? -1 : static_cast<int>(lane->second);
}

}  // namespace sextant::analysis
