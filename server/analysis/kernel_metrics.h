// Hardware counters of the kernel an answer is about, one value a metric.
#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

struct KernelMetric {
  double value = 0;   // finite: of a launch, median over launches and passes
  std::string unit;
  std::set<int64_t> pass_ids;
};

class KernelMetrics {
 public:
  // From all `counters` passes that ran the code, and what those lack from `ncu` passes (docs/tables.md). What was counted of all launches together is
  // divided by their number where the metric is a `.sum`. Says in `basis` which passes were used.
  static absl::StatusOr<KernelMetrics> Read(const Evidence& evidence, v1::Basis* basis);

  bool empty() const { return metrics_.empty(); }
  // Null: not counted.
  const KernelMetric* Find(absl::string_view name) const;
  // NaN: not counted.
  double Value(absl::string_view name) const;
  const std::map<std::string, KernelMetric, std::less<>>& all() const { return metrics_; }

 private:
  std::map<std::string, KernelMetric, std::less<>> metrics_;
};

}  // namespace sextant::analysis
