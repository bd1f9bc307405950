// An aligned table of text. Cells are escaped when they are added: a table prints untrusted text.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sextant::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Head {
    std::string name;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Head> heads) : heads_(std::move(heads)) {}

  // Missing cells are empty, further cells are dropped. Cells longer than `max_cell` are cut.
  void Add(std::vector<std::string> cells);
  void set_max_cell(size_t columns) { max_cell_ = columns; }
  bool empty() const { return rows_.empty(); }
  size_t size() const { return rows_.size(); }

  // One line of heads and one per row; two spaces between columns, no trailing spaces. With `width`
  // above 0 left-aligned columns are cut until a line fits.
  std::string Text(bool color, absl::string_view indent = "", size_t width = 0) const;
  // RFC 4180; cells as they were added, not escaped for terminals.
  std::string Csv() const;

 private:
  std::vector<Head> heads_;
  std::vector<std::vector<std::string>> rows_;
  size_t max_cell_ = 60;
};

}  // namespace sextant::cli
