#include "workers/backends/ncu/details_page.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "workers/backends/formats/csv.h"

namespace sextant::backends::ncu {

using formats::CsvHeader;

absl::StatusOr<DetailsPage> ParseDetailsPageUntrusted(std::string_view text) {
  formats::CsvReader reader(text);
  std::string_view line;
  while (!reader.rest().empty() && reader.rest().substr(0, 5) != "\"ID\",") reader.SkipLine(&line);
  DetailsPage page;
  formats::CsvRow names, row;
  if (!reader.Next(&names)) return page;
  const CsvHeader header(names);
  const auto id = header.Find("ID"), section = header.Find("Section Name"),
             metric = header.Find("Metric Name"), unit = header.Find("Metric Unit"),
             value = header.Find("Metric Value");
  // Absent in older versions.
  const auto rule = header.Find("Rule Name"), kind = header.Find("Rule Type"),
             description = header.Find("Rule Description"),
             speedup = header.Find("Estimated Speedup");
  if (!id || !section || !metric || !value) {
    return absl::InvalidArgumentError(
        "ncu's details have no columns \"ID\", \"Section Name\", \"Metric Name\", \"Metric "
        "Value\"");
  }
  size_t rows = 0;
  while (reader.Next(&row)) {
    if (++rows > kMaxDetails) {
      return absl::OutOfRangeError(absl::StrCat("ncu's details have more than ", kMaxDetails,
                                                " rows (kMaxDetails); profile fewer launches"));
    }
    const auto field = [&](std::optional<size_t> column) {
      return std::string(CsvHeader::Field(row, column));
    };
    const int64_t launch = formats::ParseInteger(field(id)).value_or(-1);
    if (!field(metric).empty()) {
      page.entries.push_back({launch, field(section), field(metric), field(unit), field(value)});
    }
    if (!field(description).empty()) {
      page.advice.push_back({launch, field(section), field(rule), field(kind), field(description),
                             formats::ParseNumber(field(speedup)).value_or(std::nan(""))});
    }
  }
  return page;
}

}  // namespace sextant::backends::ncu
