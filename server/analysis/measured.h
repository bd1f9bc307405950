// What the passes of one job measured, one number a pass, ready to be compared with another job's.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/pass_tables.h"
#include "server/trace/reader.h"

namespace sextant::analysis {

// In the order of rows.
enum class QuantityKind { kProgram, kKernel, kRegion, kCounter };

struct QuantityName {
  QuantityKind kind;
  std::string name;     // "kernel time", the kernel, the region, the counter
  std::string role;
  std::string kernel;   // counters
  std::string region;   // counters
  friend auto operator<=>(const QuantityName&, const QuantityName&) = default;
};

struct Quantity {
  std::string unit;
  std::string statistic;        // of one pass
  std::vector<double> values;   // [passes], finite
  double time = 0;              // kernels, regions: total over passes, for shares
  double observations = 0;      // launches, instances over all passes
};

struct Measured {
  int64_t job_id = 0;
  std::string task;
  std::map<QuantityName, Quantity> quantities;
  std::map<std::string, std::set<std::string>> codes;   // SASS digests by kernel, where known
  std::set<int64_t> runs;                               // the passes that ran, also for other jobs
  std::vector<v1::Provenance> provenance;               // distinct
  std::vector<std::string> notes;
};

struct MeasuredPair {
  Measured a;
  Measured b;
  std::vector<std::string> notes;   // about both
};

// One job's side of a comparison: all passes of the task, and their certificates.
struct JobPasses {
  absl::Span<const v1::PassInfo> passes;
  absl::Span<const v1::Perturbation> certificates;
};

// Passes that may be set against each other: they ended well, agree in backend and options, and each
// side's are of one machine class (a class both have, where there is one).
struct PassPair {
  std::string kind;   // backend with its options, as on the command line
  std::string backend;
  std::vector<const v1::PassInfo*> a, b;
};

// Every kind that both jobs have, by name. `notes` say what is left out. FAILED_PRECONDITION: no kind
// is common, or one job has no pass that ended well; says which and what to do.
absl::StatusOr<std::vector<PassPair>> PairPasses(const JobPasses& a, const JobPasses& b,
                                                 std::vector<std::string>* notes);

// Reads both sides:
//   program   "kernel time", the sum over a pass's launches; "span", of its trace; "wall", of its
//             process (not of replayed passes)
//   kernels   the median duration of a pass's launches
//   regions   the sum over a pass's instances, by role; never of a pass that disturbed its kernels
//   counters  of results, and of the table `counters`
// Times of kernels come from clean passes (perturbation.h) where both jobs have such, else from one kind
// of pass that both have. `backend` chooses whose regions; empty: those inside kernels before those of
// threads.
absl::StatusOr<MeasuredPair> Measure(const PassTables& tables, trace::Reader* reader,
                                     const JobPasses& a, const JobPasses& b,
                                     absl::string_view backend);

}  // namespace sextant::analysis
