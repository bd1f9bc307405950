#pragma once

#include <string>

#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// Each quantile's path as one bar of its regions' shares, and below it what shortening each region would save.
std::string DrawPath(const v1::CriticalPath& path);

}  // namespace sextant::analysis
