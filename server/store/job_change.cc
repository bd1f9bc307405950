#include "server/store/job_change.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/job/states.h"
#include "server/store/pq.h"

namespace sextant::store {

v1::Failure MakeFailure(v1::Cause cause, const std::string& step, const std::string& message,
                        const std::string& remedy) {
  v1::Failure failure;
  failure.set_cause(cause);
  failure.set_step(step);
  failure.set_message(message);
  failure.set_remedy(remedy);
  return failure;
}

absl::Status JobChange::Lock() {
  const auto rows = ExecPrepared(
      tx_,
      "SELECT state, open, fresh, submitter, salt, priority, tasks_open, tasks_failed, "
      "tasks_cancelled FROM jobs WHERE job_id = $1 FOR UPDATE",
      job_id_);
  if (rows.empty()) return absl::NotFoundError(absl::StrCat("there is no job ", job_id_));
  const auto& row = rows[0];
  state_ = static_cast<v1::State>(row[0].as<int>());
  open_ = row[1].as<bool>();
  fresh_ = row[2].as<bool>();
  submitter_ = row[3].c_str();
  salt_ = row[4].c_str();
  priority_ = row[5].as<int>();
  tasks_open_ = row[6].as<int>();
  tasks_failed_ = row[7].as<int>();
  tasks_cancelled_ = row[8].as<int>();
  return absl::OkStatus();
}

void JobChange::BecameReady(std::vector<ReadyTask> ready) {
  std::vector<int64_t> groups, externals;
  std::vector<TaskEnd> empty_groups;
  for (const auto& task : ready) {
    if (task.kind == "job") {
      groups.push_back(task.task_id);
      if (task.children_open == 0 && !task.open)
        empty_groups.push_back({task.task_id, v1::DONE, {}});
    } else if (task.kind == "external") {
      externals.push_back(task.task_id);
      v1::Event event;
      event.set_task_id(task.task_id);
      event.set_task(task.path);
      event.set_what("started");
      event.set_state(v1::RUNNING);
      event.set_message("waits for its result from a client (CompleteTask)");
      Note(std::move(event));
    }
  }
  if (!groups.empty() || !externals.empty()) {
    std::vector<int64_t> all = groups;
    all.insert(all.end(), externals.begin(), externals.end());
    ExecPrepared(tx_,
                 "UPDATE tasks SET state = 3, planned = true, started_at = now() "
                 "WHERE task_id = ANY($1::bigint[]) AND state = 2",
                 Int64Array(all));
    started_ = true;
  }
  if (!groups.empty()) {
    const auto rows = ExecPrepared(tx_,
                                   "UPDATE tasks SET waiting_on = waiting_on - 1, "
                                   "  state = CASE WHEN waiting_on = 1 THEN 2 ELSE state END "
                                   "WHERE parent_id = ANY($1::bigint[]) AND state = 1 "
                                   "RETURNING task_id, path, kind, open, children_open, state",
                                   Int64Array(groups));
    std::vector<ReadyTask> children;
    for (const auto& row : rows) {
      if (row[5].as<int>() != v1::READY) continue;
      children.push_back({row[0].as<int64_t>(), row[1].c_str(), row[2].c_str(), row[3].as<bool>(),
                          row[4].as<int>()});
    }
    if (!children.empty()) BecameReady(std::move(children));
  }
  if (!empty_groups.empty()) End(std::move(empty_groups));
}

void JobChange::End(std::vector<TaskEnd> ends) {
  while (!ends.empty()) {
    const std::vector<Ended> ended = UpdateEnded(ends);
    ends.clear();
    if (ended.empty()) return;
    std::vector<int64_t> done, cancelled, failed_ids;
    std::vector<Ended> failed;
    for (const auto& task : ended) {
      if (task.state == v1::DONE) {
        done.push_back(task.task_id);
        continue;
      }
      (task.state == v1::CANCELLED ? cancelled : failed_ids).push_back(task.task_id);
      failed.push_back(task);
    }
    std::vector<int64_t> stopped = cancelled;
    stopped.insert(stopped.end(), failed_ids.begin(), failed_ids.end());
    if (!stopped.empty()) RemovePasses(stopped, v1::CANCELLED);
    if (!failed.empty()) ends = FollowersOf(failed);
    for (auto& end : CountInParents(ended)) ends.push_back(std::move(end));
    if (!done.empty()) ReadyDependents(done);
  }
}

std::vector<JobChange::Ended> JobChange::UpdateEnded(const std::vector<TaskEnd>& ends) {
  ArrayLiteral ids, states, failures;
  absl::flat_hash_map<int64_t, const TaskEnd*> by_id;
  for (const auto& end : ends) {
    if (!by_id.emplace(end.task_id, &end).second) continue;
    ids.Add(end.task_id);
    states.Add(end.state);
    if (end.state == v1::DONE) {
      failures.AddNull();
    } else {
      failures.AddBytes(end.failure.SerializeAsString());
    }
  }
  const auto rows = ExecPrepared(
      tx_,
      "UPDATE tasks t SET state = e.state, finished_at = now(), failure = e.failure "
      "FROM unnest($1::bigint[], $2::smallint[], $3::bytea[]) AS e(id, state, failure) "
      "WHERE t.task_id = e.id AND t.state < 4 AND t.job_id = $4 "
      "RETURNING t.task_id, coalesce(t.parent_id, 0), t.path, t.kind, t.state",
      ids.Finish(), states.Finish(), failures.Finish(), job_id_);
  std::vector<Ended> ended;
  for (const auto& row : rows) {
    Ended task{row[0].as<int64_t>(),
               row[1].as<int64_t>(),
               row[2].c_str(),
               row[3].c_str(),
               static_cast<v1::State>(row[4].as<int>()),
               {}};
    task.failure = by_id[task.task_id]->failure;
    v1::Event event;
    event.set_task_id(task.task_id);
    event.set_task(task.path);
    event.set_state(task.state);
    event.set_message(task.failure.message());
    switch (task.state) {
      case v1::DONE:
        ++done_;
        event.set_what("finished");
        break;
      case v1::CANCELLED:
        ++cancelled_;
        event.set_what("cancelled");
        break;
      default:
        ++failed_;
        event.set_what("failed");
        if (first_failure_.cause() == v1::CAUSE_UNSPECIFIED) {
          first_failure_ = task.failure;
          first_failure_.set_message(
              absl::StrCat("task ", task.path, ": ", task.failure.message()));
        }
    }
    Note(std::move(event));
    ended.push_back(std::move(task));
  }
  return ended;
}

void JobChange::RemovePasses(const std::vector<int64_t>& task_ids, v1::State state) {
  const std::string ids = Int64Array(task_ids);
  ExecPrepared(tx_, "DELETE FROM queue WHERE task_id = ANY($1::bigint[])", ids);
  ExecPrepared(
      tx_,
      "WITH gone AS (UPDATE passes SET state = $2, finished_at = now() "
      "  WHERE task_id = ANY($1::bigint[]) AND state < 4 RETURNING pass_id, task_id), "
      "counted AS (UPDATE tasks t SET passes_cancelled = passes_cancelled + c.n FROM "
      "  (SELECT task_id, count(*) AS n FROM gone GROUP BY task_id) c WHERE t.task_id = c.task_id) "
      "DELETE FROM samples s USING gone g WHERE s.pass_id = g.pass_id AND NOT s.done",
      ids, static_cast<int>(state));
}

void JobChange::ReadyDependents(const std::vector<int64_t>& done) {
  const auto rows =
      ExecPrepared(tx_,
                   "UPDATE tasks t SET waiting_on = t.waiting_on - e.n, "
                   "  state = CASE WHEN t.waiting_on = e.n THEN 2 ELSE t.state END "
                   "FROM (SELECT to_task, count(*) AS n FROM task_edges "
                   "      WHERE from_task = ANY($1::bigint[]) GROUP BY to_task) e "
                   "WHERE t.task_id = e.to_task AND t.state = 1 "
                   "RETURNING t.task_id, t.path, t.kind, t.open, t.children_open, t.state",
                   Int64Array(done));
  std::vector<ReadyTask> ready;
  for (const auto& row : rows) {
    if (row[5].as<int>() != v1::READY) continue;
    ready.push_back({row[0].as<int64_t>(), row[1].c_str(), row[2].c_str(), row[3].as<bool>(),
                     row[4].as<int>()});
  }
  if (!ready.empty()) BecameReady(std::move(ready));
}

std::vector<TaskEnd> JobChange::FollowersOf(const std::vector<Ended>& failed) {
  absl::flat_hash_map<int64_t, const Ended*> by_id;
  std::vector<int64_t> ids;
  for (const auto& task : failed) {
    by_id[task.task_id] = &task;
    ids.push_back(task.task_id);
  }
  // Those that wait for a failed task, and those inside a failed group.
  const auto rows = ExecPrepared(
      tx_,
      "SELECT t.task_id, e.from_task, true FROM task_edges e JOIN tasks t ON t.task_id = e.to_task "
      "WHERE e.from_task = ANY($1::bigint[]) AND t.state = 1 "
      "UNION ALL "
      "SELECT task_id, parent_id, false FROM tasks WHERE parent_id = ANY($1::bigint[]) AND state < "
      "4",
      Int64Array(ids));
  std::vector<TaskEnd> ends;
  for (const auto& row : rows) {
    const Ended& cause = *by_id[row[1].as<int64_t>()];
    const bool waits = row[2].as<bool>();
    TaskEnd end;
    end.task_id = row[0].as<int64_t>();
    end.state = cause.state;
    if (cause.state == v1::CANCELLED) {
      end.failure = cause.failure;
    } else {
      end.failure = MakeFailure(
          v1::INPUT_FAILED, "plan",
          absl::StrCat(waits ? "it waits for task " : "its group ", cause.path,
                       waits ? ", which failed: " : " failed: ", cause.failure.message()),
          "mend that task and submit again; what was done is answered from the cache");
      if (cause.failure.cause() == v1::INPUT_FAILED)
        end.failure.set_message(cause.failure.message());
    }
    ends.push_back(std::move(end));
  }
  return ends;
}

std::vector<TaskEnd> JobChange::CountInParents(const std::vector<Ended>& ended) {
  absl::flat_hash_map<int64_t, int64_t> counts;
  for (const auto& task : ended)
    if (task.parent_id != 0) ++counts[task.parent_id];
  if (counts.empty()) return {};
  ArrayLiteral ids, ns;
  for (const auto& [id, n] : counts) {
    ids.Add(id);
    ns.Add(n);
  }
  const auto rows =
      ExecPrepared(tx_,
                   "UPDATE tasks t SET children_open = t.children_open - e.n "
                   "FROM unnest($1::bigint[], $2::integer[]) AS e(id, n) WHERE t.task_id = e.id "
                   "RETURNING t.task_id, t.children_open, t.open, t.state",
                   ids.Finish(), ns.Finish());
  std::vector<TaskEnd> ends;
  for (const auto& row : rows) {
    if (row[1].as<int>() == 0 && !row[2].as<bool>() && row[3].as<int>() == v1::RUNNING)
      ends.push_back(EndOfGroup(row[0].as<int64_t>()));
  }
  return ends;
}

TaskEnd JobChange::EndOfGroup(int64_t task_id) {
  TaskEnd end;
  end.task_id = task_id;
  const auto rows = ExecPrepared(
      tx_,
      "SELECT path, state, failure FROM tasks WHERE parent_id = $1 AND state IN (5, 6) "
      "ORDER BY state, finished_at, task_id LIMIT 1",
      task_id);
  if (rows.empty()) return end;
  end.state = static_cast<v1::State>(rows[0][1].as<int>());
  end.failure.ParseFromString(FieldBytes(rows[0][2]));
  if (end.state == v1::FAILED)
    end.failure.set_message(absl::StrCat("task ", rows[0][0].c_str(), ": ", end.failure.message()));
  return end;
}

void JobChange::Seal(int64_t group_task_id) {
  if (group_task_id == 0) {
    if (open_) {
      v1::Event event;
      event.set_what("sealed");
      event.set_state(state_);
      Note(std::move(event));
    }
    open_ = false;
    return;
  }
  const auto rows = ExecPrepared(
      tx_, "UPDATE tasks SET open = false WHERE task_id = $1 RETURNING children_open, state",
      group_task_id);
  if (!rows.empty() && rows[0][0].as<int>() == 0 && rows[0][1].as<int>() == v1::RUNNING)
    End({EndOfGroup(group_task_id)});
}

void JobChange::Note(v1::Event event) { events_.push_back(std::move(event)); }

void JobChange::Save() {
  tasks_open_ += added_ - done_ - failed_ - cancelled_;
  const v1::State before = state_;
  if (state_ == v1::WAITING && (started_ || done_ + failed_ > 0)) state_ = v1::RUNNING;
  if (tasks_open_ == 0 && !open_ && !job::IsFinal(before)) {
    if (fail_ || tasks_failed_ + failed_ > 0) {
      state_ = v1::FAILED;
    } else if (cancel_ || tasks_cancelled_ + cancelled_ > 0) {
      state_ = v1::CANCELLED;
    } else {
      state_ = v1::DONE;
    }
  }
  if (state_ != before && job::IsFinal(state_)) {
    v1::Event event;
    event.set_what(state_ == v1::DONE ? "finished" : state_ == v1::FAILED ? "failed" : "cancelled");
    event.set_state(state_);
    event.set_message(first_failure_.message());
    Note(std::move(event));
  }
  const std::string failure = first_failure_.cause() == v1::CAUSE_UNSPECIFIED
                                  ? std::string()
                                  : first_failure_.SerializeAsString();
  const auto rows = ExecPrepared(
      tx_,
      "UPDATE jobs SET state = $2::smallint, open = $3, tasks = tasks + $4, tasks_open = $5, "
      "  tasks_done = tasks_done + $6, tasks_failed = tasks_failed + $7, "
      "  tasks_cancelled = tasks_cancelled + $8, next_seq = next_seq + $9, "
      "  failure = coalesce(failure, nullif($10::bytea, ''::bytea)), "
      "  started_at = CASE WHEN started_at IS NULL AND $2::smallint > 1 THEN now() ELSE started_at "
      "END, "
      "  finished_at = CASE WHEN $2::smallint > 3 THEN coalesce(finished_at, now()) END "
      "WHERE job_id = $1 RETURNING next_seq - $9",
      job_id_, static_cast<int>(state_), open_, added_, tasks_open_, done_, failed_, cancelled_,
      static_cast<int64_t>(events_.size()), Bytes(failure));
  if (events_.empty()) return;
  int64_t seq = rows[0][0].as<int64_t>();
  const int64_t now_ns = absl::ToUnixNanos(absl::Now());
  ArrayLiteral seqs, bodies;
  for (auto& event : events_) {
    event.set_seq(seq);
    event.set_job_id(job_id_);
    if (event.at_unix_ns() == 0) event.set_at_unix_ns(now_ns);
    seqs.Add(seq++);
    bodies.AddBytes(event.SerializeAsString());
  }
  ExecPrepared(tx_,
               "INSERT INTO events (job_id, seq, event) "
               "SELECT $1, e.seq, e.body FROM unnest($2::bigint[], $3::bytea[]) AS e(seq, body)",
               job_id_, seqs.Finish(), bodies.Finish());
  events_.clear();
}

}  // namespace sextant::store
