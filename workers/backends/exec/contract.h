// The words in which the worker and a third party's backend speak: JSON (docs/adding_a_backend.md).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"

namespace sextant::backends::exec {

// Where the directory of the executables is seen inside the sandbox.
inline constexpr char kInside[] = "/sextant/exec";

// What `probe` printed. INVALID_ARGUMENT names the field.
absl::StatusOr<v1::BackendOffer> ParseOfferUntrusted(std::string_view json);

// What `prepare` and `collect` are told of a pass: an object of "options", "argv", "kernels",
// "ordinal", "limits". Neither environment nor files nor standard input are among it.
std::string DescribePass(const v1::Assignment& assignment);

// As DescribePass, and how the program ended: "exit", "started_unix_ns", "started_monotonic_ns".
std::string DescribeRun(const RunRecord& run);

// What `prepare` printed: "argv", "env", "mounts" (read-only, their targets below /sextant).
// INVALID_ARGUMENT names the field; a status with "error" of its own is INVALID_ARGUMENT too.
absl::StatusOr<LaunchPlan> ParsePlanUntrusted(std::string_view json);

// What `collect` printed, and the files it names: beneath `out` those it wrote, beneath `left`
// those the pass left. Its "error" becomes FAILED_PRECONDITION (code "empty"), UNIMPLEMENTED
// ("refused") or UNAVAILABLE ("failed"), with its remedy.
absl::StatusOr<Collected> ParseCollectedUntrusted(std::string_view json,
                                                  const std::filesystem::path& out,
                                                  const std::filesystem::path& left);

}  // namespace sextant::backends::exec
