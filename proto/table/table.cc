#include "proto/table/table.h"

#include <zstd.h>

#include <limits>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"

namespace sextant::table {
namespace {

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat("table: ", args...));
}

constexpr int kLevel = 3;

}  // namespace

Builder::Builder(std::string_view name) { table_.set_name(std::string(name)); }

namespace {

int AddColumn(v1::DataTable& table, std::string_view name, std::string_view unit) {
  v1::DataColumn& column = *table.add_columns();
  column.set_name(std::string(name));
  column.set_unit(std::string(unit));
  return table.columns_size() - 1;
}

}  // namespace

Builder::IntColumn Builder::Int(std::string_view name, std::string_view unit) {
  const int at = AddColumn(table_, name, unit);
  table_.mutable_columns(at)->add_ints(0);
  words_.emplace_back();
  return IntColumn{at};
}

Builder::NumberColumn Builder::Number(std::string_view name, std::string_view unit) {
  const int at = AddColumn(table_, name, unit);
  table_.mutable_columns(at)->add_numbers(std::numeric_limits<double>::quiet_NaN());
  words_.emplace_back();
  return NumberColumn{at};
}

Builder::TextColumn Builder::Text(std::string_view name) {
  const int at = AddColumn(table_, name, "");
  v1::DataColumn& column = *table_.mutable_columns(at);
  column.add_dictionary("");
  column.add_texts(0);
  words_.emplace_back()[""] = 0;
  return TextColumn{at};
}

// The last entry of every column is the row under way.
void Builder::Set(IntColumn column, int64_t value) {
  auto& ints = *table_.mutable_columns(static_cast<int>(column))->mutable_ints();
  ints[ints.size() - 1] = value;
}

void Builder::Set(NumberColumn column, double value) {
  auto& numbers = *table_.mutable_columns(static_cast<int>(column))->mutable_numbers();
  numbers[numbers.size() - 1] = value;
}

void Builder::Set(TextColumn column, std::string_view value) {
  v1::DataColumn& where = *table_.mutable_columns(static_cast<int>(column));
  const std::string clean = chunk::CleanName(std::string(value), kMaxTextBytes);
  auto [word, inserted] =
      words_[static_cast<int>(column)].try_emplace(clean, where.dictionary_size());
  if (inserted) where.add_dictionary(clean);
  where.set_texts(where.texts_size() - 1, word->second);
}

void Builder::EndRow() {
  if (table_.rows() >= kMaxRows) {
    ++dropped_rows_;
    return;
  }
  table_.set_rows(table_.rows() + 1);
  for (v1::DataColumn& column : *table_.mutable_columns()) {
    if (column.ints_size() > 0) column.add_ints(0);
    if (column.numbers_size() > 0) column.add_numbers(std::numeric_limits<double>::quiet_NaN());
    if (column.texts_size() > 0) column.add_texts(0);
  }
}

v1::DataTable Builder::Finish() {
  for (v1::DataColumn& column : *table_.mutable_columns()) {
    if (column.ints_size() > 0) column.mutable_ints()->RemoveLast();
    if (column.numbers_size() > 0) column.mutable_numbers()->RemoveLast();
    if (column.texts_size() > 0) column.mutable_texts()->RemoveLast();
  }
  return std::move(table_);
}

std::string Encode(const v1::DataTable& table) {
  const std::string plain = table.SerializeAsString();
  std::string frame(ZSTD_compressBound(plain.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), plain.data(), plain.size(), kLevel);
  frame.resize(ZSTD_isError(size) ? 0 : size);
  return frame;
}

absl::Status Check(const v1::DataTable& table) {
  if (table.name().empty() || table.name().size() > 128) {
    return Invalid("name has ", table.name().size(), " bytes, must have 1 to 128");
  }
  if (table.rows() > kMaxRows) {
    return Invalid(table.name(), " has ", table.rows(), " rows, the limit is ", kMaxRows);
  }
  if (table.columns_size() > kMaxColumns) {
    return Invalid(table.name(), " has ", table.columns_size(), " columns, the limit is ",
                   kMaxColumns);
  }
  absl::flat_hash_set<std::string_view> names;
  for (const v1::DataColumn& column : table.columns()) {
    if (chunk::CleanName(column.name(), 128) != column.name() || column.name().empty()) {
      return Invalid(table.name(), ": the name of a column is empty, longer than 128 bytes or not "
                     "printable UTF-8");
    }
    if (chunk::CleanName(column.unit(), 128) != column.unit()) {
      return Invalid(table.name(), ".", column.name(), ".unit is not printable UTF-8");
    }
    if (!names.insert(column.name()).second) {
      return Invalid(table.name(), ".", column.name(), " is there twice");
    }
    const uint64_t entries = static_cast<uint64_t>(column.ints_size()) + column.numbers_size() +
                             column.texts_size();
    const int kinds =
        (column.ints_size() > 0) + (column.numbers_size() > 0) + (column.texts_size() > 0);
    if (entries != table.rows() || kinds > 1) {
      return Invalid(table.name(), ".", column.name(), " has ", entries, " entries of ", kinds,
                     " kinds for ", table.rows(), " rows");
    }
    for (const std::string& word : column.dictionary()) {
      if (chunk::CleanName(word, kMaxTextBytes) != word) {
        return Invalid(table.name(), ".", column.name(), " holds a text that is longer than ",
                       kMaxTextBytes, " bytes or not printable UTF-8");
      }
    }
    for (const uint32_t index : column.texts()) {
      if (index >= static_cast<uint32_t>(column.dictionary_size())) {
        return Invalid(table.name(), ".", column.name(), ": text ", index, " of ",
                       column.dictionary_size());
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::DataTable> DecodeUntrusted(std::string_view bytes) {
  if (bytes.size() > kMaxEncodedBytes) {
    return Invalid(bytes.size(), " bytes, the limit is ", kMaxEncodedBytes);
  }
  const unsigned long long size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
    return Invalid("not a zstd frame that says its size");
  }
  if (size > kMaxDecodedBytes) {
    return Invalid("decodes to ", size, " bytes, the limit is ", kMaxDecodedBytes);
  }
  std::string plain(size, '\0');
  const size_t got = ZSTD_decompress(plain.data(), plain.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(got) || got != size) return Invalid("the zstd frame is damaged");
  v1::DataTable table;
  if (!table.ParseFromString(plain)) return Invalid("not a DataTable");
  RETURN_IF_ERROR(Check(table));
  return table;
}

const v1::DataColumn* Find(const v1::DataTable& table, std::string_view column) {
  for (const v1::DataColumn& one : table.columns()) {
    if (one.name() == column) return &one;
  }
  return nullptr;
}

std::string_view TextAt(const v1::DataColumn& column, uint64_t row) {
  return column.dictionary(column.texts(static_cast<int>(row)));
}

double NumberAt(const v1::DataColumn& column, uint64_t row) {
  const int at = static_cast<int>(row);
  return column.ints_size() > 0 ? static_cast<double>(column.ints(at)) : column.numbers(at);
}

}  // namespace sextant::table
