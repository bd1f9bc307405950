#pragma once

#include <string>

#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// Rows are SMs (or the device), columns buckets; the darker, the more. More than 72 rows or 128 columns are
// joined by their mean.
std::string DrawHeatMap(const v1::HeatMap& map);

}  // namespace sextant::analysis
