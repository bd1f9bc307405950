#include "workers/backends/ncu/tables.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/table/table.h"
#include "workers/backends/formats/csv.h"
#include "workers/backends/formats/findings.h"
#include "workers/backends/formats/kernel_name.h"

namespace sextant::backends::ncu {
namespace {

constexpr char kDuration[] = "gpu__time_duration.sum";
constexpr char kDeviceAttribute[] = "device__";
// Of one pass: the result row stays small.
constexpr size_t kMaxCounters = 4096;

// What a kernel's launches can be summed up by, and that a person asks for first.
constexpr const char* kHeadline[] = {
    kDuration,
    "sm__cycles_active.sum",
    "smsp__inst_executed.sum",
    "sm__inst_executed.sum",
    "dram__bytes_read.sum",
    "dram__bytes_write.sum",
    "lts__t_bytes.sum",
    "l1tex__t_bytes.sum",
    "l1tex__data_bank_conflicts_pipe_lsu.sum",
    "smsp__sass_inst_executed_op_local.sum",
};

// The resource that allows the fewest CTAs an SM, of those ncu gives the limit of.
struct Limiter {
  const char* metric;
  const char* name;
};
constexpr Limiter kLimiters[] = {{"launch__occupancy_limit_registers", "registers"},
                                 {"launch__occupancy_limit_shared_mem", "shared"},
                                 {"launch__occupancy_limit_warps", "warps"},
                                 {"launch__occupancy_limit_blocks", "blocks"},
                                 {"launch__occupancy_limit_barriers", "barriers"}};

// Metrics by name, so that a launch's value is found without a walk.
class Index {
 public:
  explicit Index(const RawPage& page) {
    for (uint32_t i = 0; i < page.metrics.size(); ++i) by_name_.emplace(page.metrics[i].name, i);
  }
  // NaN when the launch has none.
  double Number(const Launch& launch, absl::string_view metric) const {
    const auto at = by_name_.find(metric);
    if (at == by_name_.end()) return std::nan("");
    const auto value =
        std::lower_bound(launch.values.begin(), launch.values.end(), at->second,
                         [](const Value& one, uint32_t wanted) { return one.metric < wanted; });
    return value == launch.values.end() || value->metric != at->second ? std::nan("")
                                                                       : value->number;
  }
  int64_t Integer(const Launch& launch, absl::string_view metric) const {
    const double number = Number(launch, metric);
    return number >= 0 && number < 9e15 ? static_cast<int64_t>(number) : 0;
  }

 private:
  absl::flat_hash_map<std::string, uint32_t> by_name_;
};

// Demangled once each: a program launches few kernels many times.
class Names {
 public:
  const std::string& Demangled(const std::string& mangled) {
    const auto [at, added] = names_.try_emplace(mangled);
    if (added) at->second = formats::Demangle(mangled);
    return at->second;
  }

 private:
  std::map<std::string, std::string> names_;
};

std::string OccupancyLimiter(const Index& index, const Launch& launch) {
  double least = std::numeric_limits<double>::infinity();
  std::string name;
  for (const Limiter& limiter : kLimiters) {
    const double blocks = index.Number(launch, limiter.metric);
    if (blocks < least) {
      least = blocks;
      name = limiter.name;
    }
  }
  return name;
}

std::string WordOf(const std::string& word) {
  if (word == "inst") return "instructions";
  for (const char* plural :
       {"byte", "cycle", "sector", "request", "warp", "thread", "block", "register"}) {
    if (word == plural) return absl::StrCat(word, "s");
  }
  if (word == "hz") return "Hz";
  return word;
}

// Rows of launches by ncu's own number of them.
std::map<int64_t, size_t> RowsById(const RawPage& page) {
  std::map<int64_t, size_t> rows;
  for (size_t i = 0; i < page.launches.size(); ++i) rows.emplace(page.launches[i].id, i);
  return rows;
}

const char* SeverityOf(const std::string& kind) {
  if (kind == "WRN" || kind == "OPT") return "warning";
  if (kind == "ERR") return "error";
  return "info";
}

}  // namespace

std::string UnitOf(const std::string& unit) {
  const size_t slash = unit.find('/');
  const std::string first = WordOf(unit.substr(0, slash));
  return slash == std::string::npos ? first : absl::StrCat(first, unit.substr(slash));
}

std::vector<int64_t> NumberLaunches(const RawPage& page, uint32_t launch_skip) {
  std::map<int64_t, int64_t> next;  // by process
  std::vector<int64_t> numbers;
  for (const Launch& launch : page.launches) {
    const auto [at, first] = next.try_emplace(launch.process, launch_skip);
    numbers.push_back(at->second++);
  }
  return numbers;
}

v1::DataTable LaunchesTable(const RawPage& page, const std::vector<int64_t>& numbers) {
  table::Builder table("launches");
  const auto launch_column = table.Int("launch"), process = table.Int("process");
  const auto kernel = table.Text("kernel"), mangled = table.Text("mangled");
  const auto device = table.Int("device"), context = table.Int("context"),
             stream = table.Int("stream"), duration = table.Int("duration_ns", "ns");
  const table::Builder::IntColumn grid[3] = {table.Int("grid_x"), table.Int("grid_y"),
                                             table.Int("grid_z")};
  const table::Builder::IntColumn block[3] = {table.Int("block_x"), table.Int("block_y"),
                                              table.Int("block_z")};
  const auto registers = table.Int("registers"),
             static_shared = table.Int("static_shared_bytes", "bytes"),
             dynamic_shared = table.Int("dynamic_shared_bytes", "bytes");
  const auto occupancy = table.Number("occupancy_pct", "%");
  const auto limiter = table.Text("occupancy_limiter");
  const Index index(page);
  Names names;
  for (size_t i = 0; i < page.launches.size(); ++i) {
    const Launch& launch = page.launches[i];
    table.Set(launch_column, numbers[i]);
    table.Set(process, launch.process);
    table.Set(kernel, names.Demangled(launch.kernel));
    table.Set(mangled, launch.kernel);
    table.Set(device, launch.device);
    table.Set(context, launch.context);
    table.Set(stream, launch.stream);
    table.Set(duration, index.Integer(launch, kDuration));
    for (int axis = 0; axis < 3; ++axis) {
      table.Set(grid[axis], launch.grid[axis]);
      table.Set(block[axis], launch.block[axis]);
    }
    table.Set(registers, index.Integer(launch, "launch__registers_per_thread"));
    table.Set(static_shared, index.Integer(launch, "launch__shared_mem_per_block_static"));
    table.Set(dynamic_shared, index.Integer(launch, "launch__shared_mem_per_block_dynamic"));
    table.Set(occupancy, index.Number(launch, "sm__maximum_warps_per_active_cycle_pct"));
    table.Set(limiter, OccupancyLimiter(index, launch));
    table.EndRow();
  }
  return table.Finish();
}

v1::DataTable NcuTable(const RawPage& page, const std::vector<int64_t>& numbers,
                       const DetailsPage& details, std::vector<std::string>* notes) {
  table::Builder table("ncu");
  const auto launch_column = table.Int("launch");
  const auto kernel = table.Text("kernel"), section = table.Text("section"),
             metric = table.Text("metric"), unit = table.Text("unit");
  const auto value_column = table.Number("value");
  const auto text = table.Text("text");
  Names names;
  std::set<int64_t> described;  // devices
  for (size_t i = 0; i < page.launches.size(); ++i) {
    const Launch& launch = page.launches[i];
    const bool attributes = described.insert(launch.device).second;
    for (const Value& value : launch.values) {
      const Metric& about = page.metrics[value.metric];
      if (!attributes && absl::StartsWith(about.name, kDeviceAttribute)) continue;
      table.Set(launch_column, numbers[i]);
      table.Set(kernel, names.Demangled(launch.kernel));
      table.Set(metric, about.name);
      table.Set(unit, UnitOf(about.unit));
      table.Set(value_column, value.number);
      table.Set(text, value.text);
      table.EndRow();
    }
  }
  const std::map<int64_t, size_t> rows = RowsById(page);
  for (const SectionEntry& entry : details.entries) {
    const auto row = rows.find(entry.id);
    if (row == rows.end()) continue;
    const auto number = formats::ParseNumber(entry.value);
    table.Set(launch_column, numbers[row->second]);
    table.Set(kernel, names.Demangled(page.launches[row->second].kernel));
    table.Set(section, entry.section);
    table.Set(metric, entry.label);
    table.Set(unit, UnitOf(entry.unit));
    table.Set(value_column, number.value_or(std::nan("")));
    if (!number) table.Set(text, entry.value);
    table.EndRow();
  }
  if (table.dropped_rows() > 0) {
    notes->push_back(absl::StrCat("the table ncu holds ", table.rows(), " rows (max_table_rows); ",
                                  table.dropped_rows(), " were left out; profile fewer launches"));
  }
  return table.Finish();
}

v1::DataTable AdviceTable(const RawPage& page, const std::vector<int64_t>& numbers,
                          const DetailsPage& details) {
  formats::FindingsTable table;
  Names names;
  const std::map<int64_t, size_t> rows = RowsById(page);
  for (const Advice& advice : details.advice) {
    const auto row = rows.find(advice.id);
    if (row == rows.end()) continue;
    formats::Finding finding;
    finding.tool = "ncu";
    finding.kind = advice.rule;
    finding.severity = SeverityOf(advice.kind);
    finding.message = absl::StrCat(advice.section, ": ", advice.text);
    if (advice.speedup_pct > 0) {
      absl::StrAppend(&finding.message, " (estimated speedup ", advice.speedup_pct, " %)");
    }
    finding.kernel = names.Demangled(page.launches[row->second].kernel);
    finding.launch = numbers[row->second];
    table.Add(finding);
  }
  return table.Finish();
}

std::vector<v1::Counter> KernelCounters(const RawPage& page,
                                        const std::vector<std::string>& wanted) {
  absl::flat_hash_set<std::string> names;
  for (const std::string& name : wanted) {
    names.insert(absl::EndsWith(name, ".sum") ? name : absl::StrCat(name, ".sum"));
  }
  if (wanted.empty()) names.insert(std::begin(kHeadline), std::end(kHeadline));
  std::vector<uint32_t> chosen;
  for (uint32_t i = 0; i < page.metrics.size(); ++i) {
    if (names.contains(page.metrics[i].name)) chosen.push_back(i);
  }
  std::map<std::pair<std::string, uint32_t>, v1::Counter> sums;
  Names demangled;
  for (const Launch& launch : page.launches) {
    for (const Value& value : launch.values) {
      if (!std::isfinite(value.number) ||
          !std::binary_search(chosen.begin(), chosen.end(), value.metric)) {
        continue;
      }
      v1::Counter& sum = sums[{launch.kernel, value.metric}];
      if (sum.instances() == 0) {
        sum.set_name(page.metrics[value.metric].name);
        sum.set_unit(UnitOf(page.metrics[value.metric].unit));
        sum.set_kernel(demangled.Demangled(launch.kernel));
      }
      sum.set_value(sum.value() + value.number);
      sum.set_instances(sum.instances() + 1);
    }
  }
  std::vector<v1::Counter> counters;
  for (auto& [key, sum] : sums) {
    if (counters.size() == kMaxCounters) break;
    counters.push_back(std::move(sum));
  }
  return counters;
}

}  // namespace sextant::backends::ncu
