#include "server/analysis/rules/units.h"

#include <algorithm>

namespace sextant::analysis {
namespace {

struct UnitMetric {
  const char* unit;
  const char* metric;
};

// A unit is its first metric that is known.
constexpr UnitMetric kMemory[] = {
    {"DRAM", "dram__throughput.avg.pct_of_peak_sustained_elapsed"},
    {"L2", "lts__throughput.avg.pct_of_peak_sustained_elapsed"},
    {"L1", "l1tex__throughput.avg.pct_of_peak_sustained_active"},
};
constexpr UnitMetric kCompute[] = {
    {"tensor pipe", "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active"},
    {"issue slots", "smsp__issue_active.avg.pct_of_peak_sustained_active"},
    {"FP32 pipe", kFp32PipeUse},
};

template <size_t N>
std::vector<UnitUse> Known(const Facts& facts, const UnitMetric (&units)[N]) {
  std::vector<UnitUse> known;
  for (const UnitMetric& one : units)
    if (const Fact& fact = facts.Metric(one.metric); fact.known()) known.push_back({one.unit, &fact});
  std::stable_sort(known.begin(), known.end(),
                   [](const UnitUse& a, const UnitUse& b) { return a.percent() > b.percent(); });
  return known;
}

}  // namespace

std::vector<UnitUse> MemoryUse(const Facts& facts) { return Known(facts, kMemory); }

std::vector<UnitUse> ComputeUse(const Facts& facts) { return Known(facts, kCompute); }

double TensorUse(const Facts& facts) { return facts.Metric(kCompute[0].metric).value; }

double LeftByBusiest(const Facts& facts) {
  double busiest = 0;
  for (const UnitUse& use : MemoryUse(facts)) busiest = std::max(busiest, use.percent());
  for (const UnitUse& use : ComputeUse(facts)) busiest = std::max(busiest, use.percent());
  return 1 - std::min(busiest, 100.0) / 100;
}

}  // namespace sextant::analysis
