// What one transaction changes about one job: it holds the job's lock, moves tasks, lets the moves
// cascade (dependents become ready or fail, groups start and end, the job ends), and writes events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "sextant/v1/types.pb.h"

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
// translates. Nothing is visible until Save and the commit.
class JobChange {
 public:
  // Locks the job's row. NOT_FOUND names the id.
  JobChange(pqxx::transaction_base& tx, int64_t job_id) : tx_(tx), job_id_(job_id) {}
  absl::Status Lock();

  int64_t job_id() const { return job_id_; }
  v1::State state() const { return state_; }
  bool open() const { return open_; }
  bool fresh() const { return fresh_; }
  const std::string& submitter() const { return submitter_; }
  const std::string& salt() const { return salt_; }
  int priority() const { return priority_; }
  pqxx::transaction_base& tx() { return tx_; }

  // Counts tasks just inserted into the job.
  void Added(int tasks) { added_ += tasks; }

  // Tasks that have just become ready: groups start, external tasks wait for their client; the
  // others are left for the planner.
  struct ReadyTask {
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

  // Closes the job, or one of its groups (task_id; 0: the job), to further tasks.
  void Seal(int64_t group_task_id);

  // Something of the job runs.
  void MarkStarted() { started_ = true; }

  // The whole job failed, even if no task was left to fail.
  void FailJob(const v1::Failure& failure) {
    fail_ = true;
    first_failure_ = failure;
  }

  // The whole job is cancelled: it ends as such even if no task was left to cancel.
  void MarkCancelled() { cancel_ = true; }

  // Notes an event; seq, job_id and the time are filled in by Save.
  void Note(v1::Event event);

  // Writes the job's row and its events. The last call.
  void Save();

 private:
  struct Ended {
    int64_t task_id = 0;
    int64_t parent_id = 0;
    std::string path;
    std::string kind;
    v1::State state = v1::DONE;
    v1::Failure failure;
  };
  std::vector<Ended> UpdateEnded(const std::vector<TaskEnd>& ends);
  void RemovePasses(const std::vector<int64_t>& task_ids, v1::State state);
  void ReadyDependents(const std::vector<int64_t>& done);
  std::vector<TaskEnd> FollowersOf(const std::vector<Ended>& failed);
  std::vector<TaskEnd> CountInParents(const std::vector<Ended>& ended);
  TaskEnd EndOfGroup(int64_t task_id);

  pqxx::transaction_base& tx_;
  const int64_t job_id_;
  v1::State state_ = v1::WAITING;
  bool open_ = false;
  bool cancel_ = false;
  bool fail_ = false;
  bool fresh_ = false;
  std::string submitter_, salt_;
  int priority_ = 0;
  int tasks_open_ = 0, tasks_failed_ = 0, tasks_cancelled_ = 0;
  int added_ = 0;
  int done_ = 0, failed_ = 0, cancelled_ = 0;      // deltas
  bool started_ = false;
  v1::Failure first_failure_;
  std::vector<v1::Event> events_;
};

// A failure in one line of code.
v1::Failure MakeFailure(v1::Cause cause, const std::string& step, const std::string& message,
                        const std::string& remedy = "");

}  // namespace sextant::store
