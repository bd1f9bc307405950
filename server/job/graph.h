// From a submitted graph to rows: validation and flattening, without I/O.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::job {

// A task as it becomes a row. Indices point into ExpandedGraph::tasks.
struct ExpandedTask {
  const v1::TaskSpec* spec;       // borrowed from the graph
  std::string path;               // "group/name"
  absl::string_view kind;          // "build", "profile", …, "job" for groups
  int parent = -1;                // index, or −1: top level or under `outer_parent`
  std::string outer_parent;       // path of a group already in the job (AddTasks)
  std::vector<int> after;         // indices, unique
  std::vector<std::string> outer_after;  // paths of tasks already in the job (AddTasks)
};

struct ExpandedGraph {
  std::vector<ExpandedTask> tasks;          // parents before children
  std::vector<std::string> blob_digests;    // unique; all must be there
};

// Checks every field against `limits`; fills defaults of resource limits in place. Errors are
// INVALID_ARGUMENT (or RESOURCE_EXHAUSTED for counts) and begin with the field's path:
// "graph.tasks[3].name: …". Cycles are refused naming the tasks on it.
absl::StatusOr<ExpandedGraph> Expand(const v1::ServiceLimits& limits, v1::JobGraph* graph);

// The same for tasks added to a job: names that are not among `tasks` are left as outer paths for
// the store to resolve.
absl::StatusOr<ExpandedGraph> ExpandAdded(const v1::ServiceLimits& limits,
                                          google::protobuf::RepeatedPtrField<v1::TaskSpec>* tasks);

// SHA-256 of the graph's canonical serialization: what a request id is compared by.
std::string GraphDigest(const v1::JobGraph& graph);
std::string TasksDigest(const google::protobuf::RepeatedPtrField<v1::TaskSpec>& tasks);

// The workload of a task that runs one, else null.
const v1::Workload* WorkloadOf(const v1::TaskSpec& spec);
v1::Workload* MutableWorkloadOf(v1::TaskSpec* spec);

}  // namespace sextant::job
