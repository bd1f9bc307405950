// `sextant table`: rows of the tables that a pass left.
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

std::string Cell(const v1::DataColumn& column, int row) {
  if (row < column.texts_size()) {
    const uint32_t word = column.texts(row);
    return word < static_cast<uint32_t>(column.dictionary_size()) ? column.dictionary(word) : "";
  }
  if (row < column.ints_size()) return absl::StrCat(column.ints(row));
  if (row >= column.numbers_size() || std::isnan(column.numbers(row))) return "";
  return absl::StrFormat("%.6g", column.numbers(row));
}

}  // namespace

int Tables(Context& context, const TablesOptions& options) {
  v1::GetTableRequest request;
  int64_t id = 0;
  if (!absl::SimpleAtoi(options.pass.substr(absl::StartsWith(options.pass, "p") ? 1 : 0), &id) ||
      id <= 0) {
    return context.Usage(absl::StrCat("\"", Escape(options.pass, 40), "\" is no pass; write p34"));
  }
  request.set_pass_id(id);
  request.set_table(options.table);
  request.set_first_row(options.first_row);
  request.set_max_rows(options.max_rows);
  for (const std::string& column : options.columns) request.add_columns(column);
  const auto answer = context.service().GetTable(request);
  if (!answer.ok()) return context.Fail(answer.status());
  if (context.json) {
    context.PrintJson(*answer);
    return kOk;
  }
  if (options.table.empty()) {
    for (const std::string& name : answer->tables()) context.out << Escape(name) << "\n";
    if (answer->tables().empty()) context.Note("this pass left no tables");
    return kOk;
  }
  const v1::DataTable& data = answer->table();
  std::vector<Table::Head> heads;
  for (const v1::DataColumn& column : data.columns()) {
    heads.push_back({column.name(),
                     column.texts_size() > 0 ? Table::Align::kLeft : Table::Align::kRight});
  }
  Table table(std::move(heads));
  for (int row = 0; row < static_cast<int>(data.rows()); ++row) {
    std::vector<std::string> cells;
    for (const v1::DataColumn& column : data.columns()) cells.push_back(Cell(column, row));
    table.Add(std::move(cells));
  }
  context.out << (options.csv ? table.Csv() : table.Text(context.out_terminal.color, "", 0));
  const uint64_t shown = options.first_row + data.rows();
  if (shown < answer->total_rows()) {
    context.Note(absl::StrCat("rows ", options.first_row, " to ", shown, " of ", answer->total_rows(),
                              "; more with --first-row ", shown));
  }
  return kOk;
}

}  // namespace sextant::cli
