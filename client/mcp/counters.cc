// counters: what passes counted, and how near to the peak it is.
#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/mcp/basis.h"
#include "client/mcp/tool.h"
#include "client/mcp/values.h"
#include "proto/status/status.h"

namespace sextant::mcp {
namespace {

using Stub = v1::Sextant::StubInterface;

constexpr char kTable[] = "counters";
constexpr uint32_t kMaxRows = 5000;   // of one pass's table
constexpr int kMaxTables = 40;        // passes of a job whose tables are read

struct Key {
  std::string kernel, region, name, unit;
  bool operator<(const Key& other) const {
    return std::tie(kernel, region, name, unit) <
           std::tie(other.kernel, other.region, other.name, other.unit);
  }
};
using Values = std::map<Key, std::vector<double>>;   // one of each pass

const v1::DataColumn* Column(const v1::DataTable& table, absl::string_view name) {
  for (const v1::DataColumn& column : table.columns())
    if (column.name() == name) return &column;
  return nullptr;
}

std::string TextAt(const v1::DataColumn* column, int row) {
  if (column == nullptr || row >= column->texts_size()) return "";
  const uint32_t index = column->texts(row);
  return index < static_cast<uint32_t>(column->dictionary_size()) ? column->dictionary(static_cast<int>(index)) : "";
}

// Rows of all launches where there are such, else the median over launches.
void AddTable(const v1::DataTable& table, Values* values) {
  const auto *launch = Column(table, "launch"), *kernel = Column(table, "kernel"),
             *metric = Column(table, "metric"), *unit = Column(table, "unit"), *value = Column(table, "value");
  if (value == nullptr) return;
  std::map<Key, std::vector<double>> by_launch, whole;
  for (int row = 0; row < value->numbers_size(); ++row) {
    const Key key{TextAt(kernel, row), "", TextAt(metric, row), TextAt(unit, row)};
    const bool all = launch != nullptr && row < launch->ints_size() && launch->ints(row) < 0;
    (all ? whole : by_launch)[key].push_back(value->numbers(row));
  }
  for (auto& [key, list] : by_launch)
    if (whole.count(key) == 0) whole[key] = std::move(list);
  for (auto& [key, list] : whole) {
    std::nth_element(list.begin(), list.begin() + list.size() / 2, list.end());
    (*values)[key].push_back(list[list.size() / 2]);
  }
}

Json PercentOfPeak(ToolCall& call, std::string* kernel, Json* cannot_tell) {
  v1::GetRooflineRequest request;
  request.mutable_subject()->set_job_id(JobId(call));
  request.mutable_subject()->set_task(Text(call.arguments, "task"));
  request.mutable_subject()->set_kernel(*kernel);
  Json rows = Json::array();
  const auto roofline = call.scope->Call(&Stub::GetRoofline, request);
  if (!roofline.ok()) return rows;   // the counters stand by themselves
  *kernel = roofline->basis().kernel();
  for (const v1::SpeedOfLight& each : roofline->speed_of_light())
    rows.push_back({{"unit", each.unit_name()}, {"achieved_pct", Number(each.achieved_pct())},
                    {"metric", each.metric()}});
  for (const v1::Abstention& each : roofline->basis().abstentions())
    cannot_tell->push_back({{"question", Clean(each.question(), kSentenceBytes)},
                            {"why", Clean(each.why(), kSentenceBytes)}, {"pass", each.pass()}});
  return rows;
}

}  // namespace

absl::StatusOr<Answer> Counters(ToolCall& call) {
  ASSIGN_OR_RETURN(const int64_t at, ParseCursor("counters", call.arguments));
  v1::ListPassesRequest list;
  list.set_job_id(JobId(call));
  list.set_task(Text(call.arguments, "task"));
  ASSIGN_OR_RETURN(const auto passes, call.scope->Call(&Stub::ListPasses, list));
  ASSIGN_OR_RETURN(std::string kernel, KernelOf(call));
  const std::string match = absl::AsciiStrToLower(Text(call.arguments, "match"));
  Values values;
  std::map<std::string, Json> evidence;   // by backend
  int tables = 0;
  for (const v1::PassInfo& pass : passes.passes()) {
    bool counted = !pass.result().counters().empty();
    for (const v1::Counter& counter : pass.result().counters())
      values[{counter.kernel(), counter.region(), counter.name(), counter.unit()}].push_back(counter.value());
    for (const v1::Artifact& artifact : pass.result().artifacts()) {
      if (artifact.name() != absl::StrCat(kTable, ".table") || ++tables > kMaxTables) continue;
      v1::GetTableRequest table;
      table.set_pass_id(pass.pass_id());
      table.set_table(kTable);
      table.set_max_rows(kMaxRows);
      ASSIGN_OR_RETURN(const auto rows, call.scope->Call(&Stub::GetTable, table));
      AddTable(rows.table(), &values);
      counted = true;
    }
    if (!counted) continue;
    const std::string backend =
        pass.result().has_replayed() ? pass.result().replayed().backend() : pass.spec().backend();
    Json& ids = evidence[backend];
    if (ids.size() < 12) ids.push_back(absl::StrCat("p", pass.pass_id()));
  }
  Answer answer;
  Json& json = answer.structured;
  Json cannot_tell = Json::array();
  Json peak = PercentOfPeak(call, &kernel, &cannot_tell);
  std::map<std::string, int> others;   // kernels that were counted too
  Json rows = Json::array(), rest = Json::array();   // those in percent of a peak first
  for (auto& [key, list] : values) {
    if (!kernel.empty() && !key.kernel.empty() && key.kernel != kernel) {
      ++others[key.kernel];
      continue;
    }
    if (!match.empty() && !absl::StrContains(absl::AsciiStrToLower(key.name), match)) continue;
    std::nth_element(list.begin(), list.begin() + list.size() / 2, list.end());
    Json row = {{"name", Clean(key.name)}, {"value", Number(list[list.size() / 2])}, {"unit", Clean(key.unit, 30)}};
    if (!key.kernel.empty() && kernel.empty()) row["kernel"] = Name(key.kernel, 80);
    if (!key.region.empty()) row["region"] = Name(key.region, 60);
    if (list.size() > 1) row["passes"] = list.size();
    (key.unit == "%" ? rows : rest).push_back(std::move(row));
  }
  for (Json& row : rest) rows.push_back(std::move(row));
  if (rows.empty() && peak.empty()) {
    cannot_tell.push_back({{"question", "what the hardware counted"}, {"why", "no pass of this job counted anything"},
                           {"pass", "counters:set=ipc"}});
  }
  json["answer"] = rows.empty() && peak.empty()
                       ? "cannot tell: no pass of this job counted anything"
                       : absl::StrCat(kernel.empty() ? "" : absl::StrCat("kernel ", Dump(Name(kernel)), ": "), rows.size(),
                                      " counters, medians over passes");
  if (!peak.empty()) json["percent_of_peak"] = std::move(peak);
  json["counters"] = std::move(rows);
  if (!others.empty()) {
    Json names = Json::array();
    for (const auto& [name, counted] : others)
      if (names.size() < 12) names.push_back(Name(name));
    json["other_kernels"] = std::move(names);
  }
  json["evidence"] = Json::array();
  for (auto& [backend, ids] : evidence) json["evidence"].push_back({{"backend", backend}, {"passes", ids}});
  if (!cannot_tell.empty()) json["cannot_tell"] = std::move(cannot_tell);
  MarkUntrusted({"kernel", "region", "other_kernels", "names in answer"}, &json);
  Page("counters", at, &json);
  return answer;
}

}  // namespace sextant::mcp
