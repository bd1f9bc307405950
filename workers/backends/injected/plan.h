// What all backends of the injection library have in common before the program runs: whether it
// can, and how it is started.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "workers/backends/backend.h"

namespace sextant::backends::injected {

inline constexpr char kInsideToolkit[] = "/sextant/cuda";
inline constexpr char kInsideResults[] = "/results";

// An offer of backend `name`: available where the library is. Its digest is that of the library.
v1::BackendOffer ProbeInjection(const Site& site, const std::string& name);

// The workload's program with the library in it. `instruments` as in SEXTANT_INJECT; `options` are
// "instrument.key" → value. INVALID_ARGUMENT: no argv, or workload.kernels is no POSIX extended
// regular expression.
absl::StatusOr<LaunchPlan> PlanInjection(const Site& site, const v1::Assignment& assignment,
                                         const std::string& instruments,
                                         const std::map<std::string, std::string>& options);

// A switch among a pass's options. INVALID_ARGUMENT names what is neither 0 nor 1.
absl::StatusOr<bool> ParseSwitch(const std::string& option, const std::string& value);

// INVALID_ARGUMENT: backend `backend` has no option `option`; it has `known`.
absl::Status NoSuchOption(const std::string& backend, const std::string& option,
                          const std::string& known);

}  // namespace sextant::backends::injected
