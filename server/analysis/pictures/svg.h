// Pictures as SVG that stands alone: its own colours for light and dark, no script, no network. Texts are
// escaped here and nowhere else.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sextant::analysis {

// "a<b" as it may stand in HTML and SVG, text or attribute. What is not printable UTF-8 becomes '?'.
std::string HtmlText(absl::string_view text);

class Svg {
 public:
  static constexpr int kColors = 8;
  enum class Anchor { kStart, kMiddle, kEnd };

  Svg(double width, double height, absl::string_view title);

  // `look`: classes of the style, "c0" … "c7" fill, "s0" … "s7" stroke, "muted", "grid", "heat h1" … "heat h10".
  void Rect(double x, double y, double width, double height, absl::string_view look, absl::string_view tip = "");
  void Line(double x1, double y1, double x2, double y2, absl::string_view look);
  void Circle(double x, double y, double radius, absl::string_view look, absl::string_view tip = "");
  // A path's `d` made of numbers alone.
  void Path(absl::string_view d, absl::string_view look);
  // Cut to `most_columns` characters.
  void Text(double x, double y, absl::string_view text, Anchor anchor = Anchor::kStart, absl::string_view look = "",
            size_t most_columns = 60);

  std::string Finish();

 private:
  std::string out_;
};

// A step for an axis from 0 to `most` of about `ticks` marks: 1, 2 or 5 times a power of ten.
double AxisStep(double most, int ticks);
// "1.5", of at most two decimals.
std::string Num(double value);

}  // namespace sextant::analysis
