// Planning a ready task into passes: which backend, on what kind of machine, under which cache key.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/job/keys.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::job {

// Identical passes that a task asks for: samples 0…repeat−1 of one key.
struct PlannedPasses {
  v1::PassSpec spec;                  // repeat: how many
  int pool = 0;                       // store::Pool
  std::vector<std::string> needs;     // offers a worker must make
  CacheKey key;                       // digest empty: not cached
};

struct PlanContext {
  std::vector<v1::WorkerInfo> workers;   // known, best first: live before dead
  std::string salt;
  std::string tenant = kDefaultTenant;
};

// The passes of `task`, whose workload's inputs are resolved. FAILED_PRECONDITION: no known worker
// offers what a pass needs; the message names the backend and why workers do not have it. Optional
// passes that nobody offers are left out while others remain.
absl::StatusOr<std::vector<PlannedPasses>> PlanTask(const PlanContext& context,
                                                    const v1::TaskSpec& task);

// What a worker's CPU slot, or one of its devices, offers; the queue's `needs` are matched against
// it: "backend:host", "class:<machine class>", "rootfs:/prefix", "device:gpu". Sorted, unique.
std::vector<std::string> SlotOffers(const v1::WorkerInfo& info);
std::vector<std::string> DeviceOffers(const v1::WorkerInfo& info, const v1::Device& device);

// "build", "profile", … of a task; groups are "job".
absl::string_view KindOf(const v1::TaskSpec& task);

}  // namespace sextant::job
