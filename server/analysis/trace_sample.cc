#include "server/analysis/trace_sample.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "proto/status/status.h"
#include "server/analysis/evidence.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr size_t kFewCtas = 8;              // below, tracks are shortened instead of CTAs left out
constexpr uint64_t kShortest = 64;          // no track is shortened below
constexpr int kRarerCtaZero = 6;            // bits
constexpr size_t kMaxTotals = 1 << 18;
constexpr int kReaders = 2;

// SplitMix64's finalizer (Steele, Lea, Flood 2014).
uint64_t Mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t LowBits(int n) { return (uint64_t{1} << n) - 1; }

bool KeptAt(int level, uint32_t launch, uint32_t cta) {
  const uint64_t hash = Mixed(uint64_t{launch} << 32 | cta);
  if ((hash & LowBits(level)) == 0) return true;
  return cta == 0 && level <= kRarerCtaZero
             ? true
             : cta == 0 && (Mixed(launch) & LowBits(level - kRarerCtaZero)) == 0;
}

using TrackKey = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;   // launch, CTA, warp, role
using TotalKey = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;   // launch, role, warp, region

void SetDepths(std::vector<SampledInstance>* instances) {
  const auto before = [](const SampledInstance& a, const SampledInstance& b) {
    return a.start != b.start ? a.start < b.start : a.duration > b.duration;
  };
  if (!std::is_sorted(instances->begin(), instances->end(), before))
    std::stable_sort(instances->begin(), instances->end(), before);
  std::vector<uint64_t> ends;
  for (SampledInstance& one : *instances) {
    while (!ends.empty() && ends.back() <= one.start) ends.pop_back();
    one.depth = static_cast<uint32_t>(ends.size());
    ends.push_back(one.end());
  }
}

}  // namespace

bool IsKernel(absl::string_view name, absl::string_view wanted) {
  return name == wanted || ShortKernel(name) == wanted || (!name.empty() && name == ShortKernel(wanted));
}

std::string TraceSample::Describe() const {
  if (whole()) return "";
  if (level > 0)
    return absl::StrCat("1 in ", uint64_t{1} << level, " CTAs (", Count(ctas_kept), " of ", Count(ctas), ")",
                        most_per_track > 0 ? absl::StrCat(", and the first ", Count(most_per_track),
                                                          " instances of each warp")
                                           : "");
  return absl::StrCat("the first ", Count(most_per_track), " instances of each thread or warp");
}

struct PassSampler::State {
  Options options;
  SampledPass pass;
  std::vector<std::string> regions;
  std::vector<std::string> roles;
  int level = 0;
  uint64_t most = std::numeric_limits<uint64_t>::max();   // per track
  uint64_t kept = 0;
  bool sealed = false;
  absl::flat_hash_map<TrackKey, uint32_t> tracks;
  absl::flat_hash_map<uint64_t, uint32_t> ctas;           // launch, CTA → index into pass.ctas
  absl::flat_hash_set<uint64_t> kept_ctas;
  absl::flat_hash_map<TotalKey, uint64_t> totals;
  std::vector<uint64_t> here;                             // by region: of one slice
  std::vector<uint32_t> touched;

  bool Wanted(const chunk::Decoded& chunk, uint32_t launch) const {
    if (options.kernel.empty()) return true;
    if (options.kernels == nullptr) return IsKernel(chunk.header.kernel(), options.kernel);
    const auto kernel = options.kernels->find(launch);
    return kernel != options.kernels->end() && IsKernel(kernel->second, options.kernel);
  }

  bool Kept(const chunk::Track& track) const {
    return pass.unit != v1::CYCLES || KeptAt(level, track.launch, track.cta);
  }

  void Span(const chunk::Decoded& chunk, const chunk::TrackSlice& slice) {
    if (slice.count == 0) return;
    const uint64_t key = uint64_t{slice.track.launch} << 32 | slice.track.cta;
    auto at = ctas.find(key);
    if (at == ctas.end()) {
      if (ctas.size() >= options.max_ctas) {
        pass.ctas_cut = true;
        return;
      }
      at = ctas.emplace(key, static_cast<uint32_t>(pass.ctas.size())).first;
      pass.ctas.push_back({slice.track.launch, slice.track.cta, slice.track.sm, UINT64_MAX, 0});
    }
    CtaSpan& span = pass.ctas[at->second];
    uint64_t last = 0;
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i)
      last = std::max(last, chunk.start[i] + chunk.duration[i]);
    span.start_ns = std::min(span.start_ns, slice.track.origin_ns > 0
                                                ? slice.track.origin_ns
                                                : chunk::PlaceNs(0, chunk.start[slice.begin], pass.ns_per_unit));
    span.end_ns = std::max(span.end_ns, chunk::PlaceNs(slice.track.origin_ns, last, pass.ns_per_unit));
  }

  void CountIn(const chunk::Decoded& chunk, const chunk::TrackSlice& slice) {
    here.resize(regions.size(), 0);
    touched.clear();
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i)
      if (here[chunk.region[i]]++ == 0) touched.push_back(chunk.region[i]);
  }

  void AddSlice(const chunk::Decoded& chunk, const chunk::TrackSlice& slice) {
    const chunk::Track& track = slice.track;
    if (!Wanted(chunk, track.launch)) return;
    pass.events += slice.count;
    pass.dropped += track.dropped;
    CountIn(chunk, slice);
    if (pass.unit == v1::CYCLES) {
      Span(chunk, slice);
      for (const uint32_t region : touched) {
        const TotalKey key(track.launch, track.role, track.warp, region);
        if (totals.size() < kMaxTotals || totals.contains(key)) totals[key] += here[region];
      }
    }
    if (Kept(track)) Keep(chunk, slice);
    for (const uint32_t region : touched) here[region] = 0;
  }

  void Keep(const chunk::Decoded& chunk, const chunk::TrackSlice& slice) {
    const TrackKey key(slice.track.launch, slice.track.cta, slice.track.warp, slice.track.role);
    const auto [at, added] = tracks.try_emplace(key, static_cast<uint32_t>(pass.tracks.size()));
    if (added) {
      SampledTrack& track = pass.tracks.emplace_back();
      track.track = slice.track;
      track.track.dropped = 0;
      if (slice.track.role < roles.size()) track.role = roles[slice.track.role];
      if (pass.unit == v1::CYCLES)
        kept_ctas.insert(uint64_t{slice.track.launch} << 32 | slice.track.cta);
    }
    SampledTrack& track = pass.tracks[at->second];
    track.track.dropped += slice.track.dropped;
    track.track.from_tail |= slice.track.from_tail;
    for (const uint32_t region : touched) {
      auto count = std::find_if(track.counts.begin(), track.counts.end(),
                                [&](const auto& one) { return one.first == region; });
      if (count == track.counts.end()) count = track.counts.insert(count, {region, 0});
      count->second += here[region];
    }
    const size_t before = track.instances.size();
    uint32_t take = slice.count;
    if (!track.track.from_tail && before + take > most) {
      take = static_cast<uint32_t>(most > before ? most - before : 0);
      track.complete = false;
    }
    track.instances.resize(before + take);
    for (uint32_t k = 0; k < take; ++k) {
      const uint32_t i = slice.begin + k;
      track.instances[before + k] = {chunk.start[i], chunk.duration[i], chunk.region[i], 0};
    }
    kept += take;
    if (track.instances.size() > most) Shorten(&track);
    if (kept > 2 * options.max_instances) Thin(options.max_instances);
  }

  void Shorten(SampledTrack* track) {
    if (track->instances.size() <= most) return;
    const size_t gone = track->instances.size() - most;
    track->complete = false;
    kept -= gone;
    if (track->track.from_tail) track->instances.erase(track->instances.begin(), track->instances.begin() + gone);
    else track->instances.resize(most);
  }

  // Until at most so many instances are kept, or nothing more can be left out.
  void Thin(uint64_t most_kept) {
    while (kept > most_kept) {
      if (pass.unit == v1::CYCLES && level < 40) {
        size_t left = 0;
        for (const uint64_t cta : kept_ctas)
          left += KeptAt(level + 1, static_cast<uint32_t>(cta >> 32), static_cast<uint32_t>(cta)) ? 1 : 0;
        if (left >= std::min(kFewCtas, kept_ctas.size())) {
          Raise(level + 1);
          continue;
        }
      }
      uint64_t longest = 0;
      for (const SampledTrack& track : pass.tracks) longest = std::max<uint64_t>(longest, track.instances.size());
      if (longest <= kShortest) return;
      Limit(std::max(kShortest, longest / 2));
    }
  }

  void Raise(int to) {
    if (to <= level) return;
    level = to;
    std::vector<SampledTrack> stay;
    tracks.clear();
    kept_ctas.clear();
    kept = 0;
    for (SampledTrack& track : pass.tracks) {
      if (!Kept(track.track)) continue;
      kept += track.instances.size();
      kept_ctas.insert(uint64_t{track.track.launch} << 32 | track.track.cta);
      tracks[{track.track.launch, track.track.cta, track.track.warp, track.track.role}] =
          static_cast<uint32_t>(stay.size());
      stay.push_back(std::move(track));
    }
    pass.tracks = std::move(stay);
  }

  void Limit(uint64_t to) {
    if (to >= most) return;
    most = to;
    for (SampledTrack& track : pass.tracks) {
      Shorten(&track);
      track.instances.shrink_to_fit();
    }
  }

  void Seal() {
    if (std::exchange(sealed, true)) return;
    Thin(options.max_instances);
    for (SampledTrack& track : pass.tracks) SetDepths(&track.instances);
    std::sort(pass.tracks.begin(), pass.tracks.end(), [](const SampledTrack& a, const SampledTrack& b) {
      return std::tie(a.track.launch, a.track.cta, a.track.warp, a.role) <
             std::tie(b.track.launch, b.track.cta, b.track.warp, b.role);
    });
    std::sort(pass.ctas.begin(), pass.ctas.end(), [](const CtaSpan& a, const CtaSpan& b) {
      return std::tie(a.launch, a.cta) < std::tie(b.launch, b.cta);
    });
    ctas.clear();
  }
};

PassSampler::PassSampler(Options options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->pass.kernels = state_->options.kernels;
}
PassSampler::~PassSampler() = default;
PassSampler::PassSampler(PassSampler&&) = default;

void PassSampler::Add(const chunk::Decoded& chunk) {
  State& s = *state_;
  const v1::ChunkHeader& header = chunk.header;
  s.pass.unit = header.unit();
  s.pass.ns_per_unit = header.unit() == v1::CYCLES ? header.ns_per_unit() : 1.0;
  if (s.pass.kernel.empty()) s.pass.kernel = header.kernel();
  // Tables of names only grow.
  for (int i = static_cast<int>(s.regions.size()); i < header.regions_size(); ++i)
    s.regions.push_back(header.regions(i));
  for (int i = static_cast<int>(s.roles.size()); i < header.roles_size(); ++i)
    s.roles.push_back(header.roles(i));
  for (const chunk::TrackSlice& slice : chunk.tracks) s.AddSlice(chunk, slice);
}

TraceSample JoinSamples(std::vector<PassSampler> passes) {
  TraceSample out;
  uint64_t most = std::numeric_limits<uint64_t>::max();
  for (PassSampler& sampler : passes) {
    sampler.state_->Seal();
    out.level = std::max(out.level, sampler.state_->level);
    most = std::min(most, sampler.state_->most);
  }
  absl::flat_hash_map<std::string, uint32_t> region_ids;
  struct Unjoined {   // with the pass's own numbers
    absl::flat_hash_map<TotalKey, uint64_t> totals;
    std::vector<std::string> roles;
  };
  std::vector<Unjoined> unjoined;
  for (PassSampler& sampler : passes) {
    PassSampler::State& s = *sampler.state_;
    if (s.pass.unit == v1::CYCLES) s.Raise(out.level);
    s.Limit(most);
    std::vector<uint32_t> remap;
    for (const std::string& name : s.regions) {
      const auto [at, added] = region_ids.try_emplace(name, static_cast<uint32_t>(out.regions.size()));
      if (added) out.regions.push_back(name);
      remap.push_back(at->second);
    }
    for (SampledTrack& track : s.pass.tracks) {
      for (SampledInstance& one : track.instances) one.region = remap[one.region];
      for (auto& [region, count] : track.counts) region = remap[region];
    }
    Unjoined& rest = unjoined.emplace_back();
    for (const auto& [key, count] : s.totals) {
      auto [launch, role, warp, region] = key;
      rest.totals[{launch, role, warp, remap[region]}] += count;
    }
    rest.roles = std::move(s.roles);
    out.events += s.pass.events;
    out.kept += s.kept;
    out.ctas += s.pass.ctas.size();
    out.ctas_kept += s.kept_ctas.size();
    out.passes.push_back(std::move(s.pass));
  }
  out.most_per_track = most == std::numeric_limits<uint64_t>::max() ? 0 : most;

  const LaneFinder lanes(&out);
  for (size_t i = 0; i < out.passes.size(); ++i) {
    SampledPass& pass = out.passes[i];
    for (const auto& [key, count] : unjoined[i].totals) {
      const auto& [launch, role, warp, region] = key;
      const int lane = lanes.LaneOf(
          pass, launch, role < unjoined[i].roles.size() ? unjoined[i].roles[role] : std::string(), warp);
      if (lane >= 0) pass.totals[{launch, static_cast<uint32_t>(lane), region}] += count;
    }
  }
  return out;
}

absl::StatusOr<TraceSample> ReadSample(TraceSource source, absl::Span<const PassToRead> passes,
                                       const ReadSampleOptions& options) {
  const uint64_t n = std::max<uint64_t>(passes.size(), 1);
  std::vector<PassSampler> samplers;
  for (const PassToRead& pass : passes)
    samplers.emplace_back(PassSampler::Options{.max_instances = std::max<uint64_t>(options.max_instances / n, 1),
                                               .max_ctas = std::max<uint64_t>(options.max_ctas / n, 1),
                                               .kernels = pass.kernels,
                                               .kernel = options.kernel});
  std::vector<absl::Status> ended(passes.size());
  std::atomic<size_t> next = 0;
  const auto read = [&] {
    for (size_t i = next++; i < passes.size(); i = next++) {
      ended[i] = source(*passes[i].info, [&](const chunk::Decoded& chunk) {
        samplers[i].Add(chunk);
        return absl::OkStatus();
      });
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < kReaders && static_cast<size_t>(i) < passes.size(); ++i) others.emplace_back(read);
  read();
  for (std::thread& other : others) other.join();
  for (size_t i = 0; i < passes.size(); ++i)
    RETURN_IF_ERROR(ended[i], "reading the trace of pass ", passes[i].info->pass_id());
  TraceSample sample = JoinSamples(std::move(samplers));
  for (size_t i = 0; i < passes.size(); ++i) sample.passes[i].info = passes[i].info;
  return sample;
}

}  // namespace sextant::analysis
