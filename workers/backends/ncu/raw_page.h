// The page "raw" that ncu exports from a report as CSV: a header row, a row of units, one row for
// each launch; lines before them that begin with "==" are log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends::ncu {

inline constexpr size_t kMaxMetrics = 100'000;
inline constexpr size_t kMaxLaunches = 100'000;

struct Metric {
  std::string name;
  std::string unit;  // as ncu writes it: "byte", "ns", "%", "inst/cycle"
};

struct Value {
  uint32_t metric = 0;  // index into RawPage.metrics
  double number = 0;    // NaN: ncu said "nan", or the value is a text
  std::string text;     // "no data", "CachePreferNone"; empty: a number
};

struct Launch {
  int64_t id = 0;
  int64_t process = 0;
  std::string kernel;  // as written: mangled where the command line asks for that
  int64_t device = 0, context = 0, stream = 0;
  int64_t grid[3] = {0, 0, 0};
  int64_t block[3] = {0, 0, 0};
  std::vector<Value> values;  // those with a value, in order of the metrics
};

struct RawPage {
  std::vector<Metric> metrics;
  std::vector<Launch> launches;
};

// INVALID_ARGUMENT names the line or column that is missing; OUT_OF_RANGE a limit. A page without
// any launch is a page.
absl::StatusOr<RawPage> ParseRawPageUntrusted(std::string_view text);

// The value of a metric of a launch, or null.
const Value* Find(const RawPage& page, const Launch& launch, std::string_view metric);

}  // namespace sextant::backends::ncu
