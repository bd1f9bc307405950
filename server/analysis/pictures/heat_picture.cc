#include "server/analysis/pictures/heat_picture.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/pictures/svg.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kWidth = 920, kLeft = 90, kRight = 20, kTop = 10;
constexpr size_t kMostRows = 72, kMostColumns = 128;
constexpr int kLevels = 10;

}  // namespace

std::string DrawHeatMap(const v1::HeatMap& map) {
  const size_t rows = std::max<size_t>(map.sms_size(), 1);
  const size_t columns = map.values_size() / rows;
  if (columns == 0) return Svg(kWidth, kTop, map.what()).Finish();
  const size_t row_step = (rows + kMostRows - 1) / kMostRows, column_step = (columns + kMostColumns - 1) / kMostColumns;
  const size_t shown_rows = (rows + row_step - 1) / row_step, shown_columns = (columns + column_step - 1) / column_step;
  std::vector<double> cells(shown_rows * shown_columns, NAN);
  double most = 0;
  for (size_t r = 0; r < shown_rows; ++r)
    for (size_t c = 0; c < shown_columns; ++c) {
      double sum = 0;
      int count = 0;
      for (size_t i = r * row_step; i < std::min(rows, (r + 1) * row_step); ++i)
        for (size_t k = c * column_step; k < std::min(columns, (c + 1) * column_step); ++k)
          if (const double value = map.values(static_cast<int>(i * columns + k)); std::isfinite(value)) {
            sum += value;
            ++count;
          }
      if (count == 0) continue;
      cells[r * shown_columns + c] = sum / count;
      most = std::max(most, sum / count);
    }
  const double cell_height = rows == 1 ? 28 : std::clamp(360.0 / static_cast<double>(shown_rows), 3.0, 14.0);
  const double cell_width = (kWidth - kLeft - kRight) / static_cast<double>(shown_columns);
  const double bottom = kTop + cell_height * static_cast<double>(shown_rows);
  Svg svg(kWidth, bottom + 44, map.what());
  // One path a level keeps the picture small.
  for (int level = 1; level <= kLevels; ++level) {
    std::string d;
    for (size_t r = 0; r < shown_rows; ++r)
      for (size_t c = 0; c < shown_columns; ++c) {
        const double value = cells[r * shown_columns + c];
        if (!std::isfinite(value) || most <= 0 || static_cast<int>(std::ceil(value / most * kLevels)) != level) continue;
        absl::StrAppend(&d, "M", Num(kLeft + static_cast<double>(c) * cell_width), " ", Num(kTop + static_cast<double>(r) * cell_height),
                        "h", Num(cell_width), "v", Num(cell_height), "h-", Num(cell_width), "z");
      }
    if (!d.empty()) svg.Path(d, absl::StrCat("heat h", level));
  }
  if (rows > 1) {
    svg.Text(kLeft - 8, kTop + 10, absl::StrCat("SM ", map.sms(0)), Svg::Anchor::kEnd, "muted");
    svg.Text(kLeft - 8, bottom, absl::StrCat("SM ", map.sms(map.sms_size() - 1)), Svg::Anchor::kEnd, "muted");
  }
  const double span = static_cast<double>(map.bucket_ns()) * static_cast<double>(columns);
  for (double mark = 0, step = AxisStep(span, 8); mark <= span && span > 0; mark += step) {
    const double x = kLeft + mark / span * (kWidth - kLeft - kRight);
    svg.Line(x, bottom, x, bottom + 4, "grid");
    svg.Text(x, bottom + 18, mark == 0 ? "0" : Duration(mark), Svg::Anchor::kMiddle, "muted");
  }
  svg.Text(kLeft, bottom + 38, absl::StrCat("full colour: ", absl::StrFormat("%.4g", most), map.unit().empty() ? "" : " ", map.unit()),
           Svg::Anchor::kStart, "muted", 80);
  return svg.Finish();
}

}  // namespace sextant::analysis
