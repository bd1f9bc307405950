#include "server/analysis/barrier_rows.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"

namespace sextant::analysis {
namespace {

uint64_t At(const v1::DataColumn& column, uint64_t row) {
  return static_cast<uint64_t>(std::max<int64_t>(column.ints(static_cast<int>(row)), 0));
}

}  // namespace

absl::StatusOr<BarrierRows> BarrierRows::Make(const v1::DataTable& table) {
  BarrierRows rows;
  if (table.rows() == 0) return rows;
  Columns& columns = rows.columns_;
  const std::pair<const char*, const v1::DataColumn**> ints[] = {
      {"launch", &columns.launch}, {"cta", &columns.cta},      {"warp", &columns.warp},
      {"slot", &columns.slot},     {"at_cycles", &columns.at}, {"duration_cycles", &columns.duration}};
  for (const auto& [name, column] : ints) {
    *column = table::Find(table, name);
    if (*column == nullptr || (*column)->ints().empty())
      return absl::InvalidArgumentError(
          absl::StrCat("table barriers: no column ", name, " of integers (docs/tables.md)"));
  }
  const std::pair<const char*, const v1::DataColumn**> texts[] = {{"barrier", &columns.barrier},
                                                                  {"kind", &columns.kind}};
  for (const auto& [name, column] : texts) {
    *column = table::Find(table, name);
    if (*column == nullptr || (*column)->texts().empty())
      return absl::InvalidArgumentError(
          absl::StrCat("table barriers: no column ", name, " of texts (docs/tables.md)"));
  }
  for (int word = 0; word < columns.kind->dictionary_size(); ++word)
    if (columns.kind->dictionary(word) == "wait") rows.wait_word_ = static_cast<uint32_t>(word);

  const auto key = [&](uint64_t row) {
    return RunKey{static_cast<uint32_t>(At(*columns.launch, row)),
                  static_cast<uint32_t>(At(*columns.cta, row))};
  };
  bool sorted = true;
  for (uint64_t row = 1; row < table.rows() && sorted; ++row) sorted = key(row - 1) <= key(row);
  if (!sorted) {
    rows.order_.resize(table.rows());
    std::iota(rows.order_.begin(), rows.order_.end(), 0);
    std::stable_sort(rows.order_.begin(), rows.order_.end(),
                     [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  }
  for (uint64_t i = 0; i < table.rows(); ++i) {
    const uint64_t row = sorted ? i : rows.order_[i];
    const auto [run, added] = rows.runs_.try_emplace(key(row));
    if (added) run->second.begin = i;
    run->second.end = i + 1;
    if (rows.IsWait(row)) {
      ++run->second.waits;
      ++rows.waits_;
    } else {
      ++rows.signals_;
    }
  }
  return rows;
}

bool BarrierRows::IsWait(uint64_t row) const {
  return columns_.kind->texts(static_cast<int>(row)) == wait_word_;
}

void BarrierRows::ForRun(const RunKey& run, absl::FunctionRef<uint32_t(std::string_view)> barrier,
                         absl::FunctionRef<void(uint32_t warp, const RunMark& mark)> use) const {
  const auto found = runs_.find(run);
  if (found == runs_.end()) return;
  std::vector<uint64_t> rows;
  for (uint64_t i = found->second.begin; i < found->second.end; ++i)
    rows.push_back(order_.empty() ? i : order_[i]);
  std::stable_sort(rows.begin(), rows.end(), [&](uint64_t a, uint64_t b) {
    return std::make_tuple(At(*columns_.warp, a), At(*columns_.at, a)) <
           std::make_tuple(At(*columns_.warp, b), At(*columns_.at, b));
  });
  for (const uint64_t row : rows) {
    RunMark mark;
    mark.barrier = barrier(table::TextAt(*columns_.barrier, row));
    mark.slot = static_cast<uint32_t>(At(*columns_.slot, row));
    mark.wait = IsWait(row);
    mark.begin = At(*columns_.at, row);
    mark.end = mark.begin + (mark.wait ? At(*columns_.duration, row) : 0);
    use(static_cast<uint32_t>(At(*columns_.warp, row)), mark);
  }
}

}  // namespace sextant::analysis
