#include "server/analysis/aligner.h"

#include <algorithm>
#include <deque>
#include <limits>

#include "absl/strings/str_cat.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxTracksCompared = 1 << 18;   // per pass; about 200 B each
constexpr size_t kMaxSlotsCompared = 1 << 20;    // over all passes
constexpr size_t kMaxDepth = 256;
constexpr uint32_t kNothingBefore = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kUnknownBefore = kNothingBefore - 1;   // it was lost

}  // namespace

std::string LaneName(const v1::ChunkHeader& header, const chunk::Track& track) {
  if (track.role < static_cast<uint32_t>(header.roles_size()) && !header.roles(track.role).empty())
    return header.roles(track.role);
  if (header.unit() == v1::CYCLES) return absl::StrCat("warp ", track.warp);
  if (track.launch > 0) return absl::StrCat("process ", track.launch, " thread ", track.warp);
  return absl::StrCat("thread ", track.warp);
}

// One instance of a pass, before it is known which ordinal it has from the tail.
struct Aligner::Seen {
  double start_ns = 0;
  double duration_ns = 0;
  double duration_cycles = 0;
  uint32_t depth = 0;
  uint32_t before = kNothingBefore;
};

struct Aligner::TrackState {
  std::vector<uint64_t> ends;   // of the instances now open, outermost first
  uint32_t before = kNothingBefore;
  std::vector<std::pair<uint32_t, uint64_t>> counts;           // region, instances so far
  std::vector<std::pair<uint32_t, std::deque<Seen>>> tails;    // region, the last ones
};

Aligner::Aligner(Options options)
    : options_(std::move(options)), cap_(std::max<uint32_t>(options_.max_instances, 1)) {}
Aligner::~Aligner() = default;

uint32_t Aligner::LaneOf(const std::string& name, bool named) {
  auto [it, added] = lane_ids_.try_emplace(name, lanes_.size());
  if (added) {
    auto lane = std::make_unique<Lane>();
    lane->name = name;
    lane->named = named;
    lane->tail = tail_lanes_.contains(name);
    lanes_.push_back(std::move(lane));
  }
  return it->second;
}

uint32_t Aligner::RegionOf(const std::string& name) {
  auto [it, added] = region_ids_.try_emplace(name, region_names_.size());
  if (added) {
    region_names_.push_back(name);
    local_.push_back(-1);
  }
  return it->second;
}

void Aligner::LookForLoss(const chunk::Decoded& chunk, const Kernels* kernels) {
  kernels_ = kernels != nullptr && !kernels->empty() ? kernels : nullptr;
  for (const chunk::TrackSlice& slice : chunk.tracks)
    if (slice.track.from_tail) tail_lanes_.insert(LaneOfTrack(chunk.header, slice.track));
}

std::string Aligner::LaneOfTrack(const v1::ChunkHeader& header, const chunk::Track& track) const {
  std::string name = LaneName(header, track);
  if (kernels_ == nullptr || header.unit() != v1::CYCLES) return name;
  const auto kernel = kernels_->find(track.launch);
  return kernel == kernels_->end() ? name : absl::StrCat(kernel->second, " · ", name);
}

void Aligner::BeginPass(const Kernels* kernels) {
  ++passes_;
  kernels_ = kernels != nullptr && !kernels->empty() ? kernels : nullptr;
  tracks_.clear();
}

Aligner::TrackState* Aligner::StateOf(const TrackKey& key) {
  if (auto it = tracks_.find(key); it != tracks_.end()) return it->second.get();
  if (tracks_.size() < kMaxTracksCompared)
    return tracks_.emplace(key, std::make_unique<TrackState>()).first->second.get();
  overflow_ = std::make_unique<TrackState>();
  return overflow_.get();
}

void Aligner::Add(const chunk::Decoded& chunk) {
  std::vector<uint32_t> region_ids;
  region_ids.reserve(chunk.header.regions_size());
  for (const std::string& name : chunk.header.regions()) region_ids.push_back(RegionOf(name));
  cycles_ |= chunk.header.unit() == v1::CYCLES;
  for (const chunk::TrackSlice& slice : chunk.tracks) AddTrack(chunk, slice, region_ids);
}

void Aligner::AddTrack(const chunk::Decoded& chunk, const chunk::TrackSlice& slice,
                       absl::Span<const uint32_t> region_ids) {
  const chunk::Track& track = slice.track;
  const std::string name = LaneOfTrack(chunk.header, track);
  if (!options_.roles.empty() && !options_.roles.contains(name) &&
      !options_.roles.contains(LaneName(chunk.header, track)))
    return;
  const bool cycles = chunk.header.unit() == v1::CYCLES;
  const double scale = cycles ? chunk.header.ns_per_unit() : 1.0;
  const uint32_t lane_id =
      LaneOf(name, track.role < static_cast<uint32_t>(chunk.header.roles_size()) &&
                       !chunk.header.roles(track.role).empty());
  Lane* lane = lanes_[lane_id].get();
  lane->dropped += track.dropped;
  TrackState* state = StateOf({lane_id, track.launch, track.cta, track.warp});
  if (track.from_tail && state->counts.empty()) state->before = kUnknownBefore;
  for (size_t i = 0; i < state->counts.size(); ++i)
    local_[state->counts[i].first] = static_cast<int32_t>(i);
  const bool from_cta = cycles && options_.from_cta;
  const uint32_t launch = cycles && !from_cta ? track.launch : 0;

  std::vector<uint32_t> run;
  const uint32_t end = slice.begin + slice.count;
  for (uint32_t next = slice.begin; next < end;) {
    // Instances that begin together nest by their length, whatever their order in the chunk.
    run.assign(1, next);
    while (next + run.size() < end && chunk.start[next + run.size()] == chunk.start[next])
      run.push_back(next + run.size());
    next += run.size();
    if (run.size() > 1) {
      std::stable_sort(run.begin(), run.end(), [&](uint32_t a, uint32_t b) {
        return chunk.duration[a] > chunk.duration[b];
      });
    }
    for (uint32_t i : run) {
      const uint64_t start = chunk.start[i];
      while (!state->ends.empty() && state->ends.back() <= start) state->ends.pop_back();
      Seen seen;
      seen.depth = state->ends.size();
      if (state->ends.size() < kMaxDepth) state->ends.push_back(start + chunk.duration[i]);
      const uint32_t region_id = region_ids[chunk.region[i]];
      seen.before = std::exchange(state->before, region_id);
      if (!options_.regions.empty() && !options_.regions.contains(region_names_[region_id]))
        continue;
      int32_t& at = local_[region_id];
      if (at < 0) {
        at = static_cast<int32_t>(state->counts.size());
        state->counts.emplace_back(region_id, 0);
      }
      const uint64_t ordinal = chunk.ordinal[i];
      state->counts[at].second = std::max(state->counts[at].second, ordinal + 1);
      if (!lane->tail && ordinal >= cap_) continue;
      seen.start_ns = from_cta ? static_cast<double>(start) * scale
                               : chunk::PlaceNs(track.origin_ns, start, scale);
      seen.duration_ns = static_cast<double>(chunk.duration[i]) * scale;
      seen.duration_cycles = cycles ? static_cast<double>(chunk.duration[i]) : 0;
      if (!lane->tail) {
        Observe(lane, &lane->regions[region_id], launch, ordinal, seen);
        if (observations_ > options_.max_observations) Shrink();
        continue;
      }
      auto tail = std::find_if(state->tails.begin(), state->tails.end(),
                               [&](const auto& entry) { return entry.first == region_id; });
      if (tail == state->tails.end())
        tail = state->tails.insert(tail, {region_id, std::deque<Seen>()});
      tail->second.push_back(seen);
      ++observations_;
      while (tail->second.size() > cap_) {
        tail->second.pop_front();
        --observations_;
      }
      if (observations_ > options_.max_observations) Shrink();
    }
  }
  for (const auto& [region_id, count] : state->counts) local_[region_id] = -1;
}

void Aligner::Observe(Lane* lane, AlignedRegion* region, uint32_t launch, uint64_t ordinal,
                      const Seen& seen) {
  std::vector<AlignedInstance>& instances = region->launches[launch];
  if (ordinal >= instances.size()) {
    const size_t grow = ordinal + 1 - instances.size();
    if (region->kept + grow > cap_) return;
    region->kept += grow;
    instances.resize(ordinal + 1);
  }
  AlignedInstance& instance = instances[ordinal];
  instance.observations.push_back({seen.start_ns, seen.duration_ns});
  if (cycles_) {
    instance.cycles.resize(instance.observations.size() - 1);
    instance.cycles.push_back(seen.duration_cycles);
  }
  if (instance.last_pass != passes_) {
    instance.last_pass = passes_;
    ++instance.passes;
  }
  if (instance.depth_votes == 0) {
    instance.depth = seen.depth;
    instance.depth_votes = 1;
  } else if (instance.depth == seen.depth) {
    ++instance.depth_votes;
  } else {
    --instance.depth_votes;
  }
  ++observations_;
  if (seen.before == kUnknownBefore) return;
  auto before = std::find_if(instance.before.begin(), instance.before.end(),
                             [&](const auto& entry) { return entry.first == seen.before; });
  if (before != instance.before.end()) {
    ++before->second;
  } else {
    instance.before.emplace_back(seen.before, 1);
  }
}

// Halves how many instances are kept of each lane and region until the observations fit.
void Aligner::Shrink() {
  while (observations_ > options_.max_observations / 2 && cap_ > 1) {
    cap_ /= 2;
    for (auto& lane : lanes_) {
      for (auto& [id, region] : lane->regions) {
        size_t room = cap_;
        for (auto& [launch, instances] : region.launches) {
          const size_t keep = std::min(room, instances.size());
          for (size_t i = keep; i < instances.size(); ++i)
            observations_ -= instances[i].observations.size();
          region.kept -= instances.size() - keep;
          instances.resize(keep);
          room -= keep;
        }
      }
    }
    for (auto& [key, state] : tracks_) {
      for (auto& [id, tail] : state->tails) {
        const size_t drop = tail.size() > cap_ ? tail.size() - cap_ : 0;
        tail.erase(tail.begin(), tail.begin() + drop);
        observations_ -= drop;
      }
    }
  }
}

void Aligner::EndPass() {
  std::vector<TrackKey> order;
  order.reserve(tracks_.size());
  for (const auto& [key, state] : tracks_) order.push_back(key);
  std::sort(order.begin(), order.end());
  uint32_t rank = 0;
  std::vector<uint32_t> tracks(lanes_.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto [lane_id, launch, cta, warp] = order[i];
    // In a trace of kernels every CTA has its own ranks; threads of a host trace are ranked in
    // creation order over all processes.
    const bool same = i > 0 && std::get<0>(order[i - 1]) == lane_id &&
                      (!cycles_ || (std::get<1>(order[i - 1]) == launch &&
                                    std::get<2>(order[i - 1]) == cta));
    rank = same ? rank + 1 : 0;
    ++tracks[lane_id];
    Lane* lane = lanes_[lane_id].get();
    TrackState* state = tracks_[order[i]].get();
    const uint32_t launch_key = cycles_ && !options_.from_cta ? launch : 0;
    for (const auto& [region_id, count] : state->counts) {
      uint64_t& most = lane->regions[region_id].most[launch_key];
      most = std::max(most, count);
      const SlotKey key(cycles_ ? launch : 0, cta, rank, region_id);
      if (lane->slots.size() >= kMaxSlotsCompared && !lane->slots.contains(key)) {
        lane->slots_full = true;
        continue;
      }
      Slot& slot = lane->slots[key];
      slot.least = slot.passes == 0 ? count : std::min(slot.least, count);
      slot.most = std::max(slot.most, count);
      ++slot.passes;
    }
    for (auto& [region_id, kept] : state->tails) {
      std::deque<Seen> tail = std::move(kept);   // Shrink must not meet it again
      kept.clear();
      observations_ -= tail.size();
      for (size_t from_end = 0; !tail.empty(); ++from_end, tail.pop_back()) {
        if (from_end < cap_)
          Observe(lane, &lane->regions[region_id], launch_key, from_end, tail.back());
        if (observations_ > options_.max_observations) Shrink();
      }
    }
  }
  for (size_t i = 0; i < lanes_.size(); ++i)
    lanes_[i]->tracks = std::max(lanes_[i]->tracks, tracks[i]);
  tracks_.clear();
}

std::vector<v1::RoleLane> Aligner::Finish(absl::Span<const double> quantiles) {
  std::vector<Lane*> order;
  for (auto& lane : lanes_) order.push_back(lane.get());
  // "thread 10" comes after "thread 9".
  std::sort(order.begin(), order.end(), [](const Lane* a, const Lane* b) {
    return std::make_tuple(!a->named, a->named ? 0 : a->name.size(), a->name) <
           std::make_tuple(!b->named, b->named ? 0 : b->name.size(), b->name);
  });
  std::vector<v1::RoleLane> lanes;
  for (Lane* lane : order) lanes.push_back(FinishLane(lane, region_names_, passes_, cycles_, quantiles));
  return lanes;
}

}  // namespace sextant::analysis
