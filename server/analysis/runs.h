// Runs (one CTA of one launch in one pass) of a kernel whose warps waited on barriers: which there are,
// and what happened in some of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/analysis/barrier_rows.h"
#include "server/analysis/event_graph.h"
#include "server/analysis/evidence.h"
#include "server/analysis/path_steps.h"

namespace sextant::analysis {

struct RunSpan {
  const v1::PassInfo* pass = nullptr;
  RunKey key;
  double span_ns = 0;       // from the begin of the CTA to its last event
  double ns_per_unit = 1;
  uint64_t events = 0;
};

// What happened in one run.
struct RecordedRun {
  RunSpan of;
  std::vector<RunWarp> warps;
};

// Owns the names of regions, roles and barriers, which are the same for all passes. Warps that named no role
// are one, "all warps". One thread.
class Runs {
 public:
  explicit Runs(const Evidence& evidence) : evidence_(evidence) {}

  // Adds the pass's runs that have waits to spans(); of more than 65,536 in a pass a fixed choice by
  // launch and CTA.
  absl::Status Scan(const v1::PassInfo& pass);
  std::vector<RunSpan>& spans() { return spans_; }
  bool left_out() const { return left_out_; }
  uint64_t waits() const { return waits_; }
  uint64_t signals() const { return signals_; }

  // Reads runs of one pass; in the order of `spans`.
  absl::StatusOr<std::vector<RecordedRun>> Read(const v1::PassInfo& pass,
                                                absl::Span<const RunSpan> spans);

  const RunNames& names() const { return names_; }

 private:
  uint32_t Intern(std::vector<std::string>* names, absl::flat_hash_map<std::string, uint32_t>* ids,
                  std::string_view name);

  const Evidence& evidence_;
  std::vector<RunSpan> spans_;
  bool left_out_ = false;
  uint64_t waits_ = 0;
  uint64_t signals_ = 0;
  RunNames names_;
  absl::flat_hash_map<std::string, uint32_t> region_ids_, role_ids_, barrier_ids_;
};

}  // namespace sextant::analysis
