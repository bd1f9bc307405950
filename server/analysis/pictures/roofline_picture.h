#pragma once

#include <string>

#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// Work per second over work per byte, both logarithmic: ceilings as lines, points as dots.
std::string DrawRoofline(const v1::Roofline& roofline);

// "4.80 T", "1.2 k": three digits and a decimal prefix.
std::string WithPrefix(double value);

}  // namespace sextant::analysis
