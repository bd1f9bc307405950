// Values of a pass's options. INVALID_ARGUMENT names the option, what it was, and what it may be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends::profiling {

absl::StatusOr<uint64_t> ParseNumber(const std::string& option, const std::string& value,
                                     uint64_t least, uint64_t most);

absl::Status CheckChoice(const std::string& option, const std::string& value,
                         const std::vector<std::string>& choices);

inline constexpr size_t kMaxMetricsAsked = 512;

// Names joined by '+', each once, in order. Only their letters are checked here: which names there
// are depends on the chip.
absl::StatusOr<std::vector<std::string>> ParseMetricNames(const std::string& option,
                                                          const std::string& value);

}  // namespace sextant::backends::profiling
