#include "server/analysis/region_times.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/columns.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxDurations = 1 << 18;   // of a region kept for its quantiles
constexpr uint32_t kGridSide = 128;         // regions that are found without hashing

// A region that is open on a track, and where what nests in it is subtracted.
struct Open {
  uint64_t end = 0;
  uint32_t region = 0;
  RegionTime* of_role = nullptr;
  RegionTime* of_warp = nullptr;   // null: not asked for
};

// Times by region and enclosing region of one role, or of one of its warps. What events ask for is an index away.
struct Grid {
  std::string role;
  int32_t warp = -1;
  std::vector<std::vector<RegionTime*>> by_parent;   // [enclosing region + 1][region], of the first kGridSide; null: not seen
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, RegionTime*> others;
};

struct TrackState {
  std::vector<Open> open;
  uint64_t first = UINT64_MAX, last = 0;
  std::string role;
  uint32_t warp = 0;
  Grid* of_role = nullptr;
  Grid* of_warp = nullptr;   // null: not asked for
};

// One pass.
class Reader {
 public:
  Reader(bool by_warp, RegionTimes* out) : by_warp_(by_warp), out_(out) {}

  void Take(const chunk::Decoded& chunk, const Evidence& evidence, const v1::PassInfo& pass) {
    if (chunk.header.unit() != v1::CYCLES) out_->cycles = false;
    ns_per_cycle_ = chunk.header.ns_per_unit();
    std::vector<uint32_t> local;
    for (const std::string& name : chunk.header.regions()) {
      const auto [at, added] = ids_.try_emplace(name, static_cast<uint32_t>(names_.size()));
      if (added) names_.push_back(name);
      local.push_back(at->second);
    }
    for (const chunk::TrackSlice& slice : chunk.tracks) {
      const chunk::Track& track = slice.track;
      if (!evidence.IsOfKernel(pass, track.launch)) continue;
      out_->dropped += track.dropped;
      if (slice.count == 0) continue;
      launches_.insert(track.launch);
      ctas_.insert({track.launch, track.cta});
      const auto [at, added] = tracks_.try_emplace(std::make_tuple(track.launch, track.cta, track.warp));
      TrackState& state = at->second;
      if (added) {
        state.role = LaneName(chunk.header, track);
        if (track.role >= static_cast<uint32_t>(chunk.header.roles_size()) || chunk.header.roles(static_cast<int>(track.role)).empty())
          unnamed_.insert(state.role);
        state.warp = track.warp;
        state.of_role = GridOf(state.role, -1);
        if (by_warp_) state.of_warp = GridOf(state.role, static_cast<int32_t>(track.warp));
      }
      // Enclosing regions first. Recorders leave them so, but for those that begin together.
      order_.resize(slice.count);
      std::iota(order_.begin(), order_.end(), slice.begin);
      const auto before = [&](uint32_t a, uint32_t b) {
        return chunk.start[a] != chunk.start[b] ? chunk.start[a] < chunk.start[b] : chunk.duration[a] > chunk.duration[b];
      };
      if (!std::is_sorted(order_.begin(), order_.end(), before)) std::stable_sort(order_.begin(), order_.end(), before);
      for (const uint32_t i : order_) Add(chunk.start[i], chunk.duration[i], local[chunk.region[i]], &state);
    }
  }

  double ns_per_cycle() const { return ns_per_cycle_; }
  // Lanes of warps that name no role.
  const std::set<std::string>& unnamed() const { return unnamed_; }
  // CTAs of all launches.
  uint64_t ctas() const { return ctas_.size(); }
  const absl::flat_hash_set<uint32_t>& launches() const { return launches_; }

  void End() {
    for (const auto& [key, track] : tracks_) {
      if (track.last <= track.first) continue;
      const double span = static_cast<double>(track.last - track.first);
      out_->spans[{track.role, -1}] += span;
      if (by_warp_) out_->spans[{track.role, static_cast<int32_t>(track.warp)}] += span;
    }
    out_->launches += launches_.size();
  }

 private:
  void Add(uint64_t start, uint64_t duration, uint32_t region, TrackState* track) {
    const uint64_t end = start + duration;
    // What overlaps without being inside is a sibling: it ends the other here.
    while (!track->open.empty() && (track->open.back().end <= start || track->open.back().end < end)) track->open.pop_back();
    const double cycles = static_cast<double>(duration);
    const Open above = track->open.empty() ? Open{0, UINT32_MAX} : track->open.back();
    Open& open = track->open.emplace_back();
    open.end = end;
    open.region = region;
    open.of_role = TimeOf(track->of_role, region, above.region);
    if (by_warp_) open.of_warp = TimeOf(track->of_warp, region, above.region);
    for (RegionTime* const time : {open.of_role, open.of_warp})
      if (time != nullptr) time->Add(cycles);
    for (RegionTime* const time : {above.of_role, above.of_warp})
      if (time != nullptr) time->cycles_exclusive -= cycles;
    track->first = std::min(track->first, start);
    track->last = std::max(track->last, end);
  }

  Grid* GridOf(const std::string& role, int32_t warp) {
    Grid& grid = grids_[{role, warp}];
    grid.role = role;
    grid.warp = warp;
    return &grid;
  }

  RegionTime* TimeOf(Grid* grid, uint32_t region, uint32_t parent) {
    const uint32_t row = parent == UINT32_MAX ? 0 : parent + 1;
    RegionTime** time = nullptr;
    if (row < kGridSide && region < kGridSide) {
      if (row >= grid->by_parent.size()) grid->by_parent.resize(row + 1);
      std::vector<RegionTime*>& times = grid->by_parent[row];
      if (region >= times.size()) times.resize(region + 1);
      time = &times[region];
    } else {
      time = &grid->others[{row, region}];
    }
    if (*time == nullptr)
      *time = &out_->regions[{grid->role, names_[region], parent == UINT32_MAX ? "" : names_[parent], grid->warp}];
    return *time;
  }

  const bool by_warp_;
  RegionTimes* const out_;
  double ns_per_cycle_ = 0;
  std::set<std::string> unnamed_;
  absl::flat_hash_map<std::string, uint32_t> ids_;
  std::vector<std::string> names_;
  absl::flat_hash_map<std::tuple<uint32_t, uint32_t, uint32_t>, TrackState> tracks_;
  std::map<std::pair<std::string, int32_t>, Grid> grids_;   // keeps addresses, as out_->regions does
  std::vector<uint32_t> order_;
  absl::flat_hash_set<uint32_t> launches_;
  absl::flat_hash_set<std::pair<uint32_t, uint32_t>> ctas_;
};

// CTAs of these launches by `launches`; 0: it does not tell.
double CtasLaunched(const Evidence& evidence, const v1::PassInfo& pass, const absl::flat_hash_set<uint32_t>& launches) {
  const auto read = evidence.Read(pass, "launches");
  if (!read.ok()) return 0;
  const NumberColumn launch(**read, "launch"), x(**read, "grid_x"), y(**read, "grid_y"), z(**read, "grid_z"),
      ctas(**read, "ctas");
  double sum = 0;
  size_t found = 0;
  for (uint64_t row = 0; row < (*read)->rows(); ++row) {
    if (!(launch[row] >= 0) || !launches.contains(static_cast<uint32_t>(launch[row]))) continue;
    const double here = ctas.Positive(row) > 0 ? ctas[row] : x.Positive(row) * y.Positive(row) * z.Positive(row);
    if (here > 0) ++found;
    sum += here;
  }
  return found == launches.size() ? sum : 0;
}

// Warps without a role that recorded the same regions become one, named after its first regions.
void MergeUnnamed(const std::set<std::string>& unnamed, RegionTimes* times) {
  std::map<std::string, std::set<std::pair<std::string, std::string>>> does;
  for (const auto& [key, time] : times->regions)
    if (key.warp < 0 && unnamed.contains(key.role)) does[key.role].insert({key.region, key.parent});
  std::map<std::set<std::pair<std::string, std::string>>, std::string> roles;
  // In order of the warp's number, not of its text.
  std::vector<std::pair<size_t, std::string>> order;
  for (const auto& [lane, regions] : does) order.emplace_back(lane.size(), lane);
  std::sort(order.begin(), order.end());
  for (const auto& [size, lane] : order) {
    const auto [role, added] = roles.try_emplace(does[lane]);
    if (added) {
      std::string names;
      int shown = 0;
      for (const auto& [region, parent] : does[lane])
        if (parent.empty() && shown++ < 2) names += (names.empty() ? "" : ", ") + region;
      role->second = absl::StrCat("role ", roles.size() - 1, " (", names, shown > 2 ? ", …" : "", ")");
    }
    times->role_of[lane] = role->second;
  }
  std::map<RegionKey, RegionTime> merged;
  for (auto& [key, time] : times->regions) {
    RegionKey to = key;
    if (const auto role = times->role_of.find(key.role); role != times->role_of.end()) to.role = role->second;
    merged[to].Merge(std::move(time));
  }
  times->regions = std::move(merged);
  std::map<std::pair<std::string, int32_t>, double> spans;
  for (const auto& [key, span] : times->spans) {
    const auto role = times->role_of.find(key.first);
    spans[{role == times->role_of.end() ? key.first : role->second, key.second}] += span;
  }
  times->spans = std::move(spans);
}

}  // namespace

void RegionTime::Merge(RegionTime other) {
  if (instances == 0) {
    *this = std::move(other);
    return;
  }
  // Both samples at the coarser of their strides.
  const uint64_t coarser = std::max(stride, other.stride);
  for (RegionTime* const one : {this, &other})
    for (; one->stride < coarser; one->stride *= 2) one->Thin();
  durations.insert(durations.end(), other.durations.begin(), other.durations.end());
  instances += other.instances;
  cycles += other.cycles;
  cycles_exclusive += other.cycles_exclusive;
  while (durations.size() > kMaxDurations) {
    Thin();
    stride *= 2;
  }
}

void RegionTime::Thin() {
  const size_t half = (durations.size() + 1) / 2;
  for (size_t i = 0; i < half; ++i) durations[i] = durations[2 * i];
  durations.resize(half);
}

void RegionTime::Add(double duration) {
  if ((instances & (stride - 1)) == 0) {   // a power of two
    durations.push_back(duration);
    if (durations.size() > kMaxDurations) {
      Thin();
      stride *= 2;
    }
  }
  ++instances;
  cycles += duration;
  cycles_exclusive += duration;
}

absl::StatusOr<RegionTimes> ReadRegionTimes(const Evidence& evidence, const Evidence::Want& want, bool by_warp,
                                            v1::Basis* basis) {
  RegionTimes times;
  double recorded = 0, launched = 0;
  std::set<std::string> unnamed;
  const PassList passes = evidence.Take({"scopes", "proton"}, want, basis);
  for (const v1::PassInfo* pass : passes) {
    Reader reader(by_warp, &times);
    const absl::Status status = evidence.ReadTrace(*pass, {}, [&](const chunk::Decoded& chunk) {
      reader.Take(chunk, evidence, *pass);
      return absl::OkStatus();
    });
    if (absl::IsNotFound(status)) continue;   // removed by retention
    RETURN_IF_ERROR(status, "reading the trace of pass ", pass->pass_id());
    reader.End();
    times.pass_ids.push_back(pass->pass_id());
    unnamed.insert(reader.unnamed().begin(), reader.unnamed().end());
    times.ns_per_cycle += (reader.ns_per_cycle() - times.ns_per_cycle) / ++times.passes;
    if (const double ctas = CtasLaunched(evidence, *pass, reader.launches()); ctas > 0) {
      recorded += static_cast<double>(reader.ctas());
      launched += ctas;
    }
  }
  if (launched > recorded && recorded > 0) times.recorded_share = recorded / launched;
  if (!unnamed.empty()) MergeUnnamed(unnamed, &times);
  std::set<std::string> names;
  for (const auto& [key, time] : times.regions) names.insert(key.region);
  times.names.assign(names.begin(), names.end());
  return times;
}

absl::StatusOr<RegionTimes> ReadRegionTimes(const Evidence& evidence, bool by_warp, v1::Basis* basis) {
  Evidence::Want want{.used_for = "time", .times = true, .trace = true};
  const int before = basis->passes_size();
  ASSIGN_OR_RETURN(RegionTimes times, ReadRegionTimes(evidence, want, by_warp, basis));
  if (times.passes == 0) {
    want.same_code = false;
    basis->mutable_passes()->DeleteSubrange(before, basis->passes_size() - before);
    ASSIGN_OR_RETURN(times, ReadRegionTimes(evidence, want, by_warp, basis));
    times.other_code = times.passes > 0;
  }
  for (const v1::Perturbation& one : evidence.certificates())
    for (const int64_t pass : times.pass_ids)
      if (one.ratio() > 0 && evidence.IsKernel(one.kernel()) &&
          std::find(one.pass_ids().begin(), one.pass_ids().end(), pass) != one.pass_ids().end())
        times.lengthened = one.ratio();
  return times;
}

}  // namespace sextant::analysis
