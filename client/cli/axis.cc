#include "client/cli/axis.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr int kColumnsPerTick = 13;   // room for a label like "1,250 µs" and a gap

double NiceStep(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * 0.999) return factor * power;
  }
  return 10 * power;
}

}  // namespace

Axis::Axis(double first_ns, double last_ns, int columns, bool unicode) : columns_(columns) {
  if (!(last_ns > first_ns)) last_ns = first_ns + 1;
  if (first_ns < 0.15 * last_ns) first_ns = std::min(first_ns, 0.0);
  const double step = NiceStep((last_ns - first_ns) * kColumnsPerTick / columns);
  begin_ns_ = std::floor(first_ns / step) * step;
  if (first_ns - begin_ns_ > 0.1 * (last_ns - first_ns)) begin_ns_ = first_ns;
  cell_ns_ = (last_ns - begin_ns_) / columns;

  const double size = std::max(std::fabs(last_ns), std::fabs(begin_ns_));
  const double unit = size < 1e3 ? 1 : size < 1e6 ? 1e3 : size < 1e9 ? 1e6 : 1e9;
  const char* name = unit == 1 ? "ns" : unit == 1e3 ? (unicode ? "µs" : "us") : unit == 1e6 ? "ms" : "s";
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step / unit) - 1e-9)));
  for (double at = std::ceil(begin_ns_ / step - 1e-9) * step; at <= last_ns + step * 1e-9; at += step) {
    const int column = Boundary(at);
    if (column >= columns) break;
    const double shown = std::fabs(at) < step * 1e-6 ? 0 : at;
    ticks_.push_back({column, shown == 0 ? "0" : absl::StrFormat("%.*f %s", decimals, shown / unit, name)});
  }
}

int Axis::Boundary(double ns) const {
  const double column = std::round((ns - begin_ns_) / cell_ns_);
  return static_cast<int>(std::clamp(column, 0.0, static_cast<double>(columns_)));
}

std::vector<std::string> Axis::Lines(const Style& style) const {
  std::string labels, ruler;
  size_t next = 0;
  for (int column = 0; column < columns_; ++column) {
    const bool tick = next < ticks_.size() && ticks_[next].column == column;
    if (tick) {
      const std::string& label = ticks_[next].label;
      // Labels begin at their tick, the last one may end at the edge; none runs over another.
      const int at = std::min(column, columns_ - static_cast<int>(Columns(label)));
      if (at >= 0 && (labels.empty() || static_cast<int>(Columns(labels)) < at)) {
        labels = PadRight(labels, at) + label;
      }
      ++next;
    }
    ruler += style.unicode ? (tick ? "┬" : "─") : (tick ? "+" : "-");
  }
  return {FaintText(labels, style), FaintText(ruler, style)};
}

}  // namespace sextant::cli
