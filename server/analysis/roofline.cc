#include "server/analysis/roofline.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "server/analysis/chip.h"
#include "server/analysis/kernel_metrics.h"
#include "server/analysis/quantile.h"
#include "server/analysis/region_costs.h"
#include "server/analysis/region_work.h"

namespace sextant::analysis {
namespace {

constexpr char kPass[] = "counters:set=roofline";
constexpr double kMinShare = 0.05;   // of the peak, below which a peak is not derived from it: too coarse

// Work of one type, and what a chip does of it in a cycle of an SM.
struct Type {
  const char* name;
  double Chip::*rate;
  // Metrics and the operations that each counts: an add is one, a fused multiply-add two.
  std::vector<std::pair<const char*, double>> metrics;
};

const std::vector<Type>& Types() {
  static const auto* const types = new std::vector<Type>{
      {"FP64", &Chip::fp64, {{"smsp__sass_thread_inst_executed_op_dadd_pred_on.sum", 1},
                             {"smsp__sass_thread_inst_executed_op_dmul_pred_on.sum", 1},
                             {"smsp__sass_thread_inst_executed_op_dfma_pred_on.sum", 2}}},
      {"FP32", &Chip::fp32, {{"smsp__sass_thread_inst_executed_op_fadd_pred_on.sum", 1},
                             {"smsp__sass_thread_inst_executed_op_fmul_pred_on.sum", 1},
                             {"smsp__sass_thread_inst_executed_op_ffma_pred_on.sum", 2}}},
      {"FP16", &Chip::fp16, {{"smsp__sass_thread_inst_executed_op_hadd_pred_on.sum", 1},
                             {"smsp__sass_thread_inst_executed_op_hmul_pred_on.sum", 1},
                             {"smsp__sass_thread_inst_executed_op_hfma_pred_on.sum", 2}}},
      {"FP64 tensor", &Chip::tensor_fp64, {{"sm__ops_path_tensor_src_fp64.sum", 1}}},
      {"TF32 tensor", &Chip::tensor_tf32, {{"sm__ops_path_tensor_src_tf32_dst_fp32.sum", 1}}},
      {"FP16 tensor", &Chip::tensor_fp16, {{"sm__ops_path_tensor_src_fp16.sum", 1}}},
      {"BF16 tensor", &Chip::tensor_fp16, {{"sm__ops_path_tensor_src_bf16_dst_fp32.sum", 1}}},
      {"FP8 tensor", &Chip::tensor_fp8, {{"sm__ops_path_tensor_src_fp8.sum", 1}}},
      {"INT8 tensor", &Chip::tensor_int8, {{"sm__ops_path_tensor_src_int8.sum", 1}}}};
  return *types;
}

struct Named {
  const char* name;
  std::vector<const char*> metrics;   // the first that was counted
};

const std::vector<Named>& Lights() {
  static const auto* const lights = new std::vector<Named>{
      {"SM", {"sm__throughput.avg.pct_of_peak_sustained_elapsed"}},
      {"issue slots", {"smsp__issue_active.avg.pct_of_peak_sustained_active", "sm__inst_issued.avg.pct_of_peak_sustained_active"}},
      {"tensor pipe", {"sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
                       "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active"}},
      {"FMA pipe", {"sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_elapsed"}},
      {"ALU pipe", {"sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_elapsed"}},
      {"FP64 pipe", {"sm__pipe_fp64_cycles_active.avg.pct_of_peak_sustained_elapsed"}},
      {"DRAM", {"dram__throughput.avg.pct_of_peak_sustained_elapsed", "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"}},
      {"L2", {"lts__throughput.avg.pct_of_peak_sustained_elapsed"}},
      {"L1", {"l1tex__throughput.avg.pct_of_peak_sustained_elapsed", "l1tex__throughput.avg.pct_of_peak_sustained_active"}},
      {"warps", {"sm__warps_active.avg.pct_of_peak_sustained_active"}}};
  return *lights;
}

// What a mix of work can reach on the chip.
struct Peak {
  double work = NAN;       // FLOP; NaN: not counted
  double flop_s = NAN;     // NaN: a rate is not known, or there is no work
  std::string bound_by;    // the type of work that takes longest at its peak
};

class Builder {
 public:
  Builder(const Evidence& evidence, const v1::RegionCosts* costs)
      : evidence_(evidence), costs_(costs), basis_(out_.mutable_basis()) {}

  absl::StatusOr<v1::Roofline> Build() {
    evidence_.Begin(basis_);
    std::vector<double> durations_ns = evidence_.CleanDurationsNs(basis_);
    out_.set_clean_ns(durations_ns.empty() ? NAN : Quantiles(&durations_ns, {{0.5}})[0]);
    if (durations_ns.empty())
      evidence_.Abstain("the time the kernel takes", "no pass timed its launches", "activity:light=1*3", basis_);
    ASSIGN_OR_RETURN(metrics_, KernelMetrics::Read(evidence_, basis_));
    KnowChip();
    const Peak peak = Compute();
    double of_l1 = NAN;
    for (const auto& [level, metric] : {std::pair{"DRAM", "dram__bytes.sum"}, {"L2", "lts__t_bytes.sum"}, {"L1", "l1tex__t_bytes.sum"}}) {
      const double bytes = Bytes(level, metric);
      of_l1 = Bandwidth(level);
      if (!std::isnan(bytes) || !std::isnan(peak.work)) Point("", level, bytes, of_l1, out_.clean_ns() / 1e9, peak);
    }
    RETURN_IF_ERROR(Regions(of_l1));
    SpeedOfLight();
    return std::move(out_);
  }

 private:
  // The chip, its SMs, and the SM clock that the kernel ran at while it was counted.
  void KnowChip() {
    std::string gpu;
    for (const v1::Provenance& one : basis_->provenance()) {
      const auto name = one.extra().find("gpu");
      if (gpu.empty()) gpu = name != one.extra().end() ? name->second : one.machine_class();
      const auto clock = one.extra().find("mem_clock_mhz_before");
      double mhz = 0;
      if (clock != one.extra().end() && absl::SimpleAtod(clock->second, &mhz)) memory_mhz_ = std::max(memory_mhz_, mhz);
      if (one.clock_hz() > 1e8 && one.clock_hz() < 1e10) scopes_hz_ = one.clock_hz();
    }
    chip_ = ChipOf(gpu);
    sms_ = metrics_.Value("launch__sm_count");
    if (!(sms_ > 0)) sms_ = chip_.sms > 0 ? chip_.sms : NAN;
    const double cycles = metrics_.Value("sm__cycles_elapsed.max"), ns = metrics_.Value("gpu__time_duration.sum");
    if (cycles > 0 && ns > 0) {
      clock_hz_ = cycles / ns * 1e9;
      clock_source_ = "sm__cycles_elapsed.max ÷ gpu__time_duration.sum";
    } else if (scopes_hz_ > 0) {
      clock_hz_ = scopes_hz_;
      clock_source_ = "the SM clock that a recording measured";
    }
    if (chip_.capability == 0 || !(chip_.fp32 > 0) || std::isnan(sms_) || !(clock_hz_ > 0))
      evidence_.Abstain("what this chip can compute",
                        !(clock_hz_ > 0)   ? "no pass tells the clock of the SMs"
                        : std::isnan(sms_) ? "no pass tells how many SMs there are"
                                           : absl::StrCat("the rates of ", gpu.empty() ? "this GPU" : gpu, " are not known here"),
                        !(clock_hz_ > 0) ? kPass : std::isnan(sms_) ? "ncu:set=detailed" : "", basis_);
  }

  void AddCeiling(const std::string& name, double value, const std::string& unit, const std::string& source) {
    v1::Ceiling* const one = out_.add_ceilings();
    one->set_name(name);
    one->set_value(value);
    one->set_unit(unit);
    one->set_source(source);
  }

  double RateOf(const Type& type) const { return chip_.*type.rate * sms_ * clock_hz_; }

  Peak PeakOf(const std::map<std::string, double>& flop) const {
    Peak peak;
    double seconds = 0, longest = 0;
    bool known = true;
    for (const Type& type : Types()) {
      const auto found = flop.find(type.name);
      if (found == flop.end()) continue;
      peak.work = (std::isnan(peak.work) ? 0 : peak.work) + found->second;
      const double rate = RateOf(type);
      if (!(found->second > 0)) continue;
      known &= rate > 0;
      if (!(rate > 0)) continue;
      seconds += found->second / rate;
      if (found->second / rate > longest) {
        longest = found->second / rate;
        peak.bound_by = type.name;
      }
    }
    if (known && seconds > 0) peak.flop_s = peak.work / seconds;
    return peak;
  }

  // Of the kernel's mix of work, by counters; says the ceilings.
  Peak Compute() {
    std::map<std::string, double> flop;   // counted ones
    for (const Type& type : Types()) {
      for (const auto& [metric, operations] : type.metrics)
        if (const double count = metrics_.Value(metric); !std::isnan(count)) flop[type.name] += operations * count;
      if (RateOf(type) > 0)
        AddCeiling(type.name, RateOf(type), type.rate == &Chip::tensor_int8 ? "op/s" : "FLOP/s",
                   absl::StrFormat("%.0f a cycle and SM × %.0f SMs × %.3f GHz (%s)", chip_.*type.rate, sms_, clock_hz_ / 1e9, clock_source_));
    }
    if (flop.empty()) evidence_.Abstain("how much work the kernel does", "no pass counted its arithmetic", kPass, basis_);
    if (const auto packed = flop.find("FP16"); packed != flop.end() && packed->second > 0)
      basis_->add_notes("FP16 instructions count as one operation a thread, as Nsight Compute's roofline has it: packed ones do two");
    return PeakOf(flop);
  }

  // Points of regions, where their work and their time are known.
  absl::Status Regions(double bandwidth) {
    v1::RegionCosts made;
    if (costs_ == nullptr) {
      ASSIGN_OR_RETURN(made, MakeRegionCosts(evidence_, {}));
      costs_ = &made;
    }
    struct Time {
      double own = 0, roles = 0;   // cycles of the region, and of the roles that run it
    };
    std::map<std::pair<std::string, std::string>, Time> times;
    std::set<std::string> names;
    for (const v1::RegionCost& row : costs_->regions()) {
      names.insert(row.region());
      if (row.warp() >= 0 || !(row.time_share() > 0)) continue;
      Time& time = times[{row.region(), row.parent()}];
      time.own += row.cycles_total();
      time.roles += row.cycles_exclusive() / row.time_share();
    }
    if (times.empty()) return absl::OkStatus();
    std::string why;
    ASSIGN_OR_RETURN(const auto regions, ReadRegionWork(evidence_, {names.begin(), names.end()}, &why));
    if (regions.empty()) {
      evidence_.Abstain("the work of regions", why, absl::StrContains(why, "counted") ? "sassmetrics" : absl::StrContains(why, "code") ? "ir" : "proton", basis_);
      return absl::OkStatus();
    }
    std::map<std::string, int> alike;
    for (const RegionWork& one : regions) ++alike[one.region];
    bool by_lines = false;
    for (const RegionWork& one : regions) {
      const auto time = times.find({one.region, one.parent});
      if (time == times.end() || (one.flop.empty() && one.bytes == 0 && !one.bulk_copies)) continue;
      by_lines |= one.by_lines;
      const std::string name = alike[one.region] > 1 && !one.parent.empty() ? absl::StrCat(one.parent, "/", one.region) : one.region;
      Peak peak = PeakOf(one.flop);
      if (std::isnan(peak.work)) peak.work = 0;
      if (one.bulk_copies)
        evidence_.Abstain(absl::StrCat("the intensity of region ", name),
                          "it copies in bulk (TMA), and how much is in the copy's descriptor, not in the code", "", basis_);
      const double seconds = out_.clean_ns() / 1e9 * time->second.own / time->second.roles;
      v1::RooflinePoint* const point = Point(name, "L1", one.bulk_copies ? NAN : one.bytes, bandwidth, seconds, peak);
      if (!(point->achieved() > peak.flop_s) && !(point->share() > 1)) continue;
      point->set_achieved(NAN);
      point->set_share(NAN);
      evidence_.Abstain(absl::StrCat("the rate of region ", name),
                        one.by_lines ? "its work is more than the chip can do in its time: it is done while other regions run, or the "
                                       "compiler moved it there"
                                     : "its work is more than the chip can do in its time: it is done while other regions run",
                        "", basis_);
    }
    basis_->add_notes(absl::StrCat("points of regions are estimates: executions of their instructions × what each does by its opcode ",
                                   "(bytes are those asked of L1), over the clean time × their share of their role's time",
                                   by_lines ? "; instructions belong to regions by source line" : ""));
    return absl::OkStatus();
  }

  double Bytes(const std::string& level, const char* metric) {
    double bytes = metrics_.Value(metric);
    if (std::isnan(bytes) && level == "DRAM") bytes = metrics_.Value("dram__bytes_read.sum") + metrics_.Value("dram__bytes_write.sum");
    if (std::isnan(bytes))
      evidence_.Abstain(absl::StrCat("the intensity at ", level), absl::StrCat("no pass counted ", metric), kPass, basis_);
    return bytes;
  }

  // B/s of the level; NaN: not known.
  double Bandwidth(const std::string& level) {
    const double ns = metrics_.Value("gpu__time_duration.sum");
    if (level == "DRAM") {
      if (chip_.memory_bits > 0 && memory_mhz_ > 0) {
        const double value = memory_mhz_ * 1e6 * 2 * chip_.memory_bits / 8;
        AddCeiling("DRAM bandwidth", value, "B/s", absl::StrFormat("memory clock %.0f MHz × 2 × %u bits", memory_mhz_, chip_.memory_bits));
        return value;
      }
      const double share = metrics_.Value("dram__throughput.avg.pct_of_peak_sustained_elapsed") / 100;
      const double bytes = metrics_.Value("dram__bytes.sum");
      if (share >= kMinShare && bytes > 0 && ns > 0) {
        const double value = bytes / ns * 1e9 / share;
        AddCeiling("DRAM bandwidth", value, "B/s", "bytes counted ÷ their share of the peak (dram__throughput)");
        return value;
      }
    }
    if (level == "L1" && chip_.l1_bytes > 0 && sms_ > 0 && clock_hz_ > 0) {
      const double value = chip_.l1_bytes * sms_ * clock_hz_;
      AddCeiling("L1 bandwidth", value, "B/s", absl::StrFormat("%.0f bytes a cycle and SM × %.0f SMs × %.3f GHz (%s)", chip_.l1_bytes, sms_, clock_hz_ / 1e9, clock_source_));
      return value;
    }
    const char* const peak = level == "L2" ? "lts__t_bytes.sum.peak_sustained" : level == "L1" ? "l1tex__t_bytes.sum.peak_sustained" : "dram__bytes.sum.peak_sustained";
    const char* const cycles = level == "L2" ? "lts__cycles_elapsed.max" : level == "L1" ? "sm__cycles_elapsed.max" : "dram__cycles_elapsed.max";
    const double value = metrics_.Value(peak) * metrics_.Value(cycles) / ns * 1e9;
    if (value > 0 && std::isfinite(value)) {
      AddCeiling(absl::StrCat(level, " bandwidth"), value, "B/s", absl::StrCat(peak, " × ", cycles, " ÷ gpu__time_duration.sum"));
      return value;
    }
    evidence_.Abstain(absl::StrCat("the bandwidth of ", level), "no pass counted its peak, and the chip's is not known here",
                      absl::StrCat("counters:metrics=", peak, "+", cycles, "+gpu__time_duration.sum"), basis_);
    return NAN;
  }

  v1::RooflinePoint* Point(const std::string& region, const std::string& level, double bytes, double bandwidth, double seconds, const Peak& peak) {
    v1::RooflinePoint* const point = out_.add_points();
    point->set_kernel(evidence_.kernel());
    point->set_region(region);
    point->set_level(level);
    point->set_work(peak.work);
    point->set_bytes(bytes);
    point->set_intensity(bytes > 0 ? peak.work / bytes : NAN);
    point->set_achieved(peak.work / seconds);
    if (peak.work == 0) {   // nothing but moving: the share is of the bandwidth
      point->set_attainable(0);
      point->set_share(bytes / seconds / bandwidth);
      point->set_bound_by(std::isnan(bandwidth) ? "" : absl::StrCat(level, " bandwidth"));
      return point;
    }
    // A region that moves nothing is bound by its arithmetic alone.
    const bool still = bytes == 0 && !region.empty();
    const double by_memory = still ? INFINITY : point->intensity() * bandwidth;
    const bool memory = !still && !std::isnan(by_memory) && (std::isnan(peak.flop_s) || by_memory < peak.flop_s);
    point->set_attainable(memory ? by_memory : std::isnan(by_memory) ? NAN : peak.flop_s);
    point->set_share(point->achieved() / point->attainable());
    if (!std::isnan(point->attainable())) point->set_bound_by(memory ? absl::StrCat(level, " bandwidth") : peak.bound_by);
    return point;
  }

  void SpeedOfLight() {
    for (const Named& light : Lights())
      for (const char* const metric : light.metrics) {
        const double value = metrics_.Value(metric);
        if (std::isnan(value)) continue;
        v1::SpeedOfLight* const one = out_.add_speed_of_light();
        one->set_unit_name(light.name);
        one->set_achieved_pct(value);
        one->set_metric(metric);
        break;
      }
    if (out_.speed_of_light().empty())
      evidence_.Abstain("how close to their peaks the chip's units were", "no pass counted it",
                        "counters:set=ipc+memory+tensor+occupancy", basis_);
  }

  const Evidence& evidence_;
  const v1::RegionCosts* costs_;
  v1::Roofline out_;
  v1::Basis* const basis_;
  KernelMetrics metrics_;
  Chip chip_;
  double sms_ = NAN, clock_hz_ = 0, scopes_hz_ = 0, memory_mhz_ = 0;
  std::string clock_source_;
};

}  // namespace

absl::StatusOr<v1::Roofline> MakeRoofline(const Evidence& evidence, const v1::RegionCosts* costs) {
  return Builder(evidence, costs).Build();
}

}  // namespace sextant::analysis
