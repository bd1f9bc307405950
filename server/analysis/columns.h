// Columns of a table by name, for loops over its rows: what is not there reads as NaN, "" or nothing.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/table/table.h"

namespace sextant::analysis {

// A column of numbers or integers. Borrows the table.
class NumberColumn {
 public:
  NumberColumn(const v1::DataTable& table, std::string_view name) : column_(table::Find(table, name)) {
    if (column_ != nullptr && column_->ints().empty() && column_->numbers().empty()) column_ = nullptr;
  }
  explicit operator bool() const { return column_ != nullptr; }
  double operator[](uint64_t row) const {
    return column_ == nullptr ? NAN : table::NumberAt(*column_, row);
  }
  // Where it is a number above zero and finite; else 0.
  double Positive(uint64_t row) const {
    const double value = (*this)[row];
    return value > 0 && std::isfinite(value) ? value : 0;
  }

 private:
  const v1::DataColumn* column_;
};

// A column of texts. Borrows the table.
class TextColumn {
 public:
  TextColumn(const v1::DataTable& table, std::string_view name) : column_(table::Find(table, name)) {
    if (column_ != nullptr && column_->texts().empty()) column_ = nullptr;
  }
  explicit operator bool() const { return column_ != nullptr; }
  std::string_view operator[](uint64_t row) const {
    return column_ == nullptr ? std::string_view() : table::TextAt(*column_, row);
  }
  // Which of the dictionary's words `is` accepts, so that rows are compared by number.
  template <typename Is>
  std::vector<bool> Words(Is is) const {
    std::vector<bool> words;
    if (column_ != nullptr)
      for (const std::string& word : column_->dictionary()) words.push_back(is(absl::string_view(word)));
    return words;
  }
  uint32_t Word(uint64_t row) const { return column_->texts(static_cast<int>(row)); }

 private:
  const v1::DataColumn* column_;
};

}  // namespace sextant::analysis
