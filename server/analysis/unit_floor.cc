#include "server/analysis/unit_floor.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "proto/status/status.h"
#include "server/analysis/kernel_code.h"
#include "server/analysis/kernel_metrics.h"
#include "server/analysis/region_code.h"
#include "server/analysis/region_names.h"

namespace sextant::analysis {
namespace {

constexpr char kTensor[] = "tensor pipe";

struct Metric {
  const char* unit;
  const char* metric;
};
constexpr Metric kMetrics[] = {{kTensor, "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active"},
                               {"L1", "l1tex__throughput.avg.pct_of_peak_sustained_active"},
                               {"L2", "lts__throughput.avg.pct_of_peak_sustained_elapsed"},
                               {"DRAM", "dram__throughput.avg.pct_of_peak_sustained_elapsed"}};

bool IsTensor(std::string_view mnemonic) {
  return absl::EndsWith(absl::string_view(mnemonic.data(), mnemonic.size()), "MMA") && mnemonic != "UMMA";
}

// Where the instructions to the tensor pipe stand; false: not known.
absl::StatusOr<bool> TensorWork(const Evidence& evidence, std::map<std::string, double>* work) {
  v1::Basis unsaid;   // region costs say it
  ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence, "", &unsaid));
  if (code == nullptr) return false;
  ASSIGN_OR_RETURN(const auto counts, ReadCounts(evidence, "", &unsaid));
  const RegionCode regions = FindRegionCode(code->function, code->flow);
  if (counts.empty() || regions.regions.empty()) return false;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadRegionNames(evidence));
  double all = 0;
  for (uint32_t i = 0; i < code->function.code.size(); ++i) {
    const SassInstruction& one = code->function.code[i];
    const auto count = counts.find(one.pc);
    if (!IsTensor(one.mnemonic()) || count == counts.end()) continue;
    all += count->second.executed;
    std::set<std::string> within;   // a region once, however often it is open
    for (int32_t r = regions.innermost[i]; r >= 0; r = regions.regions[r].parent)
      within.insert(NameOfScopeId(regions.regions[r].id, regions.regions[r].wait, names));
    for (const int32_t doubtful : regions.doubtful[i])   // it may be there: then it may shrink
      within.insert(NameOfScopeId(regions.regions[doubtful].id, regions.regions[doubtful].wait, names));
    for (const std::string& name : within) (*work)[name] += count->second.executed;
  }
  if (!(all > 0)) return false;
  for (auto& [name, share] : *work) share /= all;
  return true;
}

}  // namespace

absl::StatusOr<std::vector<SharedUnit>> ReadSharedUnits(const Evidence& evidence, v1::Basis* basis) {
  std::vector<SharedUnit> units;
  ASSIGN_OR_RETURN(const KernelMetrics metrics, KernelMetrics::Read(evidence, basis));
  for (const auto& [name, metric] : kMetrics) {
    const double value = metrics.Value(metric);
    if (!(value > 0)) continue;
    SharedUnit& unit = units.emplace_back();
    unit.name = name;
    unit.busy = std::min(value / 100, 1.0);
    if (name == kTensor) {
      ASSIGN_OR_RETURN(unit.by_region_known, TensorWork(evidence, &unit.work));
    }
  }
  return units;
}

double FloorOf(const SharedUnit& unit, const std::string& region, double factor) {
  if (factor >= 1) return 0;
  double work = absl::StartsWith(region, "wait ") ? 0 : 1;
  if (unit.by_region_known) {
    const auto found = unit.work.find(region);
    work = found == unit.work.end() ? 0 : std::min(found->second, 1.0);
  }
  return unit.busy * (1 - work * (1 - std::max(factor, 0.0)));
}

}  // namespace sextant::analysis
