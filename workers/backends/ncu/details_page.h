// The page "details" that ncu exports as CSV: entries of sections, and what ncu's rules advise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends::ncu {

inline constexpr size_t kMaxDetails = 2'000'000;

struct SectionEntry {
  int64_t id = 0;       // Launch.id of the page "raw"
  std::string section;  // "GPU Speed Of Light Throughput"
  std::string label;    // "DRAM Frequency"
  std::string unit;
  std::string value;  // as written
};

struct Advice {
  int64_t id = 0;
  std::string section;
  std::string rule;  // "SOLBottleneck"
  std::string kind;  // "OPT", "WRN", "INF", …
  std::string text;
  double speedup_pct = 0;  // NaN: not estimated
};

struct DetailsPage {
  std::vector<SectionEntry> entries;
  std::vector<Advice> advice;
};

// INVALID_ARGUMENT: a column is missing; OUT_OF_RANGE: more than kMaxDetails rows.
absl::StatusOr<DetailsPage> ParseDetailsPageUntrusted(std::string_view text);

}  // namespace sextant::backends::ncu
