#include "server/analysis/aligner.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/analysis/lane.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxSlotsCompared = 1 << 20;   // of one lane, over all passes
constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();

class Aligner {
 public:
  Aligner(const TraceSample& sample, const AlignOptions& options)
      : sample_(sample), options_(options), lanes_(sample.lanes.size()) {
    wanted_region_.resize(sample.regions.size());
    for (size_t i = 0; i < sample.regions.size(); ++i)
      wanted_region_[i] = options.regions.empty() || options.regions.contains(sample.regions[i]);
    wanted_lane_.resize(sample.lanes.size());
    for (size_t i = 0; i < sample.lanes.size(); ++i)
      wanted_lane_[i] = options.roles.empty() || options.roles.contains(sample.lanes[i].role) ||
                        options.roles.contains(sample.lanes[i].name);
    for (const SampledPass& pass : sample.passes) cycles_ |= pass.unit == v1::CYCLES;
  }

  std::vector<v1::RoleLane> Align(absl::Span<const double> quantiles) {
    for (const SampledPass& pass : sample_.passes) LookAtTracks(pass);
    Place();
    for (const SampledPass& pass : sample_.passes) ForEach(pass, [&](size_t at, const SampledInstance& one,
                                                                    const SampledPass&, const SampledTrack&,
                                                                    uint32_t) { Count(at, one); });
    Reserve();
    uint32_t number = 0;
    for (const SampledPass& pass : sample_.passes) {
      ++number;
      ForEach(pass, [&](size_t at, const SampledInstance& one, const SampledPass& of,
                        const SampledTrack& track, uint32_t before) {
        Observe(at, one, of, track, before, number);
      });
    }
    for (const SampledPass& pass : sample_.passes)
      ForEach(pass, [&](size_t at, const SampledInstance&, const SampledPass&, const SampledTrack& track,
                        uint32_t before) { CountUsual(at, track, before); });
    for (const SampledPass& pass : sample_.passes) CompareTotals(pass);
    return Finish(quantiles);
  }

 private:
  uint32_t LaunchKey(const SampledPass& pass, const SampledTrack& track) const {
    return pass.unit == v1::CYCLES && !options_.from_cta ? track.track.launch : 0;
  }

  // How many instances of what there are, by track.
  void LookAtTracks(const SampledPass& pass) {
    for (const SampledTrack& track : pass.tracks) lanes_[track.lane].tail |= track.track.from_tail;
    struct Rank {
      uint32_t launch = kNowhere, cta = 0, rank = 0, tracks = 0;
    };
    std::vector<Rank> ranks(lanes_.size());
    for (const SampledTrack& track : pass.tracks) {
      if (!wanted_lane_[track.lane]) continue;
      LaneState& lane = lanes_[track.lane];
      lane.seen = true;
      lane.dropped += track.track.dropped;
      lane.shortened |= !track.complete;
      Rank& rank = ranks[track.lane];
      // In a trace of kernels every CTA has its own ranks; threads of a host trace are ranked in
      // creation order over all processes.
      const bool same = rank.tracks > 0 && (!cycles_ || (rank.launch == track.track.launch &&
                                                         rank.cta == track.track.cta));
      rank.rank = same ? rank.rank + 1 : 0;
      rank.launch = track.track.launch;
      rank.cta = track.track.cta;
      ++rank.tracks;
      for (const auto& [region, count] : track.counts) {
        if (!wanted_region_[region]) continue;
        uint64_t& most = lane.most[{region, LaunchKey(pass, track)}];
        most = std::max(most, count);
        const SlotKey key(cycles_ ? track.track.launch : 0, track.track.cta, rank.rank, region);
        if (lane.slots.size() >= kMaxSlotsCompared && !lane.slots.contains(key)) {
          lane.slots_full = true;
          continue;
        }
        lane.slots[key].Add(count);
      }
    }
    for (size_t i = 0; i < lanes_.size(); ++i) lanes_[i].tracks = std::max(lanes_[i].tracks, ranks[i].tracks);
  }

  // Gives every (lane, region, launch) its places, as many as are shown.
  void Place() {
    for (LaneState& lane : lanes_) {
      uint32_t region = kNowhere;
      uint64_t room = 0;
      for (const auto& [key, most] : lane.most) {   // in order of region, then launch
        if (key.first != region) room = std::max<uint64_t>(options_.max_instances, 1);
        region = key.first;
        const uint64_t shown = std::min(most, room);
        lane.first[key] = {static_cast<uint32_t>(aligned_.size()), static_cast<uint32_t>(shown)};
        aligned_.resize(aligned_.size() + shown);
        room -= shown;
      }
    }
  }

  // Calls use(place, instance, pass, track, region before) for every instance that has a place.
  template <typename Use>
  void ForEach(const SampledPass& pass, Use use) {
    struct Local {
      uint32_t first = kNowhere, places = 0;
      uint64_t seen = 0, total = 0;
    };
    std::vector<Local> local(sample_.regions.size());
    for (const SampledTrack& track : pass.tracks) {
      if (!wanted_lane_[track.lane]) continue;
      const LaneState& lane = lanes_[track.lane];
      for (const auto& [region, count] : track.counts) {
        local[region] = {.total = count};
        const auto at = lane.first.find({region, LaunchKey(pass, track)});
        if (at == lane.first.end()) continue;
        local[region].first = at->second.first;
        local[region].places = at->second.second;
      }
      // The last ones of a track that lost its head were kept: what is missing came before.
      if (!track.complete && track.track.from_tail) {
        absl::flat_hash_map<uint32_t, uint64_t> kept;
        for (const SampledInstance& one : track.instances) ++kept[one.region];
        for (const auto& [region, count] : track.counts) local[region].seen = count - kept[region];
      }
      uint32_t before = track.track.from_tail || (!track.complete && track.track.from_tail) ? kUnknownBefore
                                                                                          : kNothingBefore;
      for (const SampledInstance& one : track.instances) {
        Local& here = local[one.region];
        const uint64_t ordinal = here.seen++;
        const uint64_t place = lane.tail ? here.total - 1 - ordinal : ordinal;
        if (here.first != kNowhere && place < here.places)
          use(here.first + place, one, pass, track, before);
        before = one.region;
      }
    }
  }

  void Count(size_t at, const SampledInstance& one) {
    AlignedInstance& instance = aligned_[at];
    ++instance.count;
    // Majority votes (Boyer and Moore): what most observations say is what is left.
    if (instance.depth_votes == 0) instance.depth = one.depth;
    instance.depth_votes += instance.depth == one.depth ? 1 : -1;
  }

  void Reserve() {
    uint64_t total = 0;
    for (AlignedInstance& instance : aligned_) {
      instance.begin = total;
      total += instance.count;
      instance.count = 0;
    }
    observed_.start_ns.resize(total);
    observed_.duration_ns.resize(total);
    if (cycles_) observed_.cycles.resize(total);
  }

  void Observe(size_t at, const SampledInstance& one, const SampledPass& pass, const SampledTrack& track,
               uint32_t before, uint32_t number) {
    AlignedInstance& instance = aligned_[at];
    const uint64_t i = instance.begin + instance.count++;
    const bool cycles = pass.unit == v1::CYCLES;
    observed_.start_ns[i] = cycles && options_.from_cta
                                ? static_cast<double>(one.start) * pass.ns_per_unit
                                : static_cast<double>(chunk::PlaceNs(track.track.origin_ns, one.start, pass.ns_per_unit));
    observed_.duration_ns[i] = static_cast<double>(one.duration) * pass.ns_per_unit;
    if (cycles_) observed_.cycles[i] = cycles ? static_cast<double>(one.duration) : 0;
    if (instance.last_pass != number) {
      instance.last_pass = number;
      ++instance.passes;
    }
    if (before == kUnknownBefore) return;
    ++instance.known_before;
    if (instance.before_votes == 0) instance.before = before;
    instance.before_votes += instance.before == before ? 1 : -1;
  }

  void CountUsual(size_t at, const SampledTrack&, uint32_t before) {
    if (before != kUnknownBefore && aligned_[at].before == before) ++aligned_[at].usual_before;
  }

  void CompareTotals(const SampledPass& pass) {
    for (const auto& [key, count] : pass.totals) {
      const auto& [launch, lane, region] = key;
      if (wanted_lane_[lane] && wanted_region_[region]) lanes_[lane].role_slots[{launch, region}].Add(count);
    }
  }

  std::vector<v1::RoleLane> Finish(absl::Span<const double> quantiles) {
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < lanes_.size(); ++i)
      if (lanes_[i].seen) order.push_back(i);
    // "thread 10" comes after "thread 9".
    std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
      const auto key = [this](uint32_t i) {
        const SampledLane& lane = sample_.lanes[i];
        const bool named = !lane.role.empty() || lane.inferred;
        return std::make_tuple(!named, named ? 0 : lane.name.size(), lane.name, i);
      };
      return key(a) < key(b);
    });
    std::vector<v1::RoleLane> out;
    for (const uint32_t i : order)
      out.push_back(FinishLane(sample_, sample_.lanes[i], lanes_[i],
                               absl::MakeSpan(aligned_), &observed_, quantiles,
                               options_.regions_spread));
    return out;
  }

  const TraceSample& sample_;
  const AlignOptions& options_;
  bool cycles_ = false;
  std::vector<bool> wanted_region_;
  std::vector<bool> wanted_lane_;
  std::vector<LaneState> lanes_;
  std::vector<AlignedInstance> aligned_;
  Observed observed_;
};

}  // namespace

std::vector<v1::RoleLane> Align(const TraceSample& sample, const AlignOptions& options,
                                absl::Span<const double> quantiles) {
  return Aligner(sample, options).Align(quantiles);
}

}  // namespace sextant::analysis
