// Which tenant holds which bytes, inside somebody's transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/store/database.h"

namespace sextant::store {

struct NewHoldings {
  std::string tenant;
  std::string submitter;
  std::vector<std::string> blobs;    // digests; those that are not there are left out
  std::vector<std::string> traces;   // likewise
};

// From now on held, or used again: what is used now is not collected. One statement, whatever the number.
void Hold(pqxx::transaction_base& tx, const std::vector<NewHoldings>& holdings);

// What a tenant holds, and may: its own quota, or where it has none `standard_bytes`. 0: no bound.
struct StoreRoom {
  uint64_t used = 0;
  uint64_t most = 0;
};
StoreRoom FindStoreRoom(pqxx::transaction_base& tx, const std::string& tenant, uint64_t standard_bytes);

// RESOURCE_EXHAUSTED, by the quota's name: `more_bytes` do not fit.
absl::Status CheckStored(const StoreRoom& room, const std::string& tenant, uint64_t more_bytes);

}  // namespace sextant::store
