// `auto`: which passes answer a question, within a budget. Rules without I/O.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::job {

inline constexpr char kAutoBackend[] = "auto";

// What a pass costs and disturbs when nothing is known of the program.
struct TypicalCost {
  double times_clean = 1;       // wall time of the pass ÷ wall time of the program alone
  double perturbation_pct = 0;  // lengthening of kernels (CPU backends: of the program)
  absl::string_view why;        // what the pass is for
};
TypicalCost TypicalCostOf(const v1::PassSpec& spec);

// Seconds a program takes when it has never run here.
inline constexpr double kTypicalRunS = 5;

// INVALID_ARGUMENT names the option of the `auto` pass at `field` that is wrong.
absl::Status CheckAuto(absl::string_view field, const v1::PassSpec& spec);

// Whether the task asks for `auto` passes.
bool HasAuto(const v1::TaskSpec& task);

// Replaces every `auto` among the task's passes by passes that some worker offers: clean ones first,
// then what answers the question, what is least worth its cost last. `run_s` is what the program
// takes alone. Passes that the budget does not allow are left out; the notes say which and why.
// Those that depend on what is in the program (scopes in it, a Python program) are optional.
void ExpandAuto(const std::vector<v1::WorkerInfo>& workers, double run_s, v1::TaskSpec* task,
                std::vector<std::string>* notes);

}  // namespace sextant::job
