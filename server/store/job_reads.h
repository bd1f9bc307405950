// Jobs, tasks, passes and events as clients see them. Reading only.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/job/graph.h"
#include "server/store/database.h"
#include "server/store/reach.h"

namespace sextant::store {

class JobReads {
 public:
  explicit JobReads(Database* database) : database_(database) {}

  // NOT_FOUND names the id.
  absl::StatusOr<v1::GetJobResponse> Get(const v1::GetJobRequest& request, uint32_t max_page_size);
  absl::StatusOr<v1::JobInfo> Job(int64_t job_id);
  absl::StatusOr<v1::TaskInfo> Task(int64_t job_id, const std::string& path);
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request, uint32_t max_page_size,
                                            const Reach& reach);
  absl::StatusOr<v1::ListPassesResponse> Passes(const v1::ListPassesRequest& request,
                                                uint32_t max_page_size);
  absl::StatusOr<v1::ExplainJobResponse> Explain(int64_t job_id);
  // What the graph would run now (plan_preview.cc). Inputs that other tasks leave are not known yet, so
  // tasks with inputs count as not cached.
  absl::StatusOr<v1::PlanJobResponse> PreviewPlan(const v1::JobGraph& spec,
                                                  const job::ExpandedGraph& graph,
                                                  const std::string& tenant);

  // Events of several jobs, each after its own cursor, in order; at most `limit` per job.
  absl::StatusOr<std::vector<v1::Event>> EventsAfter(const std::map<int64_t, int64_t>& cursors,
                                                     int limit);

  // Fills ready_passes, running_passes, workers and duplicate_commits, as far as the reach goes: of the
  // workers all are told of, but not what somebody else's passes say against one.
  absl::Status Describe(v1::ServiceDescription* description, const Reach& reach);

 private:
  Database* const database_;
};

}  // namespace sextant::store
