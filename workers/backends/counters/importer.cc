#include "workers/backends/counters/importer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"
#include "workers/backends/profiling/units.h"

namespace sextant::backends::counters {
namespace {

constexpr uint32_t kRange = inject::kCounterFrames;
constexpr size_t kMaxCounters = 16 * 1024;
constexpr size_t kMaxKernels = 64 * 1024;
constexpr int kMaxUnreadable = 8;  // named in the notes
constexpr char kDuration[] = "gpu__time_duration.sum";
constexpr double kMaxDurationNs = 1e18;

double Merged(const std::string& metric, double sum, double max, double min, uint64_t launches) {
  switch (profiling::MergeOf(metric)) {
    case profiling::Merge::kSum:
      return sum;
    case profiling::Merge::kMax:
      return max;
    case profiling::Merge::kMin:
      return min;
    case profiling::Merge::kMean:
      break;
  }
  return sum / static_cast<double>(launches);
}

}  // namespace

Importer::Importer(const std::string& kernels)
    : common_(kRange), names_(kernels) {}

void Importer::Take(const injected::Process& from, uint32_t process, uint32_t type,
                    std::string_view payload) {
  if (common_.Take(from, process, type, payload)) return;
  if (type == kRange + inject::kLaunchFrame) TakeLaunch(from, process, payload);
}

uint32_t Importer::KernelOf(const injected::Process& from, const inject::LaunchRecord& record) {
  const std::string name =
      record.graph != 0 ? absl::StrCat("(graph of ", record.launches, " kernels)")
                        : names_.Demangled(from.Text(record.kernel));
  const auto [found, added] =
      kernel_index_.emplace(name, static_cast<uint32_t>(kernels_.size()));
  if (added) {
    kernels_.push_back(name);
    kernel_launches_.push_back(0);
  }
  return found->second;
}

uint32_t Importer::MetricOf(const profiling::Metric& metric) {
  const auto [found, added] =
      metric_index_.emplace(metric.name, static_cast<uint32_t>(metrics_.size()));
  if (added) {
    metrics_.emplace_back(metric.name, profiling::UnitOf(metric.name, metric.dimension));
  }
  return found->second;
}

void Importer::TakeLaunch(const injected::Process& from, uint32_t process,
                          std::string_view payload) {
  inject::LaunchRecord record;
  if (payload.size() < sizeof(record)) {
    ++malformed_;
    return;
  }
  std::memcpy(&record, payload.data(), sizeof(record));
  payload.remove_prefix(sizeof(record));
  if (record.launch < 0 || record.metrics != payload.size() / sizeof(double) ||
      record.end_ns < record.begin_ns) {
    ++malformed_;
    return;
  }
  if (kernels_.size() >= kMaxKernels || rows_.size() + record.metrics > table::kMaxRows / 2) {
    ++over_limit_;
    return;
  }
  const uint32_t kernel = KernelOf(from, record);
  ++launches_;
  ++kernel_launches_[kernel];
  call_ns_ += record.end_ns - record.begin_ns;
  const std::map<uint32_t, profiling::Metric>& metrics = common_.MetricsOf(process);
  for (uint32_t i = 0; i < record.metrics; ++i) {
    const auto metric = metrics.find(i);
    if (metric == metrics.end()) continue;
    double value;
    std::memcpy(&value, payload.data() + i * sizeof(double), sizeof(value));
    const uint32_t index = MetricOf(metric->second);
    Value& sum = sums_[{kernel, index}];
    if (!std::isfinite(value)) {
      ++sum.unreadable;
      continue;
    }
    sum.max = sum.launches == 0 ? value : std::max(sum.max, value);
    sum.min = sum.launches == 0 ? value : std::min(sum.min, value);
    sum.sum += value;
    ++sum.launches;
    rows_.push_back({record.launch, kernel, index, value});
    if (metric->second.name == kDuration && record.graph == 0 && value >= 0 &&
        value < kMaxDurationNs) {
      Launch launch = {record.launch, process, kernel, from.Text(record.kernel), {}, {}, value};
      std::copy(std::begin(record.grid), std::end(record.grid), launch.grid);
      std::copy(std::begin(record.block), std::end(record.block), launch.block);
      timed_.push_back(std::move(launch));
    }
  }
}

void Importer::AddNotes(Collected* collected) const {
  std::vector<std::string>& notes = collected->notes;
  if (!common_.plans().empty()) {
    const profiling::Plan& plan = common_.plans().front();
    const inject::PlanRecord& record = plan.record;
    std::string note = absl::StrCat(record.metrics, " metrics in ", record.hardware_passes,
                                    record.hardware_passes == 1 ? " hardware pass on "
                                                                : " hardware passes on ",
                                    plan.chip);
    if (record.replay == inject::kKernelReplay) {
      absl::StrAppend(&note, ": each launch ran ", record.hardware_passes,
                      " times and its memory was put back between, so its API call took ",
                      profiling::TimeText(call_ns_ / std::max<uint64_t>(launches_, 1)),
                      " instead of some µs; times of this pass are not the program's");
    } else {
      absl::StrAppend(&note, ": launches ran once and one after another");
    }
    if (record.parts > 1) {
      absl::StrAppend(&note, "; this is part ", record.part, " of ", record.parts,
                      ", the others are passes of their own with part=K");
    }
    absl::StrAppend(&note, "; setting up took ", profiling::TimeText(record.setup_ns));
    notes.push_back(std::move(note));
  }
  int named = 0;
  for (const auto& [key, value] : sums_) {
    if (value.unreadable == 0) continue;
    if (++named > kMaxUnreadable) {
      notes.push_back("more metrics could not be read");
      break;
    }
    notes.push_back(absl::StrCat(metrics_[key.second].first, " of ", kernels_[key.first],
                                 " could not be read for ", value.unreadable, " of ",
                                 value.unreadable + value.launches,
                                 " launches: the hardware gave no number"));
  }
  if (malformed_ > 0) {
    notes.push_back(absl::StrCat(malformed_, " records were not what the instrument writes"));
  }
  if (over_limit_ > 0) {
    notes.push_back(absl::StrCat(over_limit_, " launches above the limit were left out; use "
                                              "launches=N or fewer metrics"));
  }
  if (!common_.ProblemStatus().ok()) {
    notes.push_back(absl::StrCat("counting ended early: ", common_.ProblemStatus().message()));
  }
}

v1::DataTable Importer::LaunchTable() const {
  table::Builder rows("launches");
  const auto launch = rows.Int("launch");
  const auto process = rows.Int("process");
  const auto kernel = rows.Text("kernel");
  const auto mangled = rows.Text("mangled");
  const auto duration = rows.Int("duration_ns", "ns");
  const table::Builder::IntColumn grid[] = {rows.Int("grid_x"), rows.Int("grid_y"),
                                            rows.Int("grid_z")};
  const table::Builder::IntColumn block[] = {rows.Int("block_x"), rows.Int("block_y"),
                                             rows.Int("block_z")};
  for (const Launch& one : timed_) {
    rows.Set(launch, one.launch);
    rows.Set(process, one.process);
    rows.Set(kernel, kernels_[one.kernel]);
    rows.Set(mangled, one.mangled);
    rows.Set(duration, static_cast<int64_t>(one.duration_ns));
    for (int i = 0; i < 3; ++i) {
      rows.Set(grid[i], one.grid[i]);
      rows.Set(block[i], one.block[i]);
    }
    rows.EndRow();
  }
  return rows.Finish();
}

bool Importer::Finish(Collected* collected) {
  if (launches_ == 0) return false;
  collected->events = launches_;
  collected->dropped = over_limit_;
  AddNotes(collected);

  table::Builder rows("counters");
  const auto launch = rows.Int("launch");
  const auto kernel = rows.Text("kernel");
  const auto metric = rows.Text("metric");
  const auto unit = rows.Text("unit");
  const auto value = rows.Number("value");
  const auto add = [&](int64_t number, uint32_t k, uint32_t m, double v) {
    rows.Set(launch, number);
    rows.Set(kernel, kernels_[k]);
    rows.Set(metric, metrics_[m].first);
    rows.Set(unit, metrics_[m].second);
    rows.Set(value, v);
    rows.EndRow();
  };
  for (const Row& row : rows_) add(row.launch, row.kernel, row.metric, row.value);

  if (!common_.plans().empty()) {
    v1::Counter passes;
    passes.set_name("hardware_passes");
    passes.set_unit("passes");
    passes.set_value(common_.plans().front().record.hardware_passes);
    passes.set_instances(launches_);
    collected->counters.push_back(std::move(passes));
  }
  for (const auto& [key, sum] : sums_) {
    if (sum.launches == 0) continue;
    const auto& [name, in] = metrics_[key.second];
    const double merged = Merged(name, sum.sum, sum.max, sum.min, sum.launches);
    add(-1, key.first, key.second, merged);
    if (collected->counters.size() >= kMaxCounters) continue;
    v1::Counter counter;
    counter.set_name(name);
    counter.set_unit(in);
    counter.set_kernel(kernels_[key.first]);
    counter.set_value(merged);
    counter.set_instances(sum.launches);
    collected->counters.push_back(std::move(counter));
  }
  collected->tables.push_back(rows.Finish());
  if (!timed_.empty()) collected->tables.push_back(LaunchTable());
  return true;
}

}  // namespace sextant::backends::counters
