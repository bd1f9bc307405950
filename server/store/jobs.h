// Jobs and tasks as rows: what clients change. Each call is one transaction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/job/graph.h"
#include "server/store/database.h"
#include "server/store/reach.h"

namespace sextant::store {

// Whose a new job is, and which blobs it may use: what it uses becomes the tenant's.
struct Owner {
  std::string tenant;
  Reach blobs;
};

class JobStore {
 public:
  explicit JobStore(Database* database) : database_(database) {}

  struct Accepted {
    int64_t job_id = 0;
    bool existing = false;
  };
  // FAILED_PRECONDITION names the first missing blobs; ALREADY_EXISTS: the request id was used with
  // another graph.
  absl::StatusOr<Accepted> Submit(const v1::SubmitJobRequest& request,
                                  const job::ExpandedGraph& graph,
                                  const v1::ServiceLimits& limits, const Owner& owner);

  absl::StatusOr<v1::AddTasksResponse> AddTasks(const v1::AddTasksRequest& request,
                                                const job::ExpandedGraph& graph,
                                                const v1::ServiceLimits& limits, const Reach& blobs);
  absl::Status Seal(const v1::SealJobRequest& request);

  // Passes that were running and must be stopped are gone from the queue afterwards; workers learn
  // it by comparing.
  absl::Status Cancel(const v1::CancelJobRequest& request);

  absl::Status CompleteExternal(const v1::CompleteTaskRequest& request, const Reach& blobs);

  // Fails what is past its deadline. Returns how many tasks.
  absl::StatusOr<int> FailOverdue();

 private:
  Database* const database_;
};

}  // namespace sextant::store
