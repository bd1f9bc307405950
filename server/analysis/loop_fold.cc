#include "server/analysis/loop_fold.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "server/analysis/quantile.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxSearched = 8192;        // instances of one warp that are searched for the period
constexpr double kNearlyBest = 0.9;
constexpr double kLeastRepeated = 0.5;
constexpr size_t kMaxEdge = 1024;            // iterations of a prologue or epilogue
constexpr uint64_t kMaxIterations = 100'000; // used for the typical one
constexpr size_t kMaxNested = 8;             // nested instances of an iteration that are shown
constexpr uint32_t kMaxDepth = 8;
constexpr size_t kMaxLoops = 8;             // of one lane
constexpr double kLeastShare = 0.05;        // of the lane's time, of loops beside the first
constexpr double kSteadyWithin = 0.25;
constexpr double kMads = 3 * 1.4826;         // 1.4826 MADs are the deviation of a normal distribution

using Sequence = std::vector<uint32_t>;      // regions

// One warp's instances of the folded depth, and where its iterations are.
struct Cut {
  const SampledPass* pass;
  const SampledTrack* track;
  std::vector<bool> folded;                  // [instances]: belongs to a loop that was found
  std::vector<uint32_t> at;                  // indices into the track's instances: those of the depth that are left
  std::vector<uint32_t> iterations;          // indices into `at`
};

std::vector<uint32_t> AtDepth(const Cut& warp, uint32_t depth) {
  const std::vector<SampledInstance>& all = warp.track->instances;
  std::vector<uint32_t> at;
  for (uint32_t i = 0; i < all.size(); ++i)
    if (all[i].depth == depth && !warp.folded[i]) at.push_back(i);
  return at;
}

// The period of the longest stretch that repeats: of several loops one after the other, none repeats for most of the
// time. 0: nothing repeats.
size_t PeriodOfStretch(const Sequence& s, size_t most) {
  std::vector<size_t> covered(most + 1, 0);
  size_t best = 0;
  for (size_t p = 1; p <= most; ++p) {
    size_t longest = 0;
    for (size_t i = 0, run = 0; i + p < s.size(); ++i) {
      run = s[i] == s[i + p] ? run + 1 : 0;
      longest = std::max(longest, run);
    }
    if (longest < (kMinLoopIterations - 1) * p) continue;
    covered[p] = longest + p;
    best = std::max(best, covered[p]);
  }
  for (size_t p = 1; p <= most; ++p)
    if (covered[p] > 0 && static_cast<double>(covered[p]) >= kNearlyBest * static_cast<double>(best)) return p;
  return 0;
}

// 0: nothing repeats.
size_t PeriodOf(const Sequence& s) {
  const size_t n = s.size();
  const size_t most = std::min(kMaxLoopPeriod, n / kMinLoopIterations);
  std::vector<double> repeated(most + 1, 0);
  double best = 0;
  for (size_t p = 1; p <= most; ++p) {
    size_t same = 0;
    for (size_t i = 0; i + p < n; ++i) same += s[i] == s[i + p];
    repeated[p] = static_cast<double>(same) / static_cast<double>(n - p);
    best = std::max(best, repeated[p]);
  }
  if (best < kLeastRepeated) return PeriodOfStretch(s, most);
  for (size_t p = 1; p <= most; ++p)
    if (repeated[p] >= kNearlyBest * best) return p;
  return 0;
}

// "ab" of "ababab": two loops with periods of 2 and 3 repeat together with one of 6.
Sequence Primitive(const Sequence& pattern) {
  for (size_t p = 1; 2 * p <= pattern.size(); ++p)
    if (pattern.size() % p == 0 && std::equal(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(), pattern.begin()))
      return Sequence(pattern.begin(), pattern.begin() + static_cast<std::ptrdiff_t>(p));
  return pattern;
}

bool Matches(const Sequence& s, size_t at, const Sequence& pattern) {
  return at + pattern.size() <= s.size() && std::equal(pattern.begin(), pattern.end(), s.begin() + at);
}

std::vector<uint32_t> Occurrences(const Sequence& s, const Sequence& pattern) {
  std::vector<uint32_t> found;
  for (size_t i = 0; i < s.size();) {
    if (Matches(s, i, pattern)) {
      found.push_back(static_cast<uint32_t>(i));
      i += pattern.size();
    } else {
      ++i;
    }
  }
  return found;
}

double MedianOf(std::vector<double> values) {
  return values.empty() ? 0 : SelectQuantiles(absl::MakeSpan(values), {0.5})[0];
}

class Folder {
 public:
  Folder(const TraceSample& sample, uint32_t lane, absl::Span<const double> quantiles)
      : sample_(sample), lane_(lane), quantiles_(quantiles) {
    for (const SampledPass& pass : sample.passes)
      for (const SampledTrack& track : pass.tracks)
        if (track.lane == lane && !track.instances.empty()) {
          for (const SampledInstance& one : track.instances) deepest_ = std::max(deepest_, one.depth);
          warps_.push_back({&pass, &track, std::vector<bool>(track.instances.size()), {}, {}});
        }
  }

  std::vector<v1::LoopFold> Fold() {
    std::vector<v1::LoopFold> folds;
    for (uint32_t depth = 0; depth < std::min(kMaxDepth, deepest_ + 1); ++depth) {
      // Loops one after the other, at this depth or in what is no loop there: each is found in what the others left.
      while (folds.size() < kMaxLoops && FindPattern(depth)) {
        v1::LoopFold fold;
        const double nested = Describe(depth, &fold);
        TakeOut(depth, nested <= kMaxLoopPeriod / 8);
        if (fold.iterations() < kMinLoopIterations || (!folds.empty() && fold.steady_share() < kLeastShare)) continue;
        folds.push_back(std::move(fold));
      }
    }
    return folds;
  }

 private:
  // What is left beside the loops that were taken out, in order.
  Sequence RegionsOf(const Cut& warp, size_t most) const {
    Sequence s;
    s.reserve(std::min(most, warp.at.size()));
    for (size_t i = 0; i < warp.at.size() && i < most; ++i) s.push_back(warp.track->instances[warp.at[i]].region);
    return s;
  }

  bool FindPattern(uint32_t depth) {
    const Cut* longest = nullptr;
    for (Cut& warp : warps_) {
      warp.at = AtDepth(warp, depth);
      if (longest == nullptr || warp.at.size() > longest->at.size()) longest = &warp;
    }
    if (longest == nullptr || longest->at.size() < kMinLoopIterations) return false;
    const Sequence s = RegionsOf(*longest, kMaxSearched);
    size_t p = PeriodOf(s);
    if (p == 0) return false;
    // Where it repeats for longest.
    size_t begin = 0, length = 0;
    for (size_t i = 0, run = 0; i + p < s.size(); ++i) {
      run = s[i] == s[i + p] ? run + 1 : 0;
      if (run > length) {
        length = run;
        begin = i + 1 - run;
      }
    }
    std::tuple<size_t, bool, double> best;
    const Sequence stretch = Primitive(Sequence(s.begin() + static_cast<std::ptrdiff_t>(begin),
                                                s.begin() + static_cast<std::ptrdiff_t>(begin + p)));
    p = stretch.size();
    pattern_.clear();
    for (size_t r = 0; r < p && begin + r + p <= s.size(); ++r) {
      const Sequence pattern(s.begin() + begin + r, s.begin() + begin + r + p);
      const std::vector<uint32_t> found = Occurrences(s, pattern);
      if (found.empty()) continue;
      std::vector<double> gaps;   // units of time before an iteration
      for (const uint32_t at : found) {
        if (at == 0) continue;
        const SampledInstance& before = longest->track->instances[longest->at[at - 1]];
        const SampledInstance& first = longest->track->instances[longest->at[at]];
        gaps.push_back(first.start > before.end() ? static_cast<double>(first.start - before.end()) : 0);
      }
      const std::tuple<size_t, bool, double> rank(
          found.size(), absl::StartsWith(sample_.regions[pattern[0]], "wait"), MedianOf(std::move(gaps)));
      if (!pattern_.empty() && rank <= best) continue;
      best = rank;
      pattern_ = pattern;
    }
    if (pattern_.empty()) return false;
    for (Cut& warp : warps_) warp.iterations = Occurrences(RegionsOf(warp, warp.at.size()), pattern_);
    return true;
  }

  // What belongs to iterations of the pattern is not looked at again: with what is nested in them, or (`nested` false)
  // without, where that may be a loop of its own.
  void TakeOut(uint32_t depth, bool nested) {
    for (Cut& warp : warps_) {
      const std::vector<SampledInstance>& all = warp.track->instances;
      for (const uint32_t iteration : warp.iterations)
        for (size_t j = 0; j < pattern_.size(); ++j) {
          uint32_t i = warp.at[iteration + j];
          warp.folded[i] = true;
          if (!nested) continue;
          while (++i < all.size() && all[i].depth > depth) warp.folded[i] = true;
        }
    }
  }

  const SampledInstance& Element(const Cut& warp, size_t iteration, size_t j) const {
    return warp.track->instances[warp.at[warp.iterations[iteration] + j]];
  }
  // From the begin of an iteration to that of the next; where none follows at once, to its own end.
  bool Followed(const Cut& warp, size_t k) const {
    return k + 1 < warp.iterations.size() && warp.iterations[k + 1] == warp.iterations[k] + pattern_.size();
  }
  double EndNs(const Cut& warp, size_t k) const {
    uint64_t end = 0;
    if (Followed(warp, k)) end = Element(warp, k + 1, 0).start;
    else
      for (size_t j = 0; j < pattern_.size(); ++j) end = std::max(end, Element(warp, k, j).end());
    return static_cast<double>(end) * warp.pass->ns_per_unit;
  }
  double StartNs(const Cut& warp, size_t k) const {
    return static_cast<double>(Element(warp, k, 0).start) * warp.pass->ns_per_unit;
  }

  // How many iterations from one end are not steady: the median over warps of iteration k from there.
  template <typename Number>
  uint64_t Unsteady(double usual, double within, Number number) const {
    std::vector<std::vector<double>> lengths;
    for (const Cut& warp : warps_) {
      const size_t n = warp.iterations.size();
      for (size_t k = 0; k < std::min(n / 2, kMaxEdge); ++k) {
        if (lengths.size() <= k) lengths.emplace_back();
        const size_t i = number(n, k);
        if (Followed(warp, i) || i + 1 == n) lengths[k].push_back(EndNs(warp, i) - StartNs(warp, i));
      }
    }
    std::vector<bool> steady;
    for (std::vector<double>& at : lengths)
      steady.push_back(at.empty() || std::abs(MedianOf(std::move(at)) - usual) <= within);
    for (size_t k = 0; k + 1 < steady.size(); ++k)
      if (steady[k] && steady[k + 1]) return k;
    return 0;
  }

  // Returns how many nested instances an iteration holds.
  double Describe(uint32_t depth, v1::LoopFold* fold) {
    std::vector<double> iterations, middle;
    uint64_t total = 0;
    for (const Cut& warp : warps_) {
      const size_t n = warp.iterations.size();
      iterations.push_back(static_cast<double>(n));
      total += n;
      for (size_t k = n / 4; k < n - n / 4; ++k)
        if (Followed(warp, k)) middle.push_back(EndNs(warp, k) - StartNs(warp, k));
    }
    fold->set_role(sample_.lanes[lane_].name);
    for (const uint32_t region : pattern_) fold->add_regions(sample_.regions[region]);
    fold->set_iterations(static_cast<uint64_t>(std::lround(MedianOf(iterations))));
    if (middle.empty()) return 0;
    const double usual = MedianOf(middle);
    for (double& one : middle) one = std::abs(one - usual);
    const double within = std::max(kSteadyWithin * usual, kMads * MedianOf(std::move(middle)));
    const uint64_t before = Unsteady(usual, within, [](size_t, size_t k) { return k; });
    const uint64_t behind = Unsteady(usual, within, [](size_t n, size_t k) { return n - 1 - k; });
    fold->set_prologue_iterations(before);
    fold->set_epilogue_iterations(behind);
    return Typical(depth, before, behind, std::max<uint64_t>(1, total / kMaxIterations), fold);
  }

  double Typical(uint32_t depth, uint64_t before, uint64_t behind, uint64_t stride, v1::LoopFold* fold) {
    struct Seen {
      std::vector<double> starts, durations;
    };
    using Key = std::tuple<size_t, uint32_t, uint32_t, uint32_t>;   // element, depth, region, how many before
    std::map<Key, Seen> seen;
    std::vector<double> periods, prologue, epilogue, steady, shares;
    uint64_t used = 0, nested = 0, number = 0;
    for (const Cut& warp : warps_) {
      const std::vector<SampledInstance>& all = warp.track->instances;
      const double ns = warp.pass->ns_per_unit;
      const size_t n = warp.iterations.size();
      if (n < before + behind + 1) continue;
      const size_t last = n - behind - 1;
      uint64_t end = 0;
      for (const SampledInstance& one : all) end = std::max(end, one.end());
      const double first_ns = static_cast<double>(all.front().start) * ns;
      const double last_ns = static_cast<double>(end) * ns;
      const double from_ns = StartNs(warp, before), to_ns = EndNs(warp, last);
      prologue.push_back(from_ns - first_ns);
      epilogue.push_back(std::max(0.0, last_ns - to_ns));
      steady.push_back(to_ns - from_ns);
      if (last_ns > first_ns) shares.push_back((to_ns - from_ns) / (last_ns - first_ns));
      for (size_t k = before; k <= last; ++k) {
        if (number++ % stride != 0) continue;
        ++used;
        const double begin = StartNs(warp, k);
        if (Followed(warp, k)) periods.push_back(EndNs(warp, k) - begin);
        for (size_t j = 0; j < pattern_.size(); ++j) {
          const uint32_t at = warp.at[warp.iterations[k] + j];
          const auto add = [&](const Key& key, const SampledInstance& one) {
            Seen& values = seen[key];
            values.starts.push_back(static_cast<double>(one.start) * ns - begin);
            values.durations.push_back(static_cast<double>(one.duration) * ns);
          };
          add({j, depth, all[at].region, 0}, all[at]);
          std::map<std::pair<uint32_t, uint32_t>, uint32_t> here;
          for (uint32_t i = at + 1; i < all.size() && all[i].depth > depth; ++i) {
            ++nested;
            const uint32_t before_it = here[{all[i].depth, all[i].region}]++;
            if (before_it < kMaxNested) add({j, all[i].depth, all[i].region, before_it}, all[i]);
          }
        }
      }
    }
    const auto put = [this](std::vector<double>& values, auto* field) {
      for (const double value : SelectQuantiles(absl::MakeSpan(values), quantiles_)) field->Add(value);
    };
    put(periods, fold->mutable_period_ns());
    put(prologue, fold->mutable_prologue_ns());
    put(epilogue, fold->mutable_epilogue_ns());
    put(steady, fold->mutable_steady_ns());
    fold->set_steady_share(MedianOf(std::move(shares)));
    std::vector<std::pair<double, v1::LoopRegion>> regions;
    for (auto& [key, values] : seen) {
      if (2 * values.starts.size() < used) continue;   // not in most iterations
      v1::LoopRegion region;
      region.set_region(sample_.regions[std::get<2>(key)]);
      region.set_depth(std::get<1>(key));
      region.set_count(values.starts.size());
      put(values.starts, region.mutable_start_ns());
      put(values.durations, region.mutable_duration_ns());
      const std::vector<double> spread = SelectQuantiles(absl::MakeSpan(values.durations), {0.2, 0.5, 0.8});
      region.set_spread(spread[1] > 0 ? (spread[2] - spread[0]) / spread[1] : 0);
      regions.emplace_back(MedianOf(std::move(values.starts)), std::move(region));
    }
    std::stable_sort(regions.begin(), regions.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second.depth() < b.second.depth();
    });
    for (auto& [at, region] : regions) *fold->add_iteration() = std::move(region);
    return used == 0 ? 0 : static_cast<double>(nested) / static_cast<double>(used);
  }

  const TraceSample& sample_;
  const uint32_t lane_;
  const absl::Span<const double> quantiles_;
  std::vector<Cut> warps_;
  uint32_t deepest_ = 0;   // nesting of the lane's instances
  Sequence pattern_;
};

}  // namespace

std::vector<v1::LoopFold> FoldLoops(const TraceSample& sample, const FoldOptions& options,
                                    absl::Span<const double> quantiles) {
  std::vector<v1::LoopFold> folds;
  for (uint32_t lane = 0; lane < sample.lanes.size(); ++lane) {
    const SampledLane& named = sample.lanes[lane];
    if (!options.roles.empty() && !options.roles.contains(named.role) && !options.roles.contains(named.name))
      continue;
    for (v1::LoopFold& fold : Folder(sample, lane, quantiles).Fold()) folds.push_back(std::move(fold));
  }
  std::stable_sort(folds.begin(), folds.end(),
                   [](const v1::LoopFold& a, const v1::LoopFold& b) { return a.role() < b.role(); });
  return folds;
}

}  // namespace sextant::analysis
