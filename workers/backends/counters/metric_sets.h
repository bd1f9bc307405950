// Which counters answer a question. Names are those of `ncu --query-metrics`; a chip that lacks one
// leaves it out, with a note.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sextant::backends::counters {

// "ipc", "stalls", "memory", "tensor", "occupancy", "spills", "roofline".
const std::vector<std::string>& MetricSetNames();

// Empty: no such set.
std::vector<std::string> MetricSet(std::string_view name);

}  // namespace sextant::backends::counters
