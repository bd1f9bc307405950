#include "server/analysis/variation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/analysis/bimodality.h"
#include "server/analysis/overlap.h"
#include "server/analysis/pass_traits.h"
#include "server/analysis/quantile.h"
#include "server/analysis/rank_tests.h"
#include "server/analysis/text.h"
#include "server/analysis/traced_passes.h"
#include "server/analysis/variance_components.h"
#include "server/analysis/waves.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxUnits = 400;       // of a permutation test; a regular part of more
constexpr size_t kManyUnits = 32;       // enough CTAs to leave some out rather than iterations
constexpr int kMaxGoesWith = 5;

// One CTA of one launch of one pass, or one thread.
struct Unit {
  uint32_t pass = 0;
  uint32_t launch = 0;       // dense, over all passes
  uint32_t sm = 0;
  uint32_t wave = 0;
  bool has_wave = false;
  std::map<uint32_t, double> waits_ns;   // by lane
};

struct Observation {
  double ns;
  uint32_t unit;
  uint32_t ordinal;
};

using RegionKey = std::pair<uint32_t, uint32_t>;   // lane, region

class Finder {
 public:
  Finder(const Evidence& evidence, const SampleReader& samples) : evidence_(evidence), read_(samples) {}

  absl::StatusOr<v1::Variation> Find() {
    v1::Basis* basis = out_.mutable_basis();
    evidence_.Begin(basis);
    const PassList passes = TracedPasses(evidence_, {"scopes", "proton", "host"}, "durations", basis);
    if (passes.empty()) {
      evidence_.Abstain("which regions vary", "no pass recorded regions", "scopes", basis);
      return std::move(out_);
    }
    ASSIGN_OR_RETURN(sample_, read_(evidence_, passes));
    if (passes.size() == 1)
      evidence_.Abstain("how much passes differ from each other", "there is one pass", "scopes*5", basis);
    if (!sample_->whole())
      basis->add_notes(absl::StrCat("durations are those of ", sample_->Describe(), ": the passes recorded ",
                                    Count(sample_->events)));
    Gather();
    if (regions_.empty()) {
      evidence_.Abstain("which regions vary", "the passes recorded no instance in this kernel", "", basis);
      return std::move(out_);
    }
    Describe();
    return std::move(out_);
  }

 private:
  struct Region {
    uint64_t total = 0;
    double total_ns = 0;
    std::vector<Observation> seen;
  };

  bool Wanted(const SampledPass& pass, const SampledTrack& track) const {
    return pass.unit != v1::CYCLES || pass.info == nullptr ||
           evidence_.IsOfKernel(*pass.info, track.track.launch);
  }

  void Gather() {
    cycles_ = !sample_->passes.empty() && sample_->passes.front().unit == v1::CYCLES;
    uint32_t launches = 0;
    std::map<RegionKey, uint64_t> totals;
    uint64_t units = 0;
    for (const SampledPass& pass : sample_->passes)
      for (const SampledTrack& track : pass.tracks) {
        if (!Wanted(pass, track)) continue;
        ++units;
        for (const SampledInstance& one : track.instances) ++totals[{track.lane, one.region}];
      }
    std::vector<bool> tail(sample_->lanes.size());
    for (const SampledPass& pass : sample_->passes)
      for (const SampledTrack& track : pass.tracks) tail[track.lane] = tail[track.lane] || track.track.from_tail;
    uint32_t number = 0;
    std::vector<uint64_t> seen(sample_->regions.size()), count(sample_->regions.size());
    for (const SampledPass& pass : sample_->passes) {
      absl::flat_hash_map<uint64_t, uint32_t> unit_of, wave_of;
      absl::flat_hash_map<uint32_t, uint32_t> launch_of;
      if (cycles_) FindWaves(pass, &wave_of);
      for (const SampledTrack& track : pass.tracks) {
        if (!Wanted(pass, track)) continue;
        const auto launch = launch_of.try_emplace(track.track.launch, launches);
        launches += launch.second ? 1 : 0;
        const uint64_t key = uint64_t{track.track.launch} << 32 | (cycles_ ? track.track.cta : track.track.warp);
        const auto unit = unit_of.try_emplace(key, static_cast<uint32_t>(units_.size()));
        if (unit.second) {
          units_.push_back({.pass = number, .launch = launch.first->second, .sm = track.track.sm});
          const auto wave = wave_of.find(key);
          if (wave != wave_of.end()) {
            units_.back().wave = wave->second;
            units_.back().has_wave = true;
          }
        }
        for (const auto& [region, n] : track.counts) {
          seen[region] = 0;
          count[region] = n;
        }
        for (const SampledInstance& one : track.instances) {
          const double ns = static_cast<double>(one.duration) * pass.ns_per_unit;
          Region& region = regions_[{track.lane, one.region}];
          ++region.total;
          region.total_ns += ns;
          if (one.depth == 0) lane_ns_[track.lane] += ns;
          if (IsWait(sample_->regions[one.region])) units_[unit.first->second].waits_ns[track.lane] += ns;
          const uint64_t rank = seen[one.region]++;
          const uint64_t ordinal = tail[track.lane] ? count[one.region] - 1 - rank : rank;
          // A regular part of more: every n-th unit, or where these are few every n-th iteration.
          const uint64_t stride = 1 + (totals[{track.lane, one.region}] - 1) / kMaxVariedInstances;
          const bool keep = stride == 1 || (units >= kManyUnits * stride ? unit.first->second % stride == 0
                                                                         : ordinal % stride == 0);
          if (keep) region.seen.push_back({ns, unit.first->second, static_cast<uint32_t>(std::min<uint64_t>(ordinal, UINT32_MAX))});
        }
      }
      ++number;
    }
    launches_ = launches;
  }

  void FindWaves(const SampledPass& pass, absl::flat_hash_map<uint64_t, uint32_t>* waves) const {
    for (size_t from = 0; from < pass.ctas.size();) {   // in order of launch
      size_t to = from;
      while (to < pass.ctas.size() && pass.ctas[to].launch == pass.ctas[from].launch) ++to;
      const auto launch = absl::MakeConstSpan(pass.ctas).subspan(from, to - from);
      const std::vector<uint32_t> of = WavesOf(launch, MostResident(launch));
      for (size_t i = 0; i < launch.size(); ++i)
        (*waves)[uint64_t{launch[i].launch} << 32 | launch[i].cta] = of[i];
      from = to;
    }
  }

  void Describe() {
    struct Ranked {
      double weight;
      RegionKey key;
      v1::RegionVariation out;
    };
    std::vector<Ranked> ranked;
    std::vector<double> values;
    for (auto& [key, region] : regions_) {
      values.clear();
      double sum = 0, squares = 0;
      for (const Observation& one : region.seen) {
        values.push_back(one.ns);
        sum += one.ns;
        squares += one.ns * one.ns;
      }
      Ranked& rank = ranked.emplace_back();
      rank.key = key;
      rank.out.set_role(sample_->lanes[key.first].name);
      rank.out.set_region(sample_->regions[key.second]);
      rank.out.set_count(region.total);
      const double n = static_cast<double>(values.size());
      const std::vector<double> q = SelectQuantiles(absl::MakeSpan(values), {0.2, 0.5, 0.8});
      rank.out.set_median_ns(q[1]);
      rank.out.set_spread(q[1] > 0 ? (q[2] - q[0]) / q[1] : 0);
      const double mean = sum / n, variance = std::max(0.0, squares / n - mean * mean);
      rank.out.set_coefficient_of_variation(mean > 0 ? std::sqrt(variance) / mean : 0);
      const double lane = lane_ns_[key.first];
      rank.out.set_time_share(lane > 0 ? std::min(1.0, region.total_ns / lane) : 0);
      rank.weight = (q[2] - q[0]) * static_cast<double>(region.total);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.weight > b.weight; });
    if (ranked.size() > kMaxVariedRegions) {
      out_.mutable_basis()->add_notes(absl::StrCat("the ", kMaxVariedRegions, " of ", ranked.size(),
                                                   " regions that vary most are shown"));
      ranked.resize(kMaxVariedRegions);
    }
    std::map<std::string, std::set<std::string>> not_told;
    for (Ranked& rank : ranked) {
      const Region& region = regions_.at(rank.key);
      Components(region, &rank.out, &not_told);
      std::vector<double> durations;
      for (const Observation& one : region.seen) durations.push_back(one.ns);
      const Modes modes = FindModes(durations);
      rank.out.set_bimodal(modes.two);
      rank.out.add_modes_ns(modes.first);
      if (modes.two) {
        rank.out.add_modes_ns(modes.second);
        rank.out.set_second_mode_share(modes.second_share);
      }
      GoesWith(rank.key, region, &rank.out);
      *out_.add_regions() = std::move(rank.out);
    }
    for (const auto& [why, in] : not_told)
      out_.mutable_basis()->add_notes(absl::StrCat(why, in.size() == ranked.size() ? "" : absl::StrCat(
          " (", in.size() > 3 ? absl::StrCat(in.size(), " regions") : absl::StrJoin(in, ", "), ")")));
  }

  void Components(const Region& region, v1::RegionVariation* out,
                  std::map<std::string, std::set<std::string>>* not_told) const {
    const size_t n = region.seen.size();
    std::vector<double> y(n);
    enum { kPass, kLaunch, kUnit, kSm, kOrdinal, kFactors };
    std::vector<Factor> factors(kFactors);
    factors[kPass].name = "passes";
    factors[kLaunch].name = cycles_ ? "launches" : "processes";
    factors[kUnit].name = cycles_ ? "CTAs" : "threads";
    factors[kSm].name = "SMs";
    factors[kOrdinal].name = "iterations";
    std::vector<absl::flat_hash_map<uint32_t, uint32_t>> dense(kFactors);
    for (size_t i = 0; i < n; ++i) {
      const Observation& one = region.seen[i];
      const Unit& unit = units_[one.unit];
      y[i] = one.ns;
      const uint32_t levels[kFactors] = {unit.pass, unit.launch, one.unit, cycles_ ? unit.sm : 0, one.ordinal};
      for (int f = 0; f < kFactors; ++f)
        factors[f].levels.push_back(dense[f].try_emplace(levels[f], static_cast<uint32_t>(dense[f].size())).first->second);
    }
    for (int f = 0; f < kFactors; ++f) factors[f].count = static_cast<uint32_t>(dense[f].size());
    if (!cycles_) factors.erase(factors.begin() + kSm);
    std::vector<std::string> left_out;
    const std::vector<Component> components = VarianceComponents(y, factors, &left_out);
    double sum = 0;
    for (const Component& one : components) sum += one.variance;
    for (const Component& one : components) {
      v1::VarianceComponent* component = out->add_components();
      component->set_source(one.name);
      component->set_variance(one.variance);
      component->set_share(sum > 0 ? one.variance / sum : 0);
    }
    for (const std::string& why : left_out) (*not_told)[why].insert(out->region());
  }

  void GoesWith(const RegionKey& key, const Region& region, v1::RegionVariation* out) const {
    std::vector<v1::Association> all;
    const auto add = [&](const std::string& with, const RankTest& test, size_t count) {
      if (std::isnan(test.value) || test.p_value > kGoesWithPValue) return;
      v1::Association& one = all.emplace_back();
      one.set_with(with);
      one.set_correlation(test.value);
      one.set_count(count);
      one.set_p_value(test.p_value);
    };
    // Means of units.
    std::map<uint32_t, std::pair<double, uint64_t>> sums;
    std::map<uint32_t, std::vector<double>> of_pass, of_ordinal;
    for (const Observation& one : region.seen) {
      auto& [sum, n] = sums[one.unit];
      sum += one.ns;
      ++n;
      of_pass[units_[one.unit].pass].push_back(one.ns);
      of_ordinal[one.ordinal].push_back(one.ns);
    }
    std::vector<uint32_t> ids;
    std::vector<double> means;
    const size_t stride = 1 + (sums.size() - 1) / kMaxUnits;
    size_t i = 0;
    for (const auto& [unit, sum] : sums) {
      if (i++ % stride != 0) continue;
      ids.push_back(unit);
      means.push_back(sum.first / static_cast<double>(sum.second));
    }
    const auto with_units = [&](const std::string& with, auto value) {
      std::vector<double> x, y;
      for (size_t k = 0; k < ids.size(); ++k) {
        const double v = value(units_[ids[k]]);
        if (std::isnan(v)) continue;
        x.push_back(v);
        y.push_back(means[k]);
      }
      add(with, Spearman(x, y), x.size());
    };
    if (cycles_) {
      with_units("wave", [](const Unit& unit) { return unit.has_wave ? static_cast<double>(unit.wave) : NAN; });
      std::vector<uint32_t> groups;
      absl::flat_hash_map<uint32_t, uint32_t> dense;
      for (const uint32_t id : ids)
        groups.push_back(dense.try_emplace(units_[id].sm, static_cast<uint32_t>(dense.size())).first->second);
      add("SM", Eta(groups, static_cast<uint32_t>(dense.size()), means), means.size());
      for (uint32_t lane = 0; lane < sample_->lanes.size(); ++lane) {
        if (lane == key.first || !lane_ns_.contains(lane)) continue;
        with_units(absl::StrCat("role ", sample_->lanes[lane].name, "'s wait"), [lane](const Unit& unit) {
          const auto wait = unit.waits_ns.find(lane);
          return wait == unit.waits_ns.end() ? NAN : wait->second;
        });
      }
    }
    std::vector<double> x, y;
    for (auto& [pass, values] : of_pass) {
      const v1::PassInfo* info = sample_->passes[pass].info;
      const double mhz = info == nullptr ? 0 : SmClockMhz(*info);
      if (!(mhz > 0)) continue;
      x.push_back(mhz);
      y.push_back(SelectQuantiles(absl::MakeSpan(values), {0.5})[0]);
    }
    add("SM clock", Spearman(x, y), x.size());
    x.clear();
    y.clear();
    const size_t every = 1 + (of_ordinal.size() - 1) / kMaxUnits;
    i = 0;
    for (auto& [ordinal, values] : of_ordinal) {
      if (i++ % every != 0) continue;
      x.push_back(ordinal);
      y.push_back(SelectQuantiles(absl::MakeSpan(values), {0.5})[0]);
    }
    add("ordinal", Spearman(x, y), x.size());
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return std::abs(a.correlation()) > std::abs(b.correlation());
    });
    for (size_t k = 0; k < all.size() && out->goes_with_size() < kMaxGoesWith; ++k)
      *out->add_goes_with() = std::move(all[k]);
  }

  const Evidence& evidence_;
  const SampleReader& read_;
  std::shared_ptr<const TraceSample> sample_;
  v1::Variation out_;
  bool cycles_ = false;
  uint32_t launches_ = 0;
  std::vector<Unit> units_;
  std::map<RegionKey, Region> regions_;
  std::map<uint32_t, double> lane_ns_;   // of outermost instances
};

}  // namespace

absl::StatusOr<v1::Variation> FindVariation(const Evidence& evidence, const SampleReader& samples) {
  return Finder(evidence, samples).Find();
}

}  // namespace sextant::analysis
