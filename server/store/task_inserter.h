// Inserts the tasks and edges of a graph into a job, inside a transaction that holds the job's lock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/job/graph.h"
#include "server/store/job_change.h"
#include "server/store/quotas.h"

namespace sextant::store {

// `graph` outlives it.
class TaskInserter {
 public:
  TaskInserter(JobChange& change, const job::ExpandedGraph& graph)
      : change_(change), graph_(graph) {}

  // Resolves paths of tasks already in the job; only for AddTasks. INVALID_ARGUMENT, or
  // FAILED_PRECONDITION when a group is sealed or a predecessor failed.
  absl::Status ResolveOuter();

  // Returns the ids, in the order of graph.tasks. Tasks with nothing to wait for are inserted ready.
  std::vector<int64_t> Insert();

  // Groups and externals start, and the first few others are planned at once.
  void Start(const QueueRoom& room);
  // How many passes the tasks ask for, those of `auto` counted as one each.
  static uint64_t PassesAsked(const job::ExpandedGraph& graph);
  static uint64_t PassesAsked(const v1::TaskSpec& task);

 private:
  struct Outer {
    int64_t task_id = 0;
    std::string kind;
    v1::State state = v1::WAITING;
    bool open = false;
  };

  // The paths that `name` may mean in the place of `task`, nearest first.
  static std::vector<std::string> Candidates(const job::ExpandedTask& task,
                                             const std::string& name);
  const Outer* FindOuter(const job::ExpandedTask& task, const std::string& name) const;
  absl::Status CheckOuter(const job::ExpandedTask& task) const;
  void ReserveIds(int n);
  int64_t ParentId(int i) const;
  void CountWaits();
  void InsertEdges();

  JobChange& change_;
  const job::ExpandedGraph& graph_;
  absl::flat_hash_map<std::string, Outer> outer_;   // tasks already in the job, by path
  std::vector<int64_t> ids_;
  std::vector<int> waits_;
};

}  // namespace sextant::store
