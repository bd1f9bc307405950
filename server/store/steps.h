// Steps that rows ask for and no client does: planning ready tasks, settling merged passes.
// Idempotent; any coordinator may take them. Each call is one or a few transactions.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "server/store/database.h"

namespace sextant::store {

class StepStore {
 public:
  // `max_queued_passes`: of a tenant without a quota of its own; 0: no bound.
  explicit StepStore(Database* database, uint64_t max_queued_passes = 0)
      : database_(database), max_queued_passes_(max_queued_passes) {}

  // Turns up to a batch of ready tasks into passes. Returns how many tasks; call until 0.
  absl::StatusOr<int> PlanReady();

  // Passes that wait for an identical one: gives them its result, or makes the first of them the
  // one that runs when it was cancelled. Returns how many.
  absl::StatusOr<int> SettleMerged();

 private:
  Database* const database_;
  const uint64_t max_queued_passes_;
};

}  // namespace sextant::store
