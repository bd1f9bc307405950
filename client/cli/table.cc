#include "client/cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/text.h"

namespace sextant::cli {

void Table::Add(std::vector<std::string> cells) {
  cells.resize(heads_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::Text(bool color, absl::string_view indent, size_t width) const {
  std::vector<std::vector<std::string>> shown;
  std::vector<size_t> widths;
  for (const Head& h : heads_) widths.push_back(Columns(h.name));
  for (const auto& row : rows_) {
    auto& out = shown.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      out.push_back(Escape(row[i], max_cell_));
      widths[i] = std::max(widths[i], Columns(out.back()));
    }
  }
  if (width > 0) {
    size_t total = Columns(indent) + 2 * (widths.empty() ? 0 : widths.size() - 1);
    for (size_t w : widths) total += w;
    while (total > width) {
      size_t widest = widths.size();
      for (size_t i = 0; i < widths.size(); ++i) {
        const size_t least = std::max<size_t>(14, Columns(heads_[i].name));
        if (heads_[i].align == Align::kLeft && widths[i] > least &&
            (widest == widths.size() || widths[i] > widths[widest])) {
          widest = i;
        }
      }
      if (widest == widths.size()) break;
      --widths[widest];
      --total;
    }
  }
  std::string text;
  const auto line = [&](const std::vector<std::string>& cells, bool head) {
    std::string out(indent);
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) out += "  ";
      const std::string cell =
          Columns(cells[i]) > widths[i] ? Escape(cells[i], widths[i]) : cells[i];
      out += heads_[i].align == Align::kRight ? PadLeft(cell, widths[i]) : PadRight(cell, widths[i]);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    if (color && head) out = absl::StrCat("\x1b[1m", out, "\x1b[0m");
    absl::StrAppend(&text, out, "\n");
  };
  std::vector<std::string> names;
  for (const Head& h : heads_) names.push_back(h.name);
  line(names, true);
  for (const auto& row : shown) line(row, false);
  return text;
}

std::string Table::Csv() const {
  std::string text;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) text += ',';
      if (cells[i].find_first_of(",\"\r\n") == std::string::npos) {
        text += cells[i];
      } else {
        absl::StrAppend(&text, "\"", absl::StrReplaceAll(cells[i], {{"\"", "\"\""}}), "\"");
      }
    }
    text += "\r\n";
  };
  std::vector<std::string> names;
  for (const Head& h : heads_) names.push_back(h.name);
  line(names);
  for (const auto& row : rows_) line(row);
  return text;
}

}  // namespace sextant::cli
