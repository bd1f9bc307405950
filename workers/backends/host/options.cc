#include "workers/backends/host/options.h"

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/include/sextant/detail/format.h"
#include "proto/status/status.h"

namespace sextant::backends::host {
namespace {

constexpr std::array<const char*, 10> kCounters = {
    "cycles",        "instructions", "cache-references", "cache-misses", "branches",
    "branch-misses", "ref-cycles",   "task-clock",       "page-faults",  "context-switches"};

absl::StatusOr<uint32_t> ParseNumber(const std::string& name, const std::string& value,
                                     uint32_t least, uint32_t most) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < least || number > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        "options[\"", name, "\"]: \"", value, "\" is not a number from ", least, " to ", most));
  }
  return number;
}

absl::StatusOr<std::vector<std::string>> ParseCounters(const std::string& value) {
  std::vector<std::string> counters =
      absl::StrSplit(value, absl::ByAnyChar("+,"), absl::SkipEmpty());
  for (const std::string& counter : counters) {
    if (std::find(kCounters.begin(), kCounters.end(), counter) == kCounters.end()) {
      return absl::InvalidArgumentError(absl::StrCat("options[\"counters\"]: no counter \"",
                                                     counter, "\"; there are ",
                                                     absl::StrJoin(kCounters, ", ")));
    }
  }
  if (counters.empty() || counters.size() > SEXTANT_MAX_COUNTERS) {
    return absl::InvalidArgumentError(absl::StrCat("options[\"counters\"]: ", counters.size(),
                                                   " counters; 1 to ", SEXTANT_MAX_COUNTERS,
                                                   " joined by + are possible in one pass"));
  }
  return counters;
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  for (const auto& [name, value] : spec.options()) {
    if (name == "records") {
      ASSIGN_OR_RETURN(options.records,
                       ParseNumber(name, value, SEXTANT_PAGE_RECORDS, SEXTANT_MAX_RECORDS));
    } else if (name == "threads") {
      ASSIGN_OR_RETURN(options.threads, ParseNumber(name, value, 1, 64 * 1024));
    } else if (name == "counters") {
      ASSIGN_OR_RETURN(options.counters, ParseCounters(value));
    } else if (name == "clock") {
      if (value != "tsc" && value != "monotonic") {
        return absl::InvalidArgumentError(absl::StrCat("options[\"clock\"]: \"", value,
                                                       "\" is neither \"tsc\" nor \"monotonic\""));
      }
      options.clock = value;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("options[\"", name, "\"]: backend \"host\" has no such option; it has ",
                       "records, threads, counters, clock"));
    }
  }
  return options;
}

std::map<std::string, std::string> EnvironmentOf(const Options& options) {
  std::map<std::string, std::string> env = {{"SEXTANT_RESULTS", "/results"}};
  if (options.records > 0) env["SEXTANT_HOST_RECORDS"] = absl::StrCat(options.records);
  if (options.threads > 0) env["SEXTANT_HOST_BUFFERS"] = absl::StrCat(options.threads);
  if (!options.clock.empty()) env["SEXTANT_HOST_CLOCK"] = options.clock;
  if (!options.counters.empty()) {
    env["SEXTANT_HOST_COUNTERS"] = absl::StrJoin(options.counters, ",");
  }
  return env;
}

}  // namespace sextant::backends::host
