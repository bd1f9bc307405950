// Which Python modules a program's passes have in common.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::agent {

// The option of a pass that the worker itself obeys: "0" starts it cold, "1" looks for the modules,
// "torch+mymodule" names them. Absent: "1".
inline constexpr char kWarmOption[] = "warm";

// The modules that a line of Python imports of those worth waiting for: large frameworks, of which it
// is known that importing them touches no GPU. "import torch.nn as nn" gives "torch.nn".
std::vector<std::string> ImportsOf(std::string_view python);

// Over all .py files of the workload that lie in `work_dir` already. Sorted, each once.
std::vector<std::string> FindModules(const v1::Workload& workload,
                                     const std::filesystem::path& work_dir);

// "torch+numpy" → names. INVALID_ARGUMENT: one is no module's name.
absl::StatusOr<std::vector<std::string>> ParseModules(std::string_view option);

}  // namespace sextant::agent
