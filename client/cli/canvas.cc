#include "client/cli/canvas.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sextant::cli {
namespace {

constexpr std::array<absl::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<absl::string_view, 8> kAsciiLevels = {".", ":", "-", "=", "+", "*", "#", "@"};

std::string Sgr(Paint paint, int color) {
  switch (paint) {
    case Paint::kFill:
      return absl::StrCat("\x1b[1;38;5;16;48;5;", color, "m");
    case Paint::kSoft:
    case Paint::kLine:
      return absl::StrCat("\x1b[38;5;", color, "m");
    case Paint::kFaint:
      return "\x1b[38;5;238m";
    case Paint::kNone:
      return "";
  }
  return "";
}

}  // namespace

int Canvas::AddRow() {
  rows_.emplace_back(columns_);
  return rows() - 1;
}

void Canvas::Put(int row, int column, absl::string_view glyph, Paint paint, int color) {
  if (row < 0 || row >= rows() || column < 0 || column >= columns_) return;
  rows_[row][column] = Cell{std::string(glyph), paint, color};
}

bool Canvas::Empty(int row, int column) const {
  return row < 0 || row >= rows() || column < 0 || column >= columns_ ||
         rows_[row][column].glyph.empty();
}

std::string Canvas::Line(int row, const Style& style) const {
  std::string text;
  std::string current;
  int last = columns_ - 1;
  while (last >= 0 && rows_[row][last].glyph.empty()) --last;
  for (int column = 0; column <= last; ++column) {
    const Cell& cell = rows_[row][column];
    const std::string wanted =
        style.color && !cell.glyph.empty() ? Sgr(cell.paint, cell.color) : "";
    if (wanted != current) {
      if (!current.empty()) text += "\x1b[0m";
      text += wanted;
      current = wanted;
    }
    text += cell.glyph.empty() ? " " : cell.glyph;
  }
  if (!current.empty()) text += "\x1b[0m";
  if (!style.color) text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string Colored(absl::string_view text, int color, const Style& style) {
  if (!style.color) return std::string(text);
  return absl::StrCat("\x1b[38;5;", color, "m", text, "\x1b[0m");
}

std::string BoldText(absl::string_view text, const Style& style) {
  return style.color ? absl::StrCat("\x1b[1m", text, "\x1b[0m") : std::string(text);
}

std::string FaintText(absl::string_view text, const Style& style) {
  return style.color ? absl::StrCat("\x1b[38;5;245m", text, "\x1b[0m") : std::string(text);
}

std::string FaintLines(absl::string_view text, const Style& style) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&out, FaintText(line, style), "\n");
  }
  return out;
}

absl::string_view LevelGlyph(double share, const Style& style) {
  if (!(share > 0)) return "";
  const int level = std::clamp(static_cast<int>(std::ceil(share * 8)) - 1, 0, 7);
  return style.unicode ? kBlocks[level] : kAsciiLevels[level];
}

}  // namespace sextant::cli
