// A grid of character cells with colours, written out as lines of text: the paper on which pictures
// are drawn.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sextant::cli {

// How a picture may look. Pictures are pure functions of their data and a style.
struct Style {
  int width = 100;       // columns
  bool color = false;    // 256 colours by SGR sequences
  bool unicode = true;   // false: ASCII alone
};

// How a cell is painted when there is colour; without colour only its glyph is seen.
enum class Paint { kNone, kFill, kSoft, kLine, kFaint };

class Canvas {
 public:
  explicit Canvas(int columns) : columns_(columns) {}

  int columns() const { return columns_; }
  int rows() const { return static_cast<int>(rows_.size()); }
  int AddRow();

  // Puts one glyph of one column; outside the grid nothing happens. `color` is a 256-colour index.
  void Put(int row, int column, absl::string_view glyph, Paint paint = Paint::kNone, int color = -1);
  bool Empty(int row, int column) const;

  // One row as text, without trailing spaces.
  std::string Line(int row, const Style& style) const;

 private:
  struct Cell {
    std::string glyph;   // empty: nothing was put here
    Paint paint = Paint::kNone;
    int color = -1;
  };
  int columns_;
  std::vector<std::vector<Cell>> rows_;
};

// `text` between the sequences of a 256-colour foreground, when `style` has colour.
std::string Colored(absl::string_view text, int color, const Style& style);
std::string BoldText(absl::string_view text, const Style& style);
std::string FaintText(absl::string_view text, const Style& style);
// Every line of `text` by itself, so that no line ends in a colour.
std::string FaintLines(absl::string_view text, const Style& style);

// One column high, as full as `share` in (0, 1] says; "" for 0 and less.
absl::string_view LevelGlyph(double share, const Style& style);

}  // namespace sextant::cli
