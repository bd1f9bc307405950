// Who waited for whom: the table `barriers` of a pass (docs/tables.md) as edges from a signal to a wait.
#pragma once

#include <cstdint>
#include <vector>

#include "sextant/v1/table.pb.h"

namespace sextant::analysis {

// Rows of the table. The wait ended because of the signal, the last of those that completed its slot.
struct BarrierEdge {
  uint64_t signal = 0;
  uint64_t wait = 0;
};

// As MatchBarriers has it (server/analysis/barrier_match.h), CTA by CTA. Empty where a column is missing.
std::vector<BarrierEdge> BarrierEdges(const v1::DataTable& barriers);

}  // namespace sextant::analysis
