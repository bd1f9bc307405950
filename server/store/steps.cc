#include "server/store/steps.h"

#include <map>

#include "proto/status/status.h"
#include "server/store/pass_moves.h"
#include "server/store/planning.h"
#include "server/store/pq.h"
#include "server/store/task_inserter.h"

namespace sextant::store {
namespace {
constexpr int kPlanBatch = 256;    // tasks a transaction
constexpr int kSettleBatch = 1000; // passes looked at in one go
}  // namespace

absl::StatusOr<int> StepStore::PlanReady() {
  // Which job has something to plan: looked up first, because the job's lock comes before its tasks.
  int64_t job_id = 0;
  RETURN_IF_ERROR(database_->Read("plan-find", [&](pqxx::transaction_base& tx) {
    const auto rows = ExecPrepared(
        tx,
        "SELECT job_id FROM tasks WHERE state = 2 AND NOT planned AND plan_after <= now() "
        "ORDER BY plan_after, task_id LIMIT 1");
    job_id = rows.empty() ? 0 : rows[0][0].as<int64_t>();
    return absl::OkStatus();
  }));
  if (job_id == 0) return 0;
  int planned = 0;
  RETURN_IF_ERROR(database_->Transact("plan", [&](pqxx::transaction_base& tx) {
    JobChange change(tx, job_id);
    RETURN_IF_ERROR(change.Lock());
    const auto rows = ExecPrepared(
        tx,
        "SELECT task_id, path, priority, spec FROM tasks "
        "WHERE job_id = $1 AND state = 2 AND NOT planned AND plan_after <= now() "
        "ORDER BY task_id LIMIT $2",
        job_id, kPlanBatch);
    std::vector<TaskToPlan> tasks;
    for (const auto& row : rows) {
      auto& task = tasks.emplace_back();
      task.task_id = row[0].as<int64_t>();
      task.path = row[1].c_str();
      task.priority = row[2].as<int>();
      task.spec.ParseFromString(FieldBytes(row[3]));
    }
    planned = static_cast<int>(tasks.size());
    uint64_t passes = 0;
    for (const auto& task : tasks) passes += TaskInserter::PassesAsked(task.spec);
    PlanTasks(change, KnownWorkers(tx), FindQueueRoom(tx, change.tenant(), max_queued_passes_, passes),
              std::move(tasks));
    change.Save();
    return absl::OkStatus();
  }));
  return planned;
}

absl::StatusOr<int> StepStore::SettleMerged() {
  std::map<int64_t, std::vector<int64_t>> followers;  // by job
  RETURN_IF_ERROR(database_->Read("settle-find", [&](pqxx::transaction_base& tx) {
    followers.clear();
    const auto rows = ExecPrepared(
        tx,
        "SELECT f.job_id, f.pass_id FROM passes f JOIN passes s ON s.pass_id = f.source_pass_id "
        "WHERE f.state = 1 AND s.state > 3 ORDER BY f.pass_id LIMIT $1",
        kSettleBatch);
    for (const auto& row : rows)
      followers[row[0].as<int64_t>()].push_back(row[1].as<int64_t>());
    return absl::OkStatus();
  }));
  int settled = 0;
  for (const auto& [job_id, pass_ids] : followers) {
    RETURN_IF_ERROR(database_->Transact("settle", [&, job = job_id](pqxx::transaction_base& tx) {
      JobChange change(tx, job);
      RETURN_IF_ERROR(change.Lock());
      SettleFollowers(change, pass_ids);
      change.Save();
      return absl::OkStatus();
    }));
    settled += static_cast<int>(pass_ids.size());
  }
  return settled;
}

}  // namespace sextant::store
