#include "server/analysis/rules/units.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sextant::analysis {
namespace {

struct UnitMetric {
  const char* unit;
  const char* metric;
  bool of_active;
};

// A unit is its first metric that is known.
constexpr UnitMetric kMemory[] = {
    {"DRAM", "dram__throughput.avg.pct_of_peak_sustained_elapsed", false},
    {"L2", "lts__throughput.avg.pct_of_peak_sustained_elapsed", false},
    {"L1", "l1tex__throughput.avg.pct_of_peak_sustained_active", true},
    {"L1", "l1tex__throughput.avg.pct_of_peak_sustained_elapsed", false},
};
constexpr UnitMetric kCompute[] = {
    {"tensor pipe", "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active", true},
    {"issue slots", "smsp__issue_active.avg.pct_of_peak_sustained_active", true},
    {"FP32 pipe", kFp32PipeUse, true},
    {"ALU pipe", "sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_active", true},
    {"ALU pipe", "sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_elapsed", false},
    {"FMA pipe", "sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_active", true},
    {"FMA pipe", "sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_elapsed", false},
    {"FP64 pipe", "sm__pipe_fp64_cycles_active.avg.pct_of_peak_sustained_active", true},
    {"FP64 pipe", "sm__pipe_fp64_cycles_active.avg.pct_of_peak_sustained_elapsed", false},
};

void SortByUse(std::vector<UnitUse>* uses) {
  std::stable_sort(uses->begin(), uses->end(), [](const UnitUse& a, const UnitUse& b) { return a.percent() > b.percent(); });
}

template <size_t N>
std::vector<UnitUse> Known(const Facts& facts, const UnitMetric (&units)[N]) {
  std::vector<UnitUse> known;
  for (const UnitMetric& one : units) {
    const Fact& fact = facts.Metric(one.metric);
    if (!fact.known() || (!known.empty() && known.back().unit == one.unit)) continue;
    known.push_back({one.unit, &fact, one.of_active});
  }
  SortByUse(&known);
  return known;
}

// Cycles in which an SM had a CTA ÷ cycles of the launch, mean over all SMs; 1 where it was not counted.
double ActiveShare(const Facts& facts) {
  const double active = facts.Metric("sm__cycles_active.avg").value, elapsed = facts.Metric("sm__cycles_elapsed.max").value;
  return active > 0 && elapsed > 0 ? std::min(active / elapsed, 1.0) : 1;
}

// SMs that get a CTA ÷ all.
double UsedSms(const Facts& facts) {
  return facts.ctas.value > 0 && facts.sms > 0 ? std::min(facts.ctas.value / facts.sms, 1.0) : 1;
}

// `active`: of the time, while an SM counts as active; `spread`: of all SMs, that share the work.
Left LeftBy(const Facts& facts, double active, double spread) {
  Left left;
  const auto take = [&](double busy, std::string why) {
    if (!(busy > 0) || 1 - busy >= left.share) return;
    left.share = 1 - std::min(busy, 1.0);
    left.why = absl::StrCat(why, " ", Percent(std::min(busy, 1.0)), " of the kernel's time");
  };
  for (const UnitUse& use : OthersThan(facts, "")) {
    const double busy = use.percent() / 100 * (use.of_active ? active : 1);
    take(busy, absl::StrCat(use.unit == "issue slots" ? "issue slots are used" : absl::StrCat("the ", use.unit, " works")));
  }
  if (facts.roofline)
    for (const v1::RooflinePoint& point : facts.roofline->points())
      if (point.region().empty() && !point.bound_by().empty())
        take(point.share() / spread, absl::StrCat("the work takes at the roofline (", point.bound_by(), spread < 0.995 ? ", of the SMs that have CTAs)" : ")"));
  return left;
}

}  // namespace

const char kPipesPass[] =
    "counters:metrics=sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_active+"
    "sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_active";

std::vector<UnitUse> MemoryUse(const Facts& facts) { return Known(facts, kMemory); }

std::vector<UnitUse> ComputeUse(const Facts& facts) { return Known(facts, kCompute); }

std::vector<UnitUse> OthersThan(const Facts& facts, absl::string_view unit) {
  std::vector<UnitUse> others = MemoryUse(facts);
  for (UnitUse& use : ComputeUse(facts)) others.push_back(std::move(use));
  std::erase_if(others, [&](const UnitUse& use) { return use.unit == unit; });
  SortByUse(&others);
  return others;
}

double TensorUse(const Facts& facts) { return facts.Metric(kCompute[0].metric).value; }

bool PipesCounted(const Facts& facts) {
  bool alu = false, fma = false;
  for (const UnitUse& use : ComputeUse(facts)) {
    alu |= use.unit == "ALU pipe";
    fma |= use.unit == "FMA pipe";
  }
  return alu && fma;
}

Left LeftInside(const Facts& facts) {
  const double used = UsedSms(facts);
  return LeftBy(facts, std::min(ActiveShare(facts) / used, 1.0), used);
}

Left LeftOfAll(const Facts& facts) { return LeftBy(facts, std::min(ActiveShare(facts), UsedSms(facts)), 1); }

Left LeftFor(SavedFrom from, const Facts& facts) {
  if (from == SavedFrom::kIdleUnits) return LeftInside(facts);
  if (from == SavedFrom::kIdleSms) return LeftOfAll(facts);
  return {};
}

Saving Within(const Left& left, Saving saving) {
  if (!(saving.most > left.share)) return saving;
  saving.most = left.share;
  saving.least = std::min(saving.least, saving.most);
  if (!saving.formula.empty()) absl::StrAppend(&saving.formula, "; ");
  absl::StrAppend(&saving.formula, "no more, because ", left.why);
  return saving;
}

double OfKernel(const Facts& facts, double share_of_span, double span_ns) {
  if (!facts.clean_ns.known() || !(facts.clean_ns.value > 0) || !(span_ns > 0)) return share_of_span;
  double waves = 1;
  if (facts.ctas.known() && facts.ctas_per_sm.known() && facts.sms > 0)
    waves = std::max(std::ceil(facts.ctas.value / (facts.sms * facts.ctas_per_sm.value)), 1.0);
  return share_of_span * std::min(waves * span_ns / facts.clean_ns.value, 1.0);
}

}  // namespace sextant::analysis
