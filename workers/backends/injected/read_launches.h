// The launches that the instrument `activity` saw beside another instrument of a pass.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "workers/backends/backend.h"
#include "workers/backends/injected/launches.h"

namespace sextant::backends::injected {

inline constexpr char kActivityInstrument[] = "activity";
// Kernel records alone: what costs least.
inline constexpr char kLightOption[] = "activity.light";

// What SEXTANT_INJECT names for `instrument`, with `activity` beside it where the options have
// kLightOption.
std::string WithActivity(const std::string& instrument,
                         const std::map<std::string, std::string>& options);

// Takes all that `instrument` left, and calls Finish. Nothing at all is no error; files that cannot be
// read are named in `notes`.
absl::Status ReadLaunches(const RunRecord& run, const std::string& instrument, Launches* launches,
                          std::vector<std::string>* notes);

// The table `launches` of a pass whose backend has `activity` beside what it is for, or whose
// instrument times launches itself; no table where no launch that matches was seen to end.
absl::Status AddLaunches(const RunRecord& run, Collected* collected,
                         const std::string& instrument = kActivityInstrument);

}  // namespace sextant::backends::injected
