#include "server/analysis/kernel_metrics.h"

#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "proto/status/status.h"
#include "server/analysis/columns.h"
#include "server/analysis/kernel_code.h"
#include "server/analysis/quantile.h"

namespace sextant::analysis {

absl::StatusOr<KernelMetrics> KernelMetrics::Read(const Evidence& evidence, v1::Basis* basis) {
  struct Seen {
    std::vector<double> launches, together;
    std::string unit;
    std::set<int64_t> pass_ids;
  };
  std::map<std::string, Seen> seen;
  std::set<std::string> counted;
  PassList passes = evidence.TakeAllKinds("counters", {.used_for = "counters", .table = "counters"}, basis);
  const size_t counting = passes.size();
  for (const v1::PassInfo* pass : evidence.TakeAllKinds("ncu", {.used_for = "counters", .table = "ncu"}, basis))
    passes.push_back(pass);
  for (size_t i = 0; i < passes.size(); ++i) {
    const v1::PassInfo* const pass = passes[i];
    auto read = evidence.Read(*pass, i < counting ? "counters" : "ncu");
    if (absl::IsNotFound(read.status())) continue;
    RETURN_IF_ERROR(read.status());
    const v1::DataTable& table = **read;
    const TextColumn kernel(table, "kernel"), metric(table, "metric"), unit(table, "unit");
    const NumberColumn launch(table, "launch"), value(table, "value");
    if (!kernel || !metric) continue;
    const TextColumn section(table, "section");   // of `ncu`: rows of full names have none
    const auto is = kernel.Words([&](absl::string_view word) { return evidence.IsKernel(word); });
    double launches = -1;   // looked up where it is needed
    for (uint64_t row = 0; row < table.rows(); ++row) {
      if (!is[kernel.Word(row)] || !std::isfinite(value[row]) || !section[row].empty()) continue;
      // What `counters` has is not mixed with what ncu has.
      if (i >= counting && counted.contains(std::string(metric[row]))) continue;
      if (i < counting) counted.emplace(metric[row]);
      Seen& one = seen[std::string(metric[row])];
      one.pass_ids.insert(pass->pass_id());
      if (one.unit.empty()) one.unit = unit[row];
      if (!(launch[row] < 0)) {
        one.launches.push_back(value[row]);
        continue;
      }
      if (launches < 0) launches = static_cast<double>(LaunchesIn(evidence, *pass));
      const bool sum = absl::EndsWith(absl::string_view(metric[row].data(), metric[row].size()), ".sum");
      if (sum && !(launches > 0)) continue;
      one.together.push_back(sum ? value[row] / launches : value[row]);
    }
  }
  KernelMetrics metrics;
  for (auto& [name, one] : seen) {
    std::vector<double>& values = one.launches.empty() ? one.together : one.launches;
    if (values.empty()) continue;
    metrics.metrics_[name] = {Quantiles(&values, {{0.5}})[0], one.unit, std::move(one.pass_ids)};
  }
  return metrics;
}

const KernelMetric* KernelMetrics::Find(absl::string_view name) const {
  const auto found = metrics_.find(std::string_view(name.data(), name.size()));
  return found == metrics_.end() ? nullptr : &found->second;
}

double KernelMetrics::Value(absl::string_view name) const {
  const KernelMetric* const metric = Find(name);
  return metric == nullptr ? NAN : metric->value;
}

}  // namespace sextant::analysis
