// What every analysis is asked about, and what it stands on, as the command line writes them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::cli {

struct SubjectOptions {
  int64_t job_id = 0;
  std::string task;
  std::string kernel;        // empty: the one that took most time
  std::string quantiles;     // as written: ".2,.5,.8"
  bool include_disturbed = false;
};

// INVALID_ARGUMENT begins with the flag.
absl::StatusOr<v1::Subject> ToSubject(const SubjectOptions& options);

// "gemm_ws · job 4 profile · SASS 4c1d6d…".
std::string BasisHead(const v1::Basis& basis);
// Passes used and left out, notes, and what could not be judged with the pass that would settle it.
void PrintBasis(Context& context, const v1::Basis& basis);
void PrintAbstention(Context& context, const v1::Abstention& abstention);

}  // namespace sextant::cli
