// Pictures as text of at most 100 columns, for terminals and for Markdown that shows no SVG.
#pragma once

#include <string>

#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// "████▌     " of `columns` characters, filled by `share` (0 … 1) in eighths. NaN: empty.
std::string TextBar(double share, int columns);
// One character a value, "▁" to "█" of the most, " " for nothing; more than `columns` values are joined by their mean.
std::string TextSpark(const google::protobuf::RepeatedField<double>& values, int columns);

// A row for each role and region: how much of each column its median instances cover (░▒▓█), over an axis in
// time. At most 16 rows, those with most time.
std::string TextTimeline(const v1::Timeline& timeline);
// A bar for each region of the median run's path, longest first; at most 12.
std::string TextPath(const v1::CriticalPathAt& at);
// A bar for each unit.
std::string TextUnits(const v1::Roofline& roofline);
// Resident CTAs and active SMs over time.
std::string TextOccupancy(const v1::OccupancyOverTime& occupancy);

}  // namespace sextant::analysis
