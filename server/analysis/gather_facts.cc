#include "server/analysis/gather_facts.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/status/status.h"
#include "server/analysis/chip.h"
#include "server/analysis/columns.h"
#include "server/analysis/kernel_code.h"
#include "server/analysis/kernel_metrics.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/pass_traits.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/quantile.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

constexpr double kShortGapNs = 100'000;
constexpr double kWarpsPerSm = 64;   // compute capability 8.0, 9.0, 10.0
constexpr double kMostCounted = 1e25;
constexpr double kFp32Lanes = 128;   // of an SM, compute capability 8.6, 8.9, 9.0, 10.0

double Median(std::vector<double> values) { return Quantiles(&values, {{0.5}})[0]; }

std::vector<int64_t> Ids(const std::set<int64_t>& ids) { return {ids.begin(), ids.end()}; }

// What should take the same time: in several passes launches of one number, else launches of one shape.
absl::StatusOr<std::map<std::string, std::vector<double>>> LikeDurations(const Evidence& evidence,
                                                                            const std::vector<int64_t>& ids) {
  std::map<std::string, std::vector<double>> shapes;
  for (const v1::PassInfo& pass : evidence.passes()) {
    if (std::find(ids.begin(), ids.end(), pass.pass_id()) == ids.end()) continue;
    auto read = evidence.Read(pass, "launches");
    if (absl::IsNotFound(read.status())) continue;
    RETURN_IF_ERROR(read.status());
    const TextColumn kernel(**read, "kernel");
    const NumberColumn duration(**read, "duration_ns"), number(**read, "launch");
    std::vector<NumberColumn> shape;
    for (const char* name : {"grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "dynamic_shared_bytes"})
      shape.emplace_back(**read, name);
    if (!kernel) continue;
    const auto is = kernel.Words([&](absl::string_view word) { return word == evidence.kernel(); });
    for (uint64_t row = 0; row < (*read)->rows(); ++row) {
      if (!is[kernel.Word(row)] || !(duration.Positive(row) > 0)) continue;
      std::string key;
      if (ids.size() > 1) key = absl::StrCat(number[row]);
      else for (const NumberColumn& column : shape) absl::StrAppend(&key, column[row], " ");
      shapes[key].push_back(duration[row]);
    }
  }
  return shapes;
}

absl::Status Time(const Evidence& evidence, Facts* facts, v1::Basis* basis) {
  double total = 0;
  for (const KernelUse& kernel : evidence.kernels()) total += kernel.total_ns;
  for (const KernelUse& kernel : evidence.kernels())
    if (kernel.name == evidence.kernel() && total > 0) facts->share_of_gpu_time = kernel.total_ns / total;
  v1::Basis used;
  std::vector<double> durations = evidence.CleanDurationsNs(&used);
  if (durations.empty()) return absl::OkStatus();
  std::string kind;
  std::vector<int64_t> passes;
  for (const v1::PassSet& set : used.passes()) {
    kind = set.backend();
    passes.insert(passes.end(), set.pass_ids().begin(), set.pass_ids().end());
  }
  basis->MergeFrom(used);
  ASSIGN_OR_RETURN(auto alike, LikeDurations(evidence, passes));
  double spread = 0, weights = 0;
  for (auto& [key, values] : alike) {
    const double weight = std::accumulate(values.begin(), values.end(), 0.0);
    const std::vector<double> quantiles = Quantiles(&values, {{0.2, 0.5, 0.8}});
    spread += weight * (quantiles[2] - quantiles[0]) / quantiles[1];
    weights += weight;
  }
  facts->clean_launches = durations.size();
  facts->clean_ns = MakeFact(kind, absl::StrCat("median of ", durations.size(), " launches"), Median(durations), "ns", passes);
  if (weights > 0) {
    facts->clean_spread = MakeFact(kind, absl::StrCat("(P80 − P20) ÷ P50 of ", passes.size() > 1 ? "a launch over passes" : "launches of one shape"),
                                   100 * spread / weights, "%", passes);
    facts->clean_spread.value /= 100;
  }
  return absl::OkStatus();
}

// Of all kernels of the task.
absl::Status Launching(const Evidence& evidence, Facts* facts) {
  struct OfPass {
    int64_t id;
    double idle, mean_ns, gaps;
  };
  std::map<std::string, std::vector<OfPass>> kinds;
  for (const v1::PassInfo& pass : evidence.passes()) {
    if (!EndedWell(pass) || MeasuredAs(pass).backend() != "activity" || !Evidence::Has(pass, "launches") ||
        pass.result().provenance().machine_class() != evidence.machine_class())
      continue;
    auto read = evidence.Read(pass, "launches");
    if (absl::IsNotFound(read.status())) continue;
    RETURN_IF_ERROR(read.status());
    const NumberColumn start(**read, "start_ns"), end(**read, "end_ns");
    if (!start || !end) continue;
    std::vector<std::pair<double, double>> ran;
    double total = 0;
    for (uint64_t row = 0; row < (*read)->rows(); ++row) {
      if (!(end[row] > start[row])) continue;
      ran.push_back({start[row], end[row]});
      total += end[row] - start[row];
    }
    if (ran.empty()) continue;
    std::sort(ran.begin(), ran.end());
    double busy = 0, idle = 0, gaps = 0, until = ran.front().first;
    for (const auto& [from, to] : ran) {
      if (from > until && from - until < kShortGapNs) {
        idle += from - until;
        ++gaps;
      }
      busy += std::max(to - std::max(from, until), 0.0);
      until = std::max(until, to);
    }
    kinds[KindOfPass(MeasuredAs(pass))].push_back(
        {pass.pass_id(), idle / (idle + busy), total / static_cast<double>(ran.size()), gaps});
  }
  if (kinds.empty()) return absl::OkStatus();
  // The passes that record least, where there are any.
  const auto found = kinds.find("activity:light=1");
  const auto& [kind, passes] = found == kinds.end() ? *kinds.begin() : *found;
  std::vector<double> idle, mean, gaps;
  std::vector<int64_t> ids;
  for (const OfPass& one : passes) {
    idle.push_back(one.idle), mean.push_back(one.mean_ns), gaps.push_back(one.gaps);
    ids.push_back(one.id);
  }
  facts->gaps_per_pass = Median(gaps);
  facts->idle_share = MakeFact(kind, absl::StrCat(facts->gaps_per_pass, " gaps of less than 100 µs between kernels, of gaps and kernels"),
                               100 * Median(idle), "%", ids);
  facts->idle_share.value /= 100;
  facts->mean_kernel_ns = MakeFact(kind, "a kernel in the mean", Median(mean), "ns", ids);
  return absl::OkStatus();
}

// What a launch was: its CTAs, and how many an SM holds.
void Grid(const Evidence& evidence, Facts* facts) {
  const Evidence::LaunchRow launch = evidence.AnyLaunch();
  if (launch.pass == nullptr) return;
  const auto number = [&](const char* name) { return NumberColumn(*launch.launches, name)[launch.row]; };
  const double ctas = number("grid_x") * number("grid_y") * number("grid_z");
  const double threads = number("block_x") * number("block_y") * number("block_z");
  const std::string kind = KindOfPass(MeasuredAs(*launch.pass));
  const std::vector<int64_t> ids = {launch.pass->pass_id()};
  if (ctas > 0) facts->ctas = MakeFact(kind, "CTAs of a launch", ctas, "", ids);
  const double per_sm = std::floor(number("occupancy_pct") / 100 * kWarpsPerSm / std::ceil(threads / 32) + 1e-6);
  if (per_sm >= 1) facts->ctas_per_sm = MakeFact(kind, "CTAs that fit on an SM", per_sm, "", ids);
}

double Reading(const v1::PassInfo& pass, const char* name) {
  const auto& extra = pass.result().provenance().extra();
  const auto found = extra.find(name);
  double value = 0;
  if (found == extra.end() || !absl::SimpleAtod(found->second, &value)) return NAN;
  return value;
}

// While it was measured: what `scopes` measured, or gauges; the highest: what any gauge ever showed.
void Clocks(const Evidence& evidence, Facts* facts) {
  std::vector<double> measured;
  std::vector<int64_t> measured_ids, gauged_ids;
  double highest = 0;
  struct Held {
    double ms = 0;
    std::vector<int64_t> ids;
  };
  std::map<std::string, Held> gauges, reasons;   // by clock of the driver, by reason
  double wall_ms = 0;
  std::vector<int64_t> timed_ids;
  for (const v1::PassInfo& pass : evidence.passes()) {
    if (!EndedWell(pass) || pass.result().provenance().machine_class() != evidence.machine_class()) continue;
    for (const char* gauge : {"sm_clock_mhz_before", "sm_clock_mhz_after"})
      if (const double mhz = Reading(pass, gauge); mhz > 0) {
        highest = std::max(highest, mhz);
        gauged_ids.push_back(pass.pass_id());
      }
    if (MeasuredAs(pass).backend() == "scopes" && pass.result().provenance().clock_hz() > 0) {
      measured.push_back(SmClockMhz(pass));
      measured_ids.push_back(pass.pass_id());
    }
    if (!TimesKernels(MeasuredAs(pass).backend())) continue;
    bool clocked = false;
    for (const auto& [gauge, reason] : {std::pair{"throttled_power_ms", "power cap"}, std::pair{"throttled_thermal_ms", "heat"}}) {
      const double ms = Reading(pass, gauge);
      if (std::isnan(ms)) continue;
      clocked = facts->held_back_known = true;
      gauges[reason].ms += std::max(ms, 0.0);
    }
    if (clocked) {
      wall_ms += 1000 * pass.result().exit().wall_s();
      timed_ids.push_back(pass.pass_id());
    }
    const auto& extra = pass.result().provenance().extra();
    for (const char* when : {"throttle_before", "throttle_after"}) {
      const auto found = extra.find(when);
      if (found == extra.end()) continue;
      facts->held_back_known = true;
      for (const absl::string_view reason : absl::StrSplit(found->second, ", ", absl::SkipEmpty())) {
        // What the user asked for, and what ends with the first launch, holds nothing back.
        if (reason == "idle" || reason == "application clocks" || reason == "display clocks") continue;
        std::vector<int64_t>& ids = reasons[std::string(reason)].ids;
        if (ids.empty() || ids.back() != pass.pass_id()) ids.push_back(pass.pass_id());
      }
    }
  }
  gauged_ids.erase(std::unique(gauged_ids.begin(), gauged_ids.end()), gauged_ids.end());
  if (highest > 0)
    facts->max_clock_mhz = MakeFact("NVML", "SM clock at its highest, before and after passes", highest, "MHz", gauged_ids);
  if (!measured.empty()) {
    const auto [low, high] = std::minmax_element(measured.begin(), measured.end());
    const double spread = *high - *low;
    facts->clock_mhz = MakeFact("scopes", "SM clock while kernels ran", Median(measured), "MHz", measured_ids);
    if (measured.size() > 1) {
      facts->clock_spread = MakeFact("scopes", "(highest − lowest) ÷ median of the SM clock over passes",
                                     100 * spread / facts->clock_mhz.value, "%", measured_ids);
      facts->clock_spread.value /= 100;
    }
  }
  for (const auto& [reason, held] : gauges) {
    if (!(held.ms > 0) || !(wall_ms > 0)) continue;
    Fact share = MakeFact("NVML", absl::StrCat("clocks held back for ", reason, ", of the passes' time"), 100 * held.ms / wall_ms, "%", timed_ids);
    share.value /= 100;
    facts->held_back.push_back({reason, std::move(share)});
  }
  for (auto& [reason, held] : reasons) {
    const bool clocked = std::any_of(facts->held_back.begin(), facts->held_back.end(), [&](const auto& one) {
      return one.reason == reason || (one.reason == "heat" && absl::StrContains(reason, "thermal"));
    });
    Fact seen;
    seen.evidence = absl::StrCat("NVML: \"", reason, "\" held the clocks back as ",
                                 held.ids.size() == 1 ? "a pass" : absl::StrCat(held.ids.size(), " passes"), " began or ended (",
                                 PassNames(held.ids), ")");
    seen.pass_ids = std::move(held.ids);
    if (!clocked) facts->held_back.push_back({reason, std::move(seen)});
  }
}

absl::Status Counters(const Evidence& evidence, Facts* facts, v1::Basis* basis) {
  ASSIGN_OR_RETURN(const KernelMetrics metrics, KernelMetrics::Read(evidence, basis));
  constexpr absl::string_view kStall = "smsp__average_warps_issue_stalled_";
  constexpr absl::string_view kPerIssue = "_per_issue_active.ratio";
  double all_stalls = 0;
  for (const auto& [name, metric] : metrics.all()) {
    if (!(metric.value >= 0) || metric.value > kMostCounted) continue;   // no counter reads so
    facts->metrics[name] = MakeFact("counters", name, metric.value, metric.unit, Ids(metric.pass_ids));
    if (absl::StartsWith(name, kStall) && absl::EndsWith(name, kPerIssue)) all_stalls += metric.value;
  }
  if (all_stalls > 0) {
    for (const auto& [name, metric] : metrics.all()) {
      absl::string_view reason = name;
      if (!facts->metrics.contains(name) || !absl::ConsumePrefix(&reason, kStall) || !absl::ConsumeSuffix(&reason, kPerIssue)) continue;
      Fact fact = MakeFact("counters", absl::StrCat("warp time ", reason == "selected" ? "" : "stalled: ", reason),
                           100 * metric.value / all_stalls, "%", Ids(metric.pass_ids));
      fact.value /= 100;
      facts->stalls[std::string(reason)] = std::move(fact);
    }
  } else if (facts->costs) {
    std::vector<int64_t> ids;
    for (const v1::PassSet& set : facts->costs->basis().passes())
      if (set.left_out().empty() && absl::StartsWith(set.backend(), "pcsampling"))
        ids.insert(ids.end(), set.pass_ids().begin(), set.pass_ids().end());
    for (const v1::NamedShare& stall : facts->costs->stalls()) {
      Fact fact = MakeFact("pcsampling", absl::StrCat("samples ", stall.name()), 100 * stall.share(), "%", ids);
      fact.value /= 100;
      facts->stalls[std::string(absl::StripPrefix(stall.name(), "stalled: "))] = std::move(fact);
    }
  }
  double fp32 = 0;
  std::set<int64_t> ids;
  for (const char* operation : {"fadd", "fmul", "ffma"})
    if (const KernelMetric* metric = metrics.Find(absl::StrCat("smsp__sass_thread_inst_executed_op_", operation, "_pred_on.sum"))) {
      fp32 += metric->value;
      ids.insert(metric->pass_ids.begin(), metric->pass_ids.end());
    }
  const double cycles = metrics.Value("sm__cycles_active.avg");
  if (!ids.empty() && cycles > 0 && facts->sms > 0)
    facts->metrics[kFp32PipeUse] =
        MakeFact("counters", kFp32PipeUse, 100 * fp32 / (kFp32Lanes * facts->sms * cycles), "%", Ids(ids));
  return absl::OkStatus();
}

// Where barriers are stood at: those that wait for products are told apart by the instruction.
absl::Status ProductWaits(const Evidence& evidence, Facts* facts) {
  v1::Basis unsaid;   // the rule abstains in its own words
  ASSIGN_OR_RETURN(const auto samples, ReadSamples(evidence, "", &unsaid));
  double all = 0, waits = 0;
  for (const auto& [pc, sample] : samples) {
    all += sample.total();
    const auto barrier = sample.by_stall.find("barrier");
    if (barrier != sample.by_stall.end() && sample.opcode == "WARPGROUP") waits += barrier->second;
  }
  if (!(all > 0)) return absl::OkStatus();
  std::vector<int64_t> ids;
  for (const v1::PassSet& set : unsaid.passes())
    if (set.left_out().empty()) ids.insert(ids.end(), set.pass_ids().begin(), set.pass_ids().end());
  facts->product_wait_share =
      MakeFact("pcsampling", "samples at WARPGROUP.DEPBAR, which waits for products", 100 * waits / all, "%", ids);
  facts->product_wait_share.value /= 100;
  return absl::OkStatus();
}

// Bytes a thread loads or stores by one instruction.
double WidthOf(const SassInstruction& instruction) {
  if (instruction.Has("128")) return 16;
  if (instruction.Has("64")) return 8;
  if (instruction.Has("U16") || instruction.Has("S16") || instruction.Has("16")) return 2;
  if (instruction.Has("U8") || instruction.Has("S8")) return 1;
  return 4;
}

absl::Status Widths(const Evidence& evidence, Facts* facts) {
  v1::Basis unsaid;   // the rule abstains in its own words
  ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence, "", &unsaid));
  if (code == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto counts, ReadCounts(evidence, "", &unsaid));
  std::vector<int64_t> ids;
  for (const v1::PassSet& set : unsaid.passes())
    if (set.left_out().empty()) ids.insert(ids.end(), set.pass_ids().begin(), set.pass_ids().end());
  struct Sum {
    double bytes = 0, executed = 0;
    std::set<double> widths;
  };
  Sum loads, stores;
  for (const SassInstruction& instruction : code->function.code) {
    const std::string_view mnemonic = instruction.mnemonic();
    Sum* sum = mnemonic == "LDG" || mnemonic == "LDGSTS" ? &loads : mnemonic == "STG" ? &stores : nullptr;
    if (sum == nullptr) continue;
    const auto found = counts.find(instruction.pc);
    const double executed = found == counts.end() ? 0 : std::max(found->second.threads - found->second.predicated_off, 0.0);
    sum->widths.insert(WidthOf(instruction));
    sum->bytes += executed * WidthOf(instruction);
    sum->executed += executed;   // by threads
  }
  const auto fact = [&](const Sum& sum, const char* what) -> Fact {
    if (sum.executed > 0)
      return MakeFact("ir and sassmetrics", what, sum.bytes / sum.executed, "bytes", ids);
    if (sum.widths.size() == 1) return MakeFact("ir", what, *sum.widths.begin(), "bytes", ids);
    return {};
  };
  facts->load_bytes_per_thread = fact(loads, "a global load, of a thread");
  facts->store_bytes_per_thread = fact(stores, "a global store, of a thread");
  return absl::OkStatus();
}

}  // namespace

absl::Status GatherFacts(const Evidence& evidence, Facts* facts, v1::Basis* basis) {
  facts->kernel = evidence.kernel();
  for (const v1::PassInfo& pass : evidence.passes())
    if (const auto gpu = pass.result().provenance().extra().find("gpu");
        EndedWell(pass) && gpu != pass.result().provenance().extra().end() && std::isnan(facts->sms))
      if (const Chip chip = ChipOf(gpu->second); chip.sms > 0) facts->sms = chip.sms;
  Grid(evidence, facts);
  RETURN_IF_ERROR(Time(evidence, facts, basis));
  for (const v1::Perturbation& one : evidence.certificates())
    if (one.kernel() == evidence.kernel()) facts->perturbation.push_back(one);
  Clocks(evidence, facts);
  RETURN_IF_ERROR(Launching(evidence, facts));
  RETURN_IF_ERROR(Counters(evidence, facts, basis));
  if (const double counted = facts->Metric("launch__sm_count").value; std::isnan(facts->sms) && counted > 0) facts->sms = counted;
  RETURN_IF_ERROR(ProductWaits(evidence, facts));
  return Widths(evidence, facts);
}

}  // namespace sextant::analysis
