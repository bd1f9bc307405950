// Turning ready tasks of one job into passes, inside a transaction that holds the job's lock.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/job/plan.h"
#include "server/store/job_change.h"
#include "server/store/quotas.h"

namespace sextant::store {

struct TaskToPlan {
  int64_t task_id = 0;
  std::string path;
  int priority = 0;          // the task's own
  v1::TaskSpec spec;
};

// The kinds of workers there are, live ones first; each kind once.
std::vector<v1::WorkerInfo> KnownWorkers(pqxx::transaction_base& tx);

// Those that are heard of and not in quarantine; each kind once.
std::vector<v1::WorkerInfo> LiveWorkers(pqxx::transaction_base& tx);

// How long passes of this program took the tenant here lately, in the mean; 0: none is known.
double MeanPassSeconds(pqxx::transaction_base& tx, const std::string& tenant, const std::string& program,
                       const std::string& backend, const std::string& kind);
// What the task's program takes alone, or job::kTypicalRunS.
double RunSeconds(pqxx::transaction_base& tx, const std::string& tenant, const v1::TaskSpec& task);

// Makes the passes of each task: answered from the cache, merged with one in flight, or queued. A
// task that no worker can run, or whose passes the tenant's queue does not take now, stays ready with a note
// and is tried again later; one whose inputs are missing, or that asks for more passes than the queue ever
// takes, fails.
void PlanTasks(JobChange& change, const std::vector<v1::WorkerInfo>& workers, QueueRoom room,
               std::vector<TaskToPlan> tasks);

}  // namespace sextant::store
