#include "workers/backends/ncu/raw_page.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/backends/formats/csv.h"

namespace sextant::backends::ncu {
namespace {

using formats::CsvHeader;
using formats::CsvReader;
using formats::CsvRow;

// What stands before the metrics of a row.
struct Columns {
  std::optional<size_t> id, process, kernel, context, stream, block, grid, device;

  explicit Columns(const CsvHeader& header)
      : id(header.Find("ID")),
        process(header.Find("Process ID")),
        kernel(header.Find("Kernel Name")),
        context(header.Find("Context")),
        stream(header.Find("Stream")),
        block(header.Find("Block Size")),
        grid(header.Find("Grid Size")),
        device(header.Find("Device")) {}
};

constexpr const char* kNoMetrics[] = {
    "ID",          "Process ID", "Process Name", "Host Name", "Context", "Stream",
    "Kernel Name", "Block Size", "Grid Size",    "Device",    "CC"};

bool IsMetric(const std::string& name) {
  for (const char* other : kNoMetrics) {
    if (name == other) return false;
  }
  return !name.empty();
}

// "(256, 1, 1)"
void ParseDimensions(std::string_view text, int64_t (&out)[3]) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return;
  text = text.substr(1, text.size() - 2);
  int at = 0;
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    if (at == 3) return;
    out[at++] = formats::ParseInteger({part.data(), part.size()}).value_or(0);
  }
}

int64_t Integer(const CsvRow& row, std::optional<size_t> column) {
  return formats::ParseInteger(CsvHeader::Field(row, column)).value_or(0);
}

Launch ParseLaunch(const CsvRow& row, const Columns& columns,
                   const std::vector<size_t>& metric_columns) {
  Launch launch;
  launch.id = Integer(row, columns.id);
  launch.process = Integer(row, columns.process);
  launch.kernel = std::string(CsvHeader::Field(row, columns.kernel));
  launch.device = Integer(row, columns.device);
  launch.context = Integer(row, columns.context);
  launch.stream = Integer(row, columns.stream);
  ParseDimensions(CsvHeader::Field(row, columns.grid), launch.grid);
  ParseDimensions(CsvHeader::Field(row, columns.block), launch.block);
  for (size_t i = 0; i < metric_columns.size(); ++i) {
    const std::string_view field = CsvHeader::Field(row, metric_columns[i]);
    if (field.empty()) continue;  // not collected for this launch
    Value value;
    value.metric = static_cast<uint32_t>(i);
    if (const auto number = formats::ParseNumber(field)) {
      value.number = *number;
    } else {
      value.number = std::numeric_limits<double>::quiet_NaN();
      value.text = std::string(field);
    }
    launch.values.push_back(std::move(value));
  }
  return launch;
}

}  // namespace

absl::StatusOr<RawPage> ParseRawPageUntrusted(std::string_view text) {
  CsvReader reader(text);
  // Up to the header there are only lines of log.
  std::string_view line;
  while (!reader.rest().empty() && reader.rest().substr(0, 5) != "\"ID\",") reader.SkipLine(&line);
  CsvRow names, units, row;
  RawPage page;
  if (!reader.Next(&names)) return page;
  if (names.size() > kMaxMetrics) {
    return absl::OutOfRangeError(absl::StrCat(
        "ncu's page has ", names.size(), " columns, more than ", kMaxMetrics, " (kMaxMetrics)"));
  }
  const Columns columns{CsvHeader(names)};
  if (!columns.kernel) {
    return absl::InvalidArgumentError("ncu's page has no column \"Kernel Name\"");
  }
  if (!reader.Next(&units) || units.size() != names.size() || !units[*columns.kernel].empty()) {
    return absl::InvalidArgumentError("ncu's page has no row of units after its header");
  }
  std::vector<size_t> metric_columns;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!IsMetric(names[i])) continue;
    page.metrics.push_back({names[i], units[i]});
    metric_columns.push_back(i);
  }
  while (reader.Next(&row)) {
    if (row.size() != names.size() || reader.cut_off()) {
      return absl::InvalidArgumentError(
          absl::StrCat("ncu's page: launch ", page.launches.size(), " has ", row.size(),
                       " fields, the header has ", names.size(), "; the page was cut off"));
    }
    if (page.launches.size() == kMaxLaunches) {
      return absl::OutOfRangeError(absl::StrCat(
          "ncu's page has more than ", kMaxLaunches,
          " launches (kMaxLaunches); profile fewer with launch_count or workload.kernels"));
    }
    page.launches.push_back(ParseLaunch(row, columns, metric_columns));
  }
  return page;
}

const Value* Find(const RawPage& page, const Launch& launch, std::string_view metric) {
  for (const Value& value : launch.values) {
    if (page.metrics[value.metric].name == metric) return &value;
  }
  return nullptr;
}

}  // namespace sextant::backends::ncu
