// Proton's Hatchet tree: what the host saw, summed over calls. JSON: a list of the root node and a
// table of devices; a node is {"frame": {"name", "type"}, "metrics": {…}, "children": […]}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::backends::proton {

// Each metric of each kernel, summed over the places it was launched from: name "time" with unit
// "ns" from "time (ns)", "flops8", "bytes", …; `instances` is Proton's count of launches. Sorted by
// kernel and name. INVALID_ARGUMENT: it is no tree, or deeper or larger than a program can be.
absl::StatusOr<std::vector<v1::Counter>> ReadHatchetUntrusted(std::string_view text);

}  // namespace sextant::backends::proton
