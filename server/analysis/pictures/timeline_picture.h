#pragma once

#include <string>

#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// A lane for each role: instances from their median start to their median end, nested ones below, with
// whiskers from the lowest to the highest quantile of both. At most 3,000 instances, the longest ones.
std::string DrawStatisticalTimeline(const v1::Timeline& timeline);

}  // namespace sextant::analysis
