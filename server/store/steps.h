// Steps that rows ask for and no client does: planning ready tasks, settling merged passes.
// Idempotent; any coordinator may take them. Each call is one or a few transactions.
#pragma once

#include "absl/status/statusor.h"
#include "server/store/database.h"

namespace sextant::store {

class StepStore {
 public:
  explicit StepStore(Database* database) : database_(database) {}

  // Turns up to a batch of ready tasks into passes. Returns how many tasks; call until 0.
  absl::StatusOr<int> PlanReady();

  // Passes that wait for an identical one: gives them its result, or makes the first of them the
  // one that runs when it was cancelled. Returns how many.
  absl::StatusOr<int> SettleMerged();

 private:
  Database* const database_;
};

}  // namespace sextant::store
