#include "server/analysis/overlap.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "server/analysis/quantile.h"

namespace sextant::analysis {
namespace {

// Something that runs or does not: a region of a role, or a role's work. Its index is a bit.
struct Key {
  uint32_t lane = 0;
  uint32_t region = 0;           // meaningless of work
  bool is_work = false;
  double time = 0;
  uint32_t depth = UINT32_MAX;   // least seen
};

struct Edge {
  uint64_t at;                   // in the trace's unit, since the unit's first origin
  int32_t change;                // +1, −1
  int32_t key;
};

class Sweep {
 public:
  explicit Sweep(const TraceSample& sample) : sample_(sample) {
    std::map<std::pair<uint32_t, uint32_t>, Key> all;
    for (const SampledPass& pass : sample.passes) {
      for (const SampledTrack& track : pass.tracks) {
        for (const SampledInstance& one : track.instances) {
          Key& key = all.try_emplace({track.lane, one.region}, Key{track.lane, one.region}).first->second;
          key.time += static_cast<double>(one.duration) * pass.ns_per_unit;
          key.depth = std::min(key.depth, one.depth);
        }
      }
    }
    for (auto& [id, key] : all) keys_.push_back(key);
    std::stable_sort(keys_.begin(), keys_.end(), [](const Key& a, const Key& b) { return a.time > b.time; });
    if (keys_.size() > kMaxOverlapRegions) keys_.resize(kMaxOverlapRegions);
    regions_ = keys_.size();
    work_of_.assign(sample.lanes.size(), -1);
    for (size_t i = 0; i < regions_; ++i) {
      const uint32_t lane = keys_[i].lane;
      index_[{lane, keys_[i].region}] = static_cast<int>(i);
      if (work_of_[lane] >= 0 || keys_.size() == regions_ + kMaxOverlapRoles) continue;
      work_of_[lane] = static_cast<int>(keys_.size());
      keys_.push_back({.lane = lane, .is_work = true});
    }
    busy_.resize(regions_);
    both_.resize(regions_ * keys_.size());
    asked_.resize(both_.size());
    for (size_t i = 0; i < regions_; ++i)
      for (size_t j = 0; j < keys_.size(); ++j) asked_[i * keys_.size() + j] = Asked(i, j);
  }

  std::vector<v1::RoleOverlap> Run() {
    // Tracks are in order of launch, then CTA.
    std::vector<std::pair<const SampledPass*, absl::Span<const SampledTrack>>> units;
    for (const SampledPass& pass : sample_.passes) {
      for (size_t from = 0; from < pass.tracks.size();) {
        size_t to = from;
        while (to < pass.tracks.size() && SameUnit(pass.tracks[from], pass.tracks[to])) ++to;
        units.emplace_back(&pass, absl::MakeConstSpan(pass.tracks).subspan(from, to - from));
        from = to;
      }
    }
    const size_t stride = std::max<size_t>(1, (units.size() + kMaxOverlapUnits - 1) / kMaxOverlapUnits);
    for (size_t i = 0; i < units.size(); i += stride) OneUnit(*units[i].first, units[i].second);
    return Rows();
  }

 private:
  static bool SameUnit(const SampledTrack& a, const SampledTrack& b) {
    return a.track.launch == b.track.launch && a.track.cta == b.track.cta;
  }

  bool Asked(size_t i, size_t j) const {
    if (i == j) return false;
    const Key &a = keys_[i], &b = keys_[j];
    if (a.lane != b.lane) return sample_.lanes[a.lane].kernel == sample_.lanes[b.lane].kernel;
    // Of one warp, what encloses what says nothing.
    return sample_.lanes.size() == 1 && !b.is_work && a.depth == b.depth;
  }

  // One CTA, or one process.
  void OneUnit(const SampledPass& pass, absl::Span<const SampledTrack> tracks) {
    uint64_t origin = UINT64_MAX;
    for (const SampledTrack& track : tracks) origin = std::min(origin, track.track.origin_ns);
    std::vector<Edge> edges;
    std::vector<bool> here(regions_);
    for (const SampledTrack& track : tracks) {
      const uint64_t shift =
          static_cast<uint64_t>(static_cast<double>(track.track.origin_ns - origin) / pass.ns_per_unit);
      for (const SampledInstance& one : track.instances) {
        const auto key = index_.find({track.lane, one.region});
        if (key == index_.end()) continue;
        here[key->second] = true;
        if (one.duration == 0) continue;
        edges.push_back({one.start + shift, 1, key->second});
        edges.push_back({one.end() + shift, -1, key->second});
      }
      if (work_of_[track.lane] >= 0) AddWork(track, shift, work_of_[track.lane], &edges);
    }
    std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
    absl::flat_hash_map<uint64_t, uint64_t> times;   // which keys run → for how long
    std::vector<int32_t> running(keys_.size(), 0);
    uint64_t mask = 0, since = 0;
    for (size_t i = 0; i < edges.size();) {
      const uint64_t at = edges[i].at;
      if (mask != 0) times[mask] += at - since;
      for (; i < edges.size() && edges[i].at == at; ++i) {
        const uint64_t bit = uint64_t{1} << edges[i].key;
        running[edges[i].key] += edges[i].change;
        if (running[edges[i].key] > 0) mask |= bit;
        else mask &= ~bit;
      }
      since = at;
    }
    Take(times, here, pass.ns_per_unit);
  }

  // When the innermost region of a warp is no wait.
  void AddWork(const SampledTrack& track, uint64_t shift, int key, std::vector<Edge>* edges) const {
    std::vector<std::pair<uint64_t, bool>> open;   // end, whether it is work; outermost first
    uint64_t now = 0;
    const auto pass_until = [&](uint64_t until) {
      while (!open.empty()) {
        const auto [end, work] = open.back();
        const uint64_t to = std::min(end, until);
        if (work && to > now) {
          edges->push_back({now + shift, 1, key});
          edges->push_back({to + shift, -1, key});
        }
        now = std::max(now, to);
        if (end > until) return;
        open.pop_back();
      }
    };
    for (const SampledInstance& one : track.instances) {
      pass_until(one.start);
      now = std::max(now, one.start);
      open.emplace_back(one.end(), !IsWait(sample_.regions[one.region]));
    }
    pass_until(UINT64_MAX);
  }

  void Take(const absl::flat_hash_map<uint64_t, uint64_t>& times, const std::vector<bool>& here, double ns) {
    const size_t n = keys_.size();
    std::vector<double> both(regions_ * n);   // the diagonal is busy
    for (const auto& [mask, units] : times) {
      const double t = static_cast<double>(units) * ns;
      for (uint64_t a = mask & ((uint64_t{1} << regions_) - 1); a != 0; a &= a - 1)
        for (uint64_t b = mask; b != 0; b &= b - 1) both[std::countr_zero(a) * n + std::countr_zero(b)] += t;
    }
    for (size_t i = 0; i < regions_; ++i) {
      if (!here[i]) continue;
      busy_[i].push_back(both[i * n + i]);
      for (size_t j = 0; j < n; ++j)
        if (asked_[i * n + j]) both_[i * n + j].push_back(both[i * n + j]);
    }
  }

  std::vector<v1::RoleOverlap> Rows() {
    const size_t n = keys_.size();
    const auto median = [](std::vector<double>& values) {
      return values.empty() ? 0 : SelectQuantiles(absl::MakeSpan(values), {0.5})[0];
    };
    std::vector<std::pair<double, size_t>> order;
    for (size_t i = 0; i < regions_; ++i) order.emplace_back(median(busy_[i]), i);
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<v1::RoleOverlap> rows;
    for (const auto& [busy, i] : order) {
      if (!(busy > 0)) continue;
      std::vector<v1::RoleOverlap> of_key;
      for (size_t j = 0; j < n; ++j) {
        if (!asked_[i * n + j]) continue;
        v1::RoleOverlap& row = of_key.emplace_back();
        row.set_role(sample_.lanes[keys_[i].lane].name);
        row.set_region(sample_.regions[keys_[i].region]);
        row.set_other_role(sample_.lanes[keys_[j].lane].name);
        if (!keys_[j].is_work) row.set_other_region(sample_.regions[keys_[j].region]);
        row.set_busy_ns(busy);
        row.set_both_ns(std::min(median(both_[i * n + j]), busy));
        row.set_hidden_share(row.both_ns() / busy);
        row.set_exposed_ns(busy - row.both_ns());
      }
      std::stable_sort(of_key.begin(), of_key.end(), [](const auto& a, const auto& b) {
        return a.other_region().empty() != b.other_region().empty() ? a.other_region().empty()
                                                                    : a.both_ns() > b.both_ns();
      });
      for (v1::RoleOverlap& row : of_key)
        if (rows.size() < kMaxOverlapRows) rows.push_back(std::move(row));
    }
    return rows;
  }

  const TraceSample& sample_;
  std::vector<Key> keys_;                          // regions, then the work of roles
  size_t regions_ = 0;
  std::vector<int> work_of_;                       // by lane: its key of work, or −1
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, int> index_;   // lane, region → key
  std::vector<std::vector<double>> busy_;          // by region: one a unit
  std::vector<std::vector<double>> both_;          // by region × key
  std::vector<bool> asked_;                        // likewise
};

}  // namespace

bool IsWait(absl::string_view region) { return absl::StartsWithIgnoreCase(region, "wait"); }

std::vector<v1::RoleOverlap> Overlaps(const TraceSample& sample) { return Sweep(sample).Run(); }

}  // namespace sextant::analysis
