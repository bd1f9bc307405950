#include "server/analysis/occupancy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/occupancy/occupancy.h"
#include "proto/status/status.h"
#include "server/analysis/chip.h"
#include "server/analysis/columns.h"
#include "server/analysis/quantile.h"
#include "server/analysis/text.h"
#include "server/analysis/traced_passes.h"
#include "server/analysis/waves.h"

namespace sextant::analysis {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr char kAchieved[] = "sm__warps_active.avg.pct_of_peak_sustained_active";
constexpr char kQuestion[] = "when which CTA ran where";

// One launch of the kernel in one pass.
struct Run {
  std::vector<CtaSpan> ctas;
  LaunchShape shape;
};

double MedianOf(std::vector<double> values) {
  return values.empty() ? kNaN : SelectQuantiles(absl::MakeSpan(values), {0.5})[0];
}

// A series over the buckets of a launch.
class Buckets {
 public:
  Buckets(uint64_t bucket_ns, uint32_t buckets) : bucket_ns_(bucket_ns), values_(buckets, 0) {}

  // Adds `weight` times the share of each bucket that [from, to) covers.
  void Add(double from_ns, double to_ns, double weight) {
    if (!(to_ns > from_ns)) return;
    const double width = static_cast<double>(bucket_ns_);
    const size_t first = static_cast<size_t>(std::max(0.0, from_ns) / width);
    for (size_t b = first; b < values_.size(); ++b) {
      const double low = std::max(from_ns, static_cast<double>(b) * width);
      const double high = std::min(to_ns, static_cast<double>(b + 1) * width);
      if (high <= low) break;
      values_[b] += weight * (high - low) / width;
    }
  }
  const std::vector<double>& values() const { return values_; }

 private:
  const uint64_t bucket_ns_;
  std::vector<double> values_;
};

class Finder {
 public:
  Finder(const Evidence& evidence, const SampleReader& samples, const v1::GetOccupancyRequest& request)
      : evidence_(evidence), samples_(samples), request_(request) {}

  absl::StatusOr<v1::OccupancyOverTime> Find() {
    evidence_.Begin(out_.mutable_basis());
    RETURN_IF_ERROR(ReadRuns());
    RETURN_IF_ERROR(ReadSampled());
    uint64_t longest = 0;
    for (const Run& run : runs_) longest = std::max(longest, run.shape.end_ns - run.shape.begin_ns);
    for (const auto& [pass, window] : windows_) longest = std::max(longest, window.second - window.first);
    buckets_ = request_.buckets() == 0 ? kDefaultOccupancyBuckets : request_.buckets();
    bucket_ns_ = std::max<uint64_t>(1, (longest + buckets_ - 1) / buckets_);
    out_.set_bucket_ns(bucket_ns_);
    RETURN_IF_ERROR(Theory());
    if (!runs_.empty()) {
      Series();
      Shapes();
    }
    Sampled();
    RETURN_IF_ERROR(Achieved());
    return std::move(out_);
  }

 private:
  void Note(std::string text) { out_.mutable_basis()->add_notes(std::move(text)); }
  void Abstain(absl::string_view question, absl::string_view why, absl::string_view pass) {
    evidence_.Abstain(question, why, pass, out_.mutable_basis());
  }

  // Of launches of a pass, those that are asked for.
  absl::StatusOr<std::vector<uint32_t>> Chosen(const std::set<uint32_t>& launches) const {
    if (request_.all_launches()) return std::vector<uint32_t>(launches.begin(), launches.end());
    if (launches.empty()) return std::vector<uint32_t>();
    if (request_.launch() >= launches.size())
      return absl::InvalidArgumentError(absl::StrCat("launch: ", request_.launch(), ", but the kernel was launched ",
                                                     launches.size(), " times; they count from 0"));
    return std::vector<uint32_t>{*std::next(launches.begin(), static_cast<int64_t>(request_.launch()))};
  }

  absl::Status ReadRuns() {
    const PassList passes = TracedPasses(evidence_, {"scopes", "proton"}, "CTAs", out_.mutable_basis());
    if (passes.empty()) {
      Abstain(kQuestion, "no pass recorded CTAs: neither scopes nor Proton's regions inside the kernel", "scopes");
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const auto sample, samples_(evidence_, passes));
    uint64_t shortest = UINT64_MAX, most = 0;
    bool cut = false;
    for (const SampledPass& pass : sample->passes) {
      std::map<uint32_t, std::vector<CtaSpan>> launches;
      std::set<uint32_t> numbers;
      for (const CtaSpan& cta : pass.ctas) {
        if (!evidence_.IsOfKernel(*pass.info, cta.launch)) continue;
        launches[cta.launch].push_back(cta);
        numbers.insert(cta.launch);
      }
      ASSIGN_OR_RETURN(const std::vector<uint32_t> chosen, Chosen(numbers));
      for (const uint32_t launch : chosen) {
        Run& run = runs_.emplace_back();
        run.ctas = std::move(launches[launch]);
        run.shape = ShapeOf(run.ctas);
        shortest = std::min<uint64_t>(shortest, run.ctas.size());
        most = std::max<uint64_t>(most, run.ctas.size());
      }
      cut |= pass.ctas_cut;
    }
    if (cut) Note("the traces hold more CTAs than are kept: the first ones of each pass are shown");
    if (runs_.empty()) {
      Abstain(kQuestion, "the passes recorded no region in this kernel", "scopes");
      return absl::OkStatus();
    }
    if (shortest != most)
      Note(absl::StrCat("launches differ in recorded CTAs: ", Count(shortest), " to ", Count(most)));
    out_.set_ctas_seen(static_cast<uint32_t>(most));
    return absl::OkStatus();
  }

  // Windows of the kernel's launches in passes that sampled counters over time.
  absl::Status ReadSampled() {
    sampled_ = evidence_.TakeAllKinds("pmsampling", {.used_for = "counters over time", .table = "pm_samples"},
                                      out_.mutable_basis());
    for (const v1::PassInfo* pass : sampled_) {
      auto launches = evidence_.Read(*pass, "launches");
      if (!launches.ok()) continue;
      const NumberColumn launch(**launches, "launch"), start(**launches, "start_ns"), end(**launches, "end_ns");
      std::map<uint32_t, std::pair<uint64_t, uint64_t>> windows;
      std::set<uint32_t> numbers;
      for (uint64_t row = 0; row < (*launches)->rows(); ++row) {
        if (!evidence_.IsOfKernel(*pass, static_cast<int64_t>(launch[row])) || !(end[row] > start[row])) continue;
        const uint32_t number = static_cast<uint32_t>(launch[row]);
        windows[number] = {static_cast<uint64_t>(start[row]), static_cast<uint64_t>(end[row])};
        numbers.insert(number);
      }
      ASSIGN_OR_RETURN(const std::vector<uint32_t> chosen, Chosen(numbers));
      for (const uint32_t number : chosen) windows_.emplace_back(pass, windows[number]);
    }
    if (!sampled_.empty() && windows_.empty())
      Note("counters were sampled over time, but those passes do not tell when the kernel ran: they are not shown");
    return absl::OkStatus();
  }

  absl::Status Theory() {
    out_.set_theoretical_occupancy_pct(kNaN);
    for (const Run& run : runs_) out_.set_ctas_per_sm(std::max(out_.ctas_per_sm(), MostResident(run.ctas)));
    out_.set_ctas(out_.ctas_seen());
    const Evidence::LaunchRow launch = evidence_.AnyLaunch();
    if (launch.pass == nullptr) return absl::OkStatus();
    const auto number = [&](const char* name) { return NumberColumn(*launch.launches, name).Positive(launch.row); };
    const double grid = number("grid_x") * number("grid_y") * number("grid_z");
    const double ctas = grid > 0 ? grid : number("ctas");
    if (ctas > 0) out_.set_ctas(static_cast<uint32_t>(std::min(ctas, 4e9)));
    const double block = number("block_x") * number("block_y") * number("block_z");
    const double percent = number("occupancy_pct");
    if (!(percent > 0)) {
      Abstain("theoretical occupancy", "no pass left it with its launches", "activity");
      return absl::OkStatus();
    }
    out_.set_theoretical_occupancy_pct(percent);
    const auto& extra = launch.pass->result().provenance().extra();
    const auto gpu = extra.find("gpu");
    const uint32_t warps = gpu == extra.end() ? 0 : occupancy::MultiprocessorOf(ChipOf(gpu->second).capability).max_warps;
    if (warps > 0 && block > 0)
      out_.set_ctas_per_sm(static_cast<uint32_t>(
          std::max(1.0, std::round(percent / 100 * warps / std::ceil(block / 32)))));
    return absl::OkStatus();
  }

  void Series() {
    if (out_.ctas_seen() < out_.ctas())
      Note(absl::StrCat("of ", Count(out_.ctas()), " CTAs a launch ", Count(out_.ctas_seen()),
                        " were recorded: resident CTAs, waves and the tail are of these alone"));
    std::set<uint32_t> seen;
    for (const Run& run : runs_)
      for (const CtaSpan& cta : run.ctas) seen.insert(cta.sm);
    out_.set_sms(static_cast<uint32_t>(seen.size()));
    std::vector<uint32_t> sms(seen.begin(), seen.end());
    std::map<uint32_t, size_t> row_of;
    for (size_t i = 0; i < sms.size(); ++i) row_of[sms[i]] = i;
    Buckets resident(bucket_ns_, buckets_), active(bucket_ns_, buckets_);
    std::vector<Buckets> rows(std::min(sms.size(), kMaxHeatMapRows), Buckets(bucket_ns_, buckets_));
    const double weight = 1 / static_cast<double>(runs_.size());
    for (Run& run : runs_) {
      std::sort(run.ctas.begin(), run.ctas.end(), [](const CtaSpan& a, const CtaSpan& b) {
        return std::make_pair(a.sm, a.start_ns) < std::make_pair(b.sm, b.start_ns);
      });
      uint64_t until = 0;
      for (size_t i = 0; i < run.ctas.size(); ++i) {
        const CtaSpan& cta = run.ctas[i];
        if (i == 0 || run.ctas[i - 1].sm != cta.sm) until = 0;
        const auto since = [&](uint64_t ns) { return static_cast<double>(ns - run.shape.begin_ns); };
        resident.Add(since(cta.start_ns), since(cta.end_ns), weight);
        if (const size_t row = row_of[cta.sm]; row < rows.size())
          rows[row].Add(since(cta.start_ns), since(cta.end_ns), weight);
        const uint64_t from = std::max(until, cta.start_ns);
        if (cta.end_ns > from) active.Add(since(from), since(cta.end_ns), weight);
        until = std::max(until, cta.end_ns);
      }
    }
    out_.mutable_resident_ctas()->Add(resident.values().begin(), resident.values().end());
    out_.mutable_active_sms()->Add(active.values().begin(), active.values().end());
    v1::HeatMap* map = out_.add_heat_maps();
    map->set_what("resident CTAs");
    map->set_bucket_ns(bucket_ns_);
    if (sms.size() > rows.size())
      Note(absl::StrCat("the heat map shows the first ", rows.size(), " of ", sms.size(), " SMs"));
    for (size_t i = 0; i < rows.size(); ++i) {
      map->add_sms(sms[i]);
      for (const double value : rows[i].values()) map->add_values(static_cast<float>(value));
    }
  }

  void Shapes() {
    std::vector<double> tails, losses, imbalances;
    struct OfWave {
      std::vector<double> ctas, starts, ends;
    };
    std::map<uint32_t, OfWave> waves;
    for (const Run& run : runs_) {
      tails.push_back(run.shape.tail_ns);
      losses.push_back(run.shape.tail_loss_share);
      imbalances.push_back(run.shape.imbalance);
      const std::vector<uint32_t> of = WavesOf(run.ctas, out_.ctas_per_sm());
      std::map<uint32_t, std::pair<uint64_t, std::pair<uint64_t, uint64_t>>> here;   // CTAs, start, end
      for (size_t i = 0; i < run.ctas.size(); ++i) {
        auto& [ctas, span] = here.try_emplace(of[i], 0, std::make_pair(UINT64_MAX, 0)).first->second;
        ++ctas;
        span.first = std::min(span.first, run.ctas[i].start_ns - run.shape.begin_ns);
        span.second = std::max(span.second, run.ctas[i].end_ns - run.shape.begin_ns);
      }
      for (const auto& [wave, one] : here) {
        waves[wave].ctas.push_back(static_cast<double>(one.first));
        waves[wave].starts.push_back(static_cast<double>(one.second.first));
        waves[wave].ends.push_back(static_cast<double>(one.second.second));
      }
    }
    out_.set_tail_ns(MedianOf(std::move(tails)));
    out_.set_tail_loss_share(MedianOf(std::move(losses)));
    out_.set_imbalance(MedianOf(std::move(imbalances)));
    for (auto& [index, wave] : waves) {
      if (2 * wave.ctas.size() < runs_.size()) continue;   // not in most launches
      if (static_cast<size_t>(out_.waves_size()) == kMaxWaves) {
        Note(absl::StrCat("the first ", kMaxWaves, " of ", waves.size(), " waves are shown"));
        break;
      }
      v1::Wave* out = out_.add_waves();
      out->set_index(index);
      out->set_ctas(static_cast<uint32_t>(std::lround(MedianOf(std::move(wave.ctas)))));
      out->set_start_ns(MedianOf(std::move(wave.starts)));
      out->set_end_ns(MedianOf(std::move(wave.ends)));
    }
  }

  // Counters of the whole GPU in the buckets of the launches.
  void Sampled() {
    struct Series {
      std::string unit;
      Buckets sum, weight;
    };
    std::map<std::string, Series> all;
    for (const v1::PassInfo* pass : sampled_) {
      const auto table = evidence_.Read(*pass, "pm_samples");
      if (!table.ok()) continue;
      const NumberColumn start(**table, "start_ns"), end(**table, "end_ns"), value(**table, "value");
      const TextColumn metric(**table, "metric"), unit(**table, "unit");
      for (const auto& [of, window] : windows_) {
        if (of != pass) continue;
        const double begin = static_cast<double>(window.first), until = static_cast<double>(window.second);
        for (uint64_t row = 0; row < (*table)->rows(); ++row) {
          if (!std::isfinite(value[row]) || !(end[row] > begin) || !(start[row] < until)) continue;
          auto at = all.find(std::string(metric[row]));
          if (at == all.end()) {
            if (all.size() + 1 >= kMaxHeatMaps) continue;
            at = all.emplace(std::string(metric[row]), Series{std::string(unit[row]), Buckets(bucket_ns_, buckets_),
                                                              Buckets(bucket_ns_, buckets_)}).first;
          }
          const double from = std::max(start[row], begin) - begin, to = std::min(end[row], until) - begin;
          at->second.sum.Add(from, to, value[row]);
          at->second.weight.Add(from, to, 1);
        }
      }
    }
    for (const auto& [metric, series] : all) {
      v1::HeatMap* map = out_.add_heat_maps();
      map->set_what(metric);
      map->set_unit(series.unit);
      map->set_bucket_ns(bucket_ns_);
      for (uint32_t b = 0; b < buckets_; ++b) {
        const double weight = series.weight.values()[b];
        map->add_values(static_cast<float>(weight > 0 ? series.sum.values()[b] / weight : kNaN));
      }
    }
    if (sampled_.empty())
      Abstain("what the GPU's units did over time", "no pass sampled counters over time", "pmsampling");
  }

  absl::Status Achieved() {
    out_.set_achieved_occupancy_pct(kNaN);
    std::vector<double> values;
    for (const v1::PassInfo* pass : evidence_.TakeAllKinds(
             "counters", {.used_for = "achieved occupancy", .table = "counters"}, out_.mutable_basis())) {
      ASSIGN_OR_RETURN(const Table table, evidence_.Read(*pass, "counters"));
      const TextColumn kernel(*table, "kernel"), metric(*table, "metric");
      const NumberColumn launch(*table, "launch"), value(*table, "value");
      for (uint64_t row = 0; row < table->rows(); ++row)
        if (metric[row] == kAchieved && launch[row] >= 0 && std::isfinite(value[row]) &&
            evidence_.IsKernel(absl::string_view(kernel[row].data(), kernel[row].size())))
          values.push_back(value[row]);
    }
    if (values.empty()) Abstain("achieved occupancy", "no pass counted active warps", "counters:set=occupancy");
    else out_.set_achieved_occupancy_pct(MedianOf(std::move(values)));
    return absl::OkStatus();
  }

  const Evidence& evidence_;
  const SampleReader& samples_;
  const v1::GetOccupancyRequest& request_;
  v1::OccupancyOverTime out_;
  std::vector<Run> runs_;
  PassList sampled_;
  std::vector<std::pair<const v1::PassInfo*, std::pair<uint64_t, uint64_t>>> windows_;   // of pm_samples
  uint32_t buckets_ = 0;
  uint64_t bucket_ns_ = 0;
};

}  // namespace

absl::StatusOr<v1::OccupancyOverTime> FindOccupancy(const Evidence& evidence, const SampleReader& samples,
                                                    const v1::GetOccupancyRequest& request) {
  return Finder(evidence, samples, request).Find();
}

}  // namespace sextant::analysis
