// A time axis: nice ticks over a span of nanoseconds, and where a time falls among the columns.
#pragma once

#include <string>
#include <vector>

#include "client/cli/canvas.h"

namespace sextant::cli {

class Axis {
 public:
  struct Tick {
    int column;
    std::string label;
  };

  // Shows [first_ns, last_ns] over `columns`; begins at 0 when that costs little room.
  Axis(double first_ns, double last_ns, int columns, bool unicode);

  // The column boundary nearest to a time, clamped to [0, columns].
  int Boundary(double ns) const;
  double cell_ns() const { return cell_ns_; }
  double begin_ns() const { return begin_ns_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

  // Two lines: labels, and the ruler under them.
  std::vector<std::string> Lines(const Style& style) const;

 private:
  int columns_;
  double begin_ns_;
  double cell_ns_;
  std::vector<Tick> ticks_;
};

}  // namespace sextant::cli
