// What one transaction changes about a job, or about several at once: it holds their locks, moves
// tasks, lets the moves cascade (dependents become ready or fail, groups start and end, jobs end), and
// writes events. Each step is one statement, whatever the number of jobs and tasks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "sextant/v1/types.pb.h"
#include "server/store/job_row.h"

namespace pqxx {
class transaction_base;
}

namespace sextant::store {

// Where a task or pass ends.
struct TaskEnd {
  int64_t task_id = 0;
  v1::State state = v1::DONE;
  v1::Failure failure;          // for FAILED and CANCELLED
};

// Used on one thread inside one transaction. Throws what the driver throws: Database::Transact
// translates. Nothing is visible until Save and the commit. Methods without a job's id are for a
// change of one job.
class JobChange {
 public:
  JobChange(pqxx::transaction_base& tx, int64_t job_id);
  JobChange(pqxx::transaction_base& tx, const std::vector<int64_t>& job_ids);

  // Locks the jobs' rows, in the order of their ids. NOT_FOUND names one that is not there.
  absl::Status Lock();
  // Instead of Lock, for a job that this transaction has inserted: nobody else can see it.
  void Inserted(JobRow row);

  int64_t job_id() const { return jobs_.begin()->first; }
  v1::State state() const { return only().state; }
  bool open() const { return only().open; }
  bool fresh() const { return only().fresh; }
  const std::string& tenant() const { return only().tenant; }
  const std::string& tenant(int64_t job_id) const { return jobs_.at(job_id).tenant; }
  const std::string& submitter(int64_t job_id) const { return jobs_.at(job_id).submitter; }
  const std::string& submitter() const { return only().submitter; }
  const std::string& salt() const { return only().salt; }
  int priority() const { return only().priority; }
  pqxx::transaction_base& tx() { return tx_; }

  // Counts tasks just inserted into the job.
  void Added(int tasks) { only().added += tasks; }

  // Tasks that have just become ready: groups start, external tasks wait for their client; the
  // others are left for the planner.
  struct ReadyTask {
    int64_t job_id = 0;
    int64_t task_id = 0;
    std::string path;
    std::string kind;
    bool open = false;
    int children_open = 0;
  };
  void BecameReady(std::vector<ReadyTask> ready);

  // Ends tasks that have not ended yet, and all that follows from it. Passes of tasks that fail or
  // are cancelled leave the queue.
  void End(std::vector<TaskEnd> ends);

  // Tasks whose rows this transaction has just set to DONE: what follows from it.
  struct Ended {
    int64_t job_id = 0;
    int64_t task_id = 0;
    int64_t parent_id = 0;
    std::string path;
    v1::State state = v1::DONE;
    v1::Failure failure;
  };
  void AreDone(std::vector<Ended> done);

  // Closes the job, or one of its groups (task_id; 0: the job), to further tasks.
  void Seal(int64_t group_task_id);

  // Something of the job runs.
  void MarkStarted() { only().started = true; }
  void MarkStarted(int64_t job_id) { jobs_.at(job_id).started = true; }

  // The whole job failed, even if no task was left to fail.
  void FailJob(const v1::Failure& failure) {
    only().fails = true;
    only().first_failure = failure;
  }

  // The whole job is cancelled: it ends as such even if no task was left to cancel.
  void MarkCancelled() { only().is_cancelled = true; }

  // Notes an event; seq and the time are filled in by Save.
  void Note(int64_t job_id, v1::Event event);
  void Note(v1::Event event) { Note(job_id(), std::move(event)); }

  // Writes the jobs' rows and their events. The last call.
  void Save();

 private:
  const JobRow& only() const;
  JobRow& only() { return const_cast<JobRow&>(std::as_const(*this).only()); }
  std::vector<Ended> UpdateEnded(const std::vector<TaskEnd>& ends);
  // What ends because those did.
  std::vector<TaskEnd> Follow(const std::vector<Ended>& ended);
  void NoteEnded(const Ended& task);
  void RemovePasses(const std::vector<int64_t>& task_ids, v1::State state);
  void ReadyDependents(const std::vector<int64_t>& done);
  std::vector<TaskEnd> FollowersOf(const std::vector<Ended>& failed);
  std::vector<TaskEnd> CountInParents(const std::vector<Ended>& ended);
  TaskEnd EndOfGroup(int64_t task_id);
  std::string JobIds() const;

  pqxx::transaction_base& tx_;
  std::map<int64_t, JobRow> jobs_;
};

// A failure in one line of code.
v1::Failure MakeFailure(v1::Cause cause, const std::string& step, const std::string& message,
                        const std::string& remedy = "");

}  // namespace sextant::store
