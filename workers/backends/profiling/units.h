// What a metric's value is measured in.
#pragma once

#include <string>
#include <string_view>

namespace sextant::backends::profiling {

// `metric` is a name with rollup and submetric ("sm__cycles_active.avg.per_second"), `dimension` the
// base metric's, as CUPTI names it ("gpc_cycle"). Units are written as in tables: "cycles",
// "instructions", "bytes", "ns", "%", "bytes/s", "" for a plain number.
std::string UnitOf(std::string_view metric, std::string_view dimension);

// How values of several launches become one. The rollup decides: what is summed over the chip is
// summed over launches, a maximum stays the largest, a mean or a ratio is averaged.
enum class Merge { kSum, kMax, kMin, kMean };
Merge MergeOf(std::string_view metric);

}  // namespace sextant::backends::profiling
