#include "workers/backends/pmsampling/importer.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"
#include "workers/backends/profiling/units.h"

namespace sextant::backends::pmsampling {
namespace {

constexpr uint32_t kRange = inject::kPmSamplingFrames;
constexpr uint64_t kMaxNs = uint64_t{1} << 60;

}  // namespace

Importer::Importer(uint64_t began_ns) : common_(kRange), began_ns_(began_ns) {}

void Importer::Take(const injected::Process& from, uint32_t process, uint32_t type,
                    std::string_view payload) {
  if (common_.Take(from, process, type, payload)) return;
  if (type == kRange + inject::kLaunchFrame) TakeSamples(process, payload);
}

uint32_t Importer::MetricOf(const profiling::Metric& metric) {
  const auto [found, added] =
      metric_index_.emplace(metric.name, static_cast<uint32_t>(metrics_.size()));
  if (added) {
    metrics_.emplace_back(metric.name, profiling::UnitOf(metric.name, metric.dimension));
  }
  return found->second;
}

void Importer::TakeSamples(uint32_t process, std::string_view payload) {
  const std::map<uint32_t, profiling::Metric>& metrics = common_.MetricsOf(process);
  inject::SampleRecord record;
  while (payload.size() >= sizeof(record)) {
    std::memcpy(&record, payload.data(), sizeof(record));
    payload.remove_prefix(sizeof(record));
    if (record.metrics > payload.size() / sizeof(double)) {
      ++malformed_;
      return;
    }
    const std::string_view values = payload.substr(0, record.metrics * sizeof(double));
    payload.remove_prefix(values.size());
    // CUPTI fits the GPU's clock to ours anew from time to time: an interval may then end before it
    // began.
    if (record.end_ns < record.start_ns || record.end_ns > kMaxNs) {
      ++backwards_;
      continue;
    }
    if (record.start_ns < began_ns_) continue;
    if (rows_.size() + record.metrics > table::kMaxRows) {
      ++over_limit_;
      continue;
    }
    ++samples_;
    if ((record.flags & inject::kOverflowBefore) != 0) ++gaps_;
    for (uint32_t i = 0; i < record.metrics; ++i) {
      const auto metric = metrics.find(i);
      if (metric == metrics.end()) continue;
      double value;
      std::memcpy(&value, values.data() + i * sizeof(double), sizeof(value));
      if (!std::isfinite(value)) {
        ++unreadable_;
        continue;
      }
      rows_.push_back({record.start_ns - began_ns_, record.end_ns - began_ns_,
                       MetricOf(metric->second), value});
    }
  }
}

bool Importer::Finish(Collected* collected) {
  if (samples_ == 0) return false;
  table::Builder rows("pm_samples");
  const auto start = rows.Int("start_ns", "ns");
  const auto end = rows.Int("end_ns", "ns");
  const auto metric = rows.Text("metric");
  const auto unit = rows.Text("unit");
  const auto value = rows.Number("value");
  std::vector<Mean> means(metrics_.size());
  for (const Row& row : rows_) {
    rows.Set(start, static_cast<int64_t>(row.start_ns));
    rows.Set(end, static_cast<int64_t>(row.end_ns));
    rows.Set(metric, metrics_[row.metric].first);
    rows.Set(unit, metrics_[row.metric].second);
    rows.Set(value, row.value);
    rows.EndRow();
    means[row.metric].sum += row.value;
    ++means[row.metric].samples;
  }
  collected->tables.push_back(rows.Finish());
  collected->events = samples_;
  for (size_t i = 0; i < means.size(); ++i) {
    if (means[i].samples == 0) continue;
    const bool sum = profiling::MergeOf(metrics_[i].first) == profiling::Merge::kSum;
    v1::Counter counter;
    counter.set_name(metrics_[i].first);
    counter.set_unit(metrics_[i].second);
    counter.set_value(sum ? means[i].sum
                          : means[i].sum / static_cast<double>(means[i].samples));
    counter.set_instances(means[i].samples);
    collected->counters.push_back(std::move(counter));
  }
  if (!common_.plans().empty()) {
    const inject::PlanRecord& plan = common_.plans().front().record;
    collected->notes.push_back(absl::StrCat(
        samples_, " samples of the whole GPU, one every ", profiling::TimeText(plan.interval_ns),
        ", from when CUDA started on; what other programs did on it is in them; setting up took ",
        profiling::TimeText(plan.setup_ns)));
  }
  if (gaps_ > 0) {
    collected->notes.push_back(absl::StrCat("the hardware's buffer overflowed ", gaps_,
                                            gaps_ == 1 ? " time" : " times",
                                            ": samples are missing there; use a larger "
                                            "interval_us or fewer metrics"));
  }
  if (unreadable_ > 0) {
    collected->notes.push_back(
        absl::StrCat(unreadable_, " values could not be read: the hardware gave no number"));
  }
  if (backwards_ > 0) {
    collected->notes.push_back(absl::StrCat(
        backwards_, " samples were left out: their times are impossible, as when the GPU's clock is "
                    "set anew"));
  }
  if (malformed_ > 0) {
    collected->notes.push_back(
        absl::StrCat(malformed_, " records were not what the instrument writes"));
  }
  if (over_limit_ > 0) {
    collected->notes.push_back(absl::StrCat(over_limit_, " samples above the limit were left out; "
                                                         "use a larger interval_us"));
    collected->dropped = over_limit_;
  }
  if (!common_.ProblemStatus().ok()) {
    collected->notes.push_back(
        absl::StrCat("sampling ended early: ", common_.ProblemStatus().message()));
  }
  return true;
}

}  // namespace sextant::backends::pmsampling
