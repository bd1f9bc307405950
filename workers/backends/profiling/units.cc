#include "workers/backends/profiling/units.h"

#include <algorithm>
#include <vector>

namespace sextant::backends::profiling {
namespace {

// Names of clocks that CUPTI tells apart end in "cycle"; the metric's name says whose they are.
std::string Plural(std::string_view dimension) {
  if (dimension.empty() || dimension == "none") return "";
  if (dimension == "percent") return "%";
  if (dimension == "nanosecond") return "ns";
  if (dimension == "second") return "s";
  if (dimension.ends_with("cycle")) return "cycles";
  if (dimension.ends_with("sector")) return "sectors";
  if (dimension.ends_with("bank_conflict")) return "conflicts";
  if (dimension.ends_with("s")) return std::string(dimension);
  return std::string(dimension) + "s";
}

std::string Base(std::string_view dimension) {
  const size_t slash = dimension.find('/');
  if (slash == std::string_view::npos) return Plural(dimension);
  std::string below = Plural(dimension.substr(slash + 1));
  // "instructions/cycle": of one.
  if (below.ends_with("s") && below != "ns" && below != "s") below.pop_back();
  return Plural(dimension.substr(0, slash)) + "/" + below;
}

bool Has(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }

// ".avg.per_second" of "dram__bytes.avg.per_second"; groups have dots before the "__".
std::vector<std::string_view> Suffixes(std::string_view metric) {
  const size_t unit = metric.find("__");
  const size_t dot = metric.find('.', unit == std::string_view::npos ? 0 : unit);
  if (dot == std::string_view::npos) return {};
  std::vector<std::string_view> suffixes;
  for (size_t begin = dot + 1; begin <= metric.size();) {
    const size_t end = std::min(metric.find('.', begin), metric.size());
    suffixes.push_back(metric.substr(begin, end - begin));
    begin = end + 1;
  }
  return suffixes;
}

}  // namespace

std::string UnitOf(std::string_view metric, std::string_view dimension) {
  const std::vector<std::string_view> suffixes = Suffixes(metric);
  for (const std::string_view suffix : suffixes) {
    if (suffix == "pct" || suffix.starts_with("pct_of_")) return "%";
    if (suffix == "ratio") {
      return Has(dimension, '/') ? Base(dimension) : "";
    }
    if (suffix == "per_second") return Base(dimension) + "/s";
    if (suffix.starts_with("per_cycle_")) {
      // CUPTI's dimension of such a value sometimes has the cycle already.
      const std::string base = Base(dimension);
      return Has(base, '/') ? base : base + "/cycle";
    }
    if (suffix == "peak_sustained" || suffix.starts_with("peak_sustained_")) {
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
