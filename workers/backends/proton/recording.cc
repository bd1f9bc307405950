#include "workers/backends/proton/recording.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sextant::backends::proton {
namespace {

constexpr size_t kMaxRegionsInRole = 3;
constexpr size_t kMaxKernelsNamed = 4;
constexpr uint64_t kMaxOriginNs = chunk::kMaxTime / 4;

}  // namespace

uint32_t Recording::AddLaunch(std::string_view kernel, uint32_t number) {
  const auto [it, fresh] = kernel_ids_.emplace(std::string(kernel), kernels_.size());
  if (fresh) {
    kernels_.emplace_back(kernel);
    region_ids_.emplace_back();
  }
  launches_.push_back({it->second, number});
  return static_cast<uint32_t>(launches_.size() - 1);
}

uint32_t Recording::Region(uint32_t launch, std::string_view name) {
  const uint32_t kernel = launches_[launch].kernel;
  auto& ids = region_ids_[kernel];
  const std::string key(name);
  const auto found = ids.find(key);
  if (found != ids.end()) return found->second;
  if (regions_.size() >= limits_.max_regions) return UINT32_MAX;
  const auto id = static_cast<uint32_t>(regions_.size());
  ids.emplace(key, id);
  regions_.push_back({kernel, key});
  return id;
}

uint32_t Recording::AddTrack(chunk::Track track) {
  if (tracks_.size() >= limits_.max_tracks) return UINT32_MAX;
  tracks_.push_back(track);
  return static_cast<uint32_t>(tracks_.size() - 1);
}

void Recording::AnchorAtEnd(uint32_t track, uint64_t last_cycle, uint64_t span_ns) {
  if (track != UINT32_MAX) anchors_[track] = {last_cycle, span_ns};
}

void Recording::ShiftOrigins(int64_t offset_ns) {
  size_t placeless = 0;
  for (chunk::Track& track : tracks_) {
    track.origin_ns += static_cast<uint64_t>(offset_ns);  // modulo 2^64, as a difference is meant
    if (track.origin_ns < kMaxOriginNs) continue;
    track.origin_ns = 0;
    ++placeless;
  }
  if (placeless > 0) {
    Note(absl::StrCat(placeless, " warps have no usable start time; they are drawn from 0 on"));
  }
}

void Recording::ApplyAnchors(double ns_per_cycle) {
  if (anchors_.empty()) return;
  std::vector<uint64_t> shift(tracks_.size());
  for (const auto& [track, anchor] : anchors_) {
    const auto length = static_cast<uint64_t>(static_cast<double>(anchor.span_ns) / ns_per_cycle);
    if (length > anchor.last_cycle) shift[track] = length - anchor.last_cycle;
  }
  for (chunk::Instance& instance : instances_) instance.start += shift[instance.track];
}

void Recording::Note(std::string sentence) {
  if (notes_.size() >= limits_.max_notes) return;
  if (std::find(notes_.begin(), notes_.end(), sentence) != notes_.end()) return;
  notes_.push_back(std::move(sentence));
}

// What a warp does is taken over all CTAs and launches: a single one may have taken another branch.
void Recording::NameRoles(chunk::TraceInfo& info) {
  using Warp = std::pair<uint32_t, uint32_t>;  // kernel, warp
  std::map<Warp, size_t> slots;
  std::vector<size_t> slot_of(tracks_.size());
  for (size_t i = 0; i < tracks_.size(); ++i) {
    const Warp warp = {launches_[tracks_[i].launch].kernel, tracks_[i].warp};
    slot_of[i] = slots.emplace(warp, slots.size()).first->second;
  }
  std::vector<bool> seen(slots.size() * regions_.size());
  for (const chunk::Instance& instance : instances_) {
    seen[slot_of[instance.track] * regions_.size() + instance.region] = true;
  }
  std::map<Warp, std::set<uint32_t>> records;
  for (const auto& [warp, slot] : slots) {
    for (uint32_t region = 0; region < regions_.size(); ++region) {
      if (seen[slot * regions_.size() + region]) records[warp].insert(region);
    }
  }
  std::map<uint32_t, std::set<std::set<uint32_t>>> kinds;  // by kernel
  for (const auto& [warp, regions] : records) kinds[warp.first].insert(regions);

  info.roles = {""};
  absl::flat_hash_map<std::string, uint32_t> ids = {{"", 0}};
  std::map<Warp, uint32_t> roles;
  for (const auto& [warp, regions] : records) {
    const std::set<std::set<uint32_t>>& others = kinds[warp.first];
    if (others.size() < 2) continue;
    // Regions that not every kind of warp has say more than those that all have.
    std::vector<std::string> own, all;
    for (const uint32_t region : regions) {
      const bool common = std::all_of(others.begin(), others.end(), [&](const auto& kind) {
        return kind.count(region) != 0;
      });
      all.push_back(regions_[region].name);
      if (!common) own.push_back(regions_[region].name);
    }
    if (own.empty()) own = std::move(all);
    if (own.size() > kMaxRegionsInRole) own.resize(kMaxRegionsInRole);
    const std::string name = absl::StrJoin(own, "+");
    const auto [it, fresh] = ids.emplace(name, info.roles.size());
    if (fresh) info.roles.push_back(name);
    roles[warp] = it->second;
  }
  if (roles.empty()) return;
  for (chunk::Track& track : tracks_) {
    const auto role = roles.find({launches_[track.launch].kernel, track.warp});
    if (role != roles.end()) track.role = role->second;
  }
}

void Recording::NoteLosses() {
  if (losses_.overwritten > 0) {
    Note(absl::StrCat(losses_.overwritten,
                      " records were overwritten because buffers were full; the last ones of each "
                      "warp were kept. buffer=global or a larger buffer_bytes keeps more"));
  }
  if (losses_.over_limit > 0) {
    Note(absl::StrCat(losses_.over_limit, " scopes were left out: a pass may hold ",
                      limits_.max_instances, " scopes, ", limits_.max_tracks,
                      " warps over all launches and ", limits_.max_regions, " names of scopes"));
  }
  if (losses_.ends_without_begin > 0 || losses_.begins_without_end > 0) {
    Note(absl::StrCat("scopes were not balanced: ", losses_.ends_without_begin,
                      " ends without a begin, ", losses_.begins_without_end,
                      " begins without an end; these were left out. The compiler may move or copy "
                      "scopes of Triton programs; Gluon's stay where they are"));
  }
  if (losses_.malformed > 0) {
    Note(absl::StrCat(losses_.malformed, " warps left records that cannot be; the rest of each was "
                      "left out"));
  }
  if (losses_.backwards > 0) {
    Note(absl::StrCat("the clock went backwards in ", losses_.backwards,
                      " scopes; they count as 0 cycles"));
  }
}

Recorded Recording::Finish(double ns_per_cycle) {
  Recorded out;
  out.trace.unit = v1::CYCLES;
  out.trace.ns_per_unit = ns_per_cycle;
  out.clock_hz = 1e9 / ns_per_cycle;
  ApplyAnchors(ns_per_cycle);
  NameRoles(out.trace);
  NoteLosses();
  std::vector<std::string> named = kernels_;
  if (named.size() > kMaxKernelsNamed) {
    named.resize(kMaxKernelsNamed);
    named.push_back("…");
  }
  out.trace.kernel = absl::StrJoin(named, ", ");
  for (const RegionKey& region : regions_) {
    out.trace.regions.push_back(kernels_.size() > 1
                                    ? absl::StrCat(kernels_[region.kernel], "/", region.name)
                                    : region.name);
  }
  for (const Launch& launch : launches_) out.kernels.push_back(kernels_[launch.kernel]);
  for (chunk::Track& track : tracks_) track.launch = launches_[track.launch].number;
  out.trace.tracks = std::move(tracks_);
  out.instances = std::move(instances_);
  out.losses = losses_;
  out.notes = std::move(notes_);
  return out;
}

}  // namespace sextant::backends::proton
