#include "workers/backends/profiling/units.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sextant::backends::profiling {
namespace {

// Names of clocks that CUPTI tells apart end in "cycle"; the metric's name says whose they are.
std::string Plural(std::string_view dimension) {
  if (dimension.empty() || dimension == "none") return "";
  if (dimension == "percent") return "%";
  if (dimension == "nanosecond") return "ns";
  if (dimension == "second") return "s";
  if (absl::EndsWith(dimension, "cycle")) return "cycles";
  if (absl::EndsWith(dimension, "s")) return std::string(dimension);
  return absl::StrCat(dimension, "s");
}

std::string Base(std::string_view dimension) {
  const std::pair<std::string_view, std::string_view> parts =
      absl::StrSplit(dimension, absl::MaxSplits('/', 1));
  if (parts.second.empty()) return Plural(parts.first);
  std::string below = Plural(parts.second);
  // "instructions/cycle": of one.
  if (absl::EndsWith(below, "s") && below != "ns") below.pop_back();
  return absl::StrCat(Plural(parts.first), "/", below);
}

// ".avg.per_second" of "dram__bytes.avg.per_second"; groups have dots before the "__".
std::vector<std::string_view> Suffixes(std::string_view metric) {
  const size_t unit = metric.find("__");
  const size_t dot = metric.find('.', unit == std::string_view::npos ? 0 : unit);
  if (dot == std::string_view::npos) return {};
  return absl::StrSplit(metric.substr(dot + 1), '.');
}

}  // namespace

std::string UnitOf(std::string_view metric, std::string_view dimension) {
  const std::vector<std::string_view> suffixes = Suffixes(metric);
  for (const std::string_view suffix : suffixes) {
    if (suffix == "pct" || absl::StartsWith(suffix, "pct_of_")) return "%";
    if (suffix == "ratio") {
      return absl::StrContains(dimension, "/") ? Base(dimension) : "";
    }
    if (suffix == "per_second") return absl::StrCat(Base(dimension), "/s");
    if (absl::StartsWith(suffix, "per_cycle_")) {
      // CUPTI's dimension of such a value sometimes has the cycle already.
      const std::string base = Base(dimension);
      return absl::StrContains(base, "/") ? base : absl::StrCat(base, "/cycle");
    }
    if (suffix == "peak_sustained" || absl::StartsWith(suffix, "peak_sustained_")) {
      return Base(dimension);
    }
  }
  return Base(dimension);
}

Merge MergeOf(std::string_view metric) {
  const std::vector<std::string_view> suffixes = Suffixes(metric);
  if (suffixes.size() != 1) return Merge::kMean;
  if (suffixes[0] == "sum") return Merge::kSum;
  if (suffixes[0] == "max") return Merge::kMax;
  if (suffixes[0] == "min") return Merge::kMin;
  return Merge::kMean;
}

}  // namespace sextant::backends::profiling
