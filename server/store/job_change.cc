#include "server/store/job_change.h"

#include <cstdlib>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

// Of rows (job_id, task_id, path, kind, open, children_open, state): those that are ready.
std::vector<JobChange::ReadyTask> ReadyAmong(const pqxx::result& rows) {
  std::vector<JobChange::ReadyTask> ready;
  for (const auto& row : rows) {
    if (row[6].as<int>() != v1::READY) continue;
    ready.push_back({row[0].as<int64_t>(), row[1].as<int64_t>(), row[2].c_str(), row[3].c_str(),
                     row[4].as<bool>(), row[5].as<int>()});
  }
  return ready;
}

}  // namespace

v1::Failure MakeFailure(v1::Cause cause, const std::string& step, const std::string& message,
                        const std::string& remedy) {
  v1::Failure failure;
  failure.set_cause(cause);
  failure.set_step(step);
  failure.set_message(message);
  failure.set_remedy(remedy);
  return failure;
}

JobChange::JobChange(pqxx::transaction_base& tx, int64_t job_id) : tx_(tx) { jobs_[job_id]; }

JobChange::JobChange(pqxx::transaction_base& tx, const std::vector<int64_t>& job_ids) : tx_(tx) {
  for (int64_t job_id : job_ids) jobs_[job_id];
}

const JobRow& JobChange::only() const {
  if (jobs_.size() != 1) std::abort();  // a change of several jobs has no single one
  return jobs_.begin()->second;
}

std::string JobChange::JobIds() const {
  ArrayLiteral ids;
  for (const auto& [job_id, job] : jobs_) ids.Add(job_id);
  return ids.Finish();
}

absl::Status JobChange::Lock() {
  if (jobs_.empty()) return absl::OkStatus();
  const auto rows = ExecPrepared(
      tx_,
      "SELECT job_id, state, open, fresh, submitter, salt, priority, tasks_open, tasks_failed, "
      "tasks_cancelled, next_seq, tenant FROM jobs WHERE job_id = ANY($1::bigint[]) ORDER BY job_id "
      "FOR UPDATE",
      JobIds());
  std::set<int64_t> found;
  for (const auto& row : rows) {
    const int64_t job_id = row[0].as<int64_t>();
    found.insert(job_id);
    auto& job = jobs_.at(job_id);
    job.state = static_cast<v1::State>(row[1].as<int>());
    job.open = row[2].as<bool>();
    job.fresh = row[3].as<bool>();
    job.submitter = row[4].c_str();
    job.salt = row[5].c_str();
    job.priority = row[6].as<int>();
    job.tasks_open = row[7].as<int>();
    job.tasks_failed = row[8].as<int>();
    job.tasks_cancelled = row[9].as<int>();
    job.next_seq = row[10].as<int64_t>();
    job.tenant = row[11].c_str();
  }
  for (const auto& [job_id, job] : jobs_)
    if (!found.contains(job_id))
      return absl::NotFoundError(absl::StrCat("there is no job ", job_id));
  return absl::OkStatus();
}

void JobChange::Inserted(JobRow row) { only() = std::move(row); }

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
      Note(task.job_id, std::move(event));
    } else {
      continue;
    }
    MarkStarted(task.job_id);
  }
  if (!groups.empty() || !externals.empty()) {
    std::vector<int64_t> all = groups;
    all.insert(all.end(), externals.begin(), externals.end());
    ExecPrepared(tx_,
                 "UPDATE tasks SET state = 3, planned = true, started_at = now() "
                 "WHERE task_id = ANY($1::bigint[]) AND state = 2",
                 Int64Array(all));
  }
  if (!groups.empty()) {
    const auto rows = ExecPrepared(tx_,
                                   "UPDATE tasks SET waiting_on = waiting_on - 1, "
                                   "  state = CASE WHEN waiting_on = 1 THEN 2 ELSE state END "
                                   "WHERE parent_id = ANY($1::bigint[]) AND state = 1 "
                                   "RETURNING job_id, task_id, path, kind, open, children_open, "
                                   "  state",
                                   Int64Array(groups));
    std::vector<ReadyTask> children = ReadyAmong(rows);
    if (!children.empty()) BecameReady(std::move(children));
  }
  if (!empty_groups.empty()) End(std::move(empty_groups));
}

void JobChange::End(std::vector<TaskEnd> ends) {
  while (!ends.empty()) {
    const std::vector<Ended> ended = UpdateEnded(ends);
    if (ended.empty()) return;
    ends = Follow(ended);
  }
}

void JobChange::AreDone(std::vector<Ended> done) {
  for (const auto& task : done) NoteEnded(task);
  End(Follow(done));
}

std::vector<TaskEnd> JobChange::Follow(const std::vector<Ended>& ended) {
  std::vector<TaskEnd> ends;
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
  return ends;
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
      "WHERE t.task_id = e.id AND t.state < 4 AND t.job_id = ANY($4::bigint[]) "
      "RETURNING t.job_id, t.task_id, coalesce(t.parent_id, 0), t.path, t.state",
      ids.Finish(), states.Finish(), failures.Finish(), JobIds());
  std::vector<Ended> ended;
  for (const auto& row : rows) {
    Ended task{row[0].as<int64_t>(),
               row[1].as<int64_t>(),
               row[2].as<int64_t>(),
               row[3].c_str(),
               static_cast<v1::State>(row[4].as<int>()),
               {}};
    task.failure = by_id[task.task_id]->failure;
    NoteEnded(task);
    ended.push_back(std::move(task));
  }
  return ended;
}

void JobChange::NoteEnded(const Ended& task) {
  JobRow& job = jobs_.at(task.job_id);
  v1::Event event;
  event.set_task_id(task.task_id);
  event.set_task(task.path);
  event.set_state(task.state);
  event.set_message(task.failure.message());
  switch (task.state) {
    case v1::DONE:
      ++job.done;
      event.set_what("finished");
      break;
    case v1::CANCELLED:
      ++job.cancelled;
      event.set_what("cancelled");
      break;
    default:
      ++job.failed;
      event.set_what("failed");
      if (job.first_failure.cause() == v1::CAUSE_UNSPECIFIED) {
        job.first_failure = task.failure;
        job.first_failure.set_message(
            absl::StrCat("task ", task.path, ": ", task.failure.message()));
      }
  }
  Note(task.job_id, std::move(event));
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
  const auto rows = ExecPrepared(
      tx_,
      "UPDATE tasks t SET waiting_on = t.waiting_on - e.n, "
      "  state = CASE WHEN t.waiting_on = e.n THEN 2 ELSE t.state END "
      "FROM (SELECT to_task, count(*) AS n FROM task_edges "
      "      WHERE from_task = ANY($1::bigint[]) GROUP BY to_task) e "
      "WHERE t.task_id = e.to_task AND t.state = 1 "
      "RETURNING t.job_id, t.task_id, t.path, t.kind, t.open, t.children_open, t.state",
      Int64Array(done));
  std::vector<ReadyTask> ready = ReadyAmong(rows);
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
    if (open()) {
      v1::Event event;
      event.set_what("sealed");
      event.set_state(state());
      Note(std::move(event));
    }
    only().open = false;
    return;
  }
  const auto rows = ExecPrepared(
      tx_, "UPDATE tasks SET open = false WHERE task_id = $1 RETURNING children_open, state",
      group_task_id);
  if (!rows.empty() && rows[0][0].as<int>() == 0 && rows[0][1].as<int>() == v1::RUNNING)
    End({EndOfGroup(group_task_id)});
}

void JobChange::Note(int64_t job_id, v1::Event event) {
  event.set_job_id(job_id);
  jobs_.at(job_id).events.push_back(std::move(event));
}

void JobChange::Save() {
  if (jobs_.empty()) return;
  ArrayLiteral ids, states, opens, added, tasks_open, done, failed, cancelled, next_seqs, failures;
  ArrayLiteral event_jobs, seqs, bodies;
  const int64_t now_ns = absl::ToUnixNanos(absl::Now());
  for (auto& [job_id, job] : jobs_) {
    job.Settle(job_id);
    for (auto& event : job.events) {
      event.set_seq(job.next_seq);
      if (event.at_unix_ns() == 0) event.set_at_unix_ns(now_ns);
      event_jobs.Add(job_id);
      seqs.Add(job.next_seq++);
      bodies.AddBytes(event.SerializeAsString());
    }
    job.events.clear();
    ids.Add(job_id);
    states.Add(job.state);
    opens.AddText(job.open ? "t" : "f");
    added.Add(job.added);
    tasks_open.Add(job.tasks_open);
    done.Add(job.done);
    failed.Add(job.failed);
    cancelled.Add(job.cancelled);
    next_seqs.Add(job.next_seq);
    if (job.first_failure.cause() == v1::CAUSE_UNSPECIFIED) {
      failures.AddNull();
    } else {
      failures.AddBytes(job.first_failure.SerializeAsString());
    }
  }
  ExecPrepared(
      tx_,
      "WITH saved AS (UPDATE jobs j SET state = e.state, open = e.open, "
      "  tasks = j.tasks + e.added, tasks_open = e.tasks_open, "
      "  tasks_done = j.tasks_done + e.done, tasks_failed = j.tasks_failed + e.failed, "
      "  tasks_cancelled = j.tasks_cancelled + e.cancelled, next_seq = e.next_seq, "
      "  failure = coalesce(j.failure, e.failure), "
      "  started_at = CASE WHEN j.started_at IS NULL AND e.state > 1 THEN now() "
      "                    ELSE j.started_at END, "
      "  finished_at = CASE WHEN e.state > 3 THEN coalesce(j.finished_at, now()) END "
      "FROM unnest($1::bigint[], $2::smallint[], $3::boolean[], $4::integer[], $5::integer[], "
      "  $6::integer[], $7::integer[], $8::integer[], $9::bigint[], $10::bytea[]) "
      "  AS e(id, state, open, added, tasks_open, done, failed, cancelled, next_seq, failure) "
      "WHERE j.job_id = e.id) "
      "INSERT INTO events (job_id, seq, event) "
      "SELECT * FROM unnest($11::bigint[], $12::bigint[], $13::bytea[])",
      ids.Finish(), states.Finish(), opens.Finish(), added.Finish(), tasks_open.Finish(),
      done.Finish(), failed.Finish(), cancelled.Finish(), next_seqs.Finish(), failures.Finish(),
      event_jobs.Finish(), seqs.Finish(), bodies.Finish());
}

}  // namespace sextant::store
