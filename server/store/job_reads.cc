#include "server/store/job_reads.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/job/states.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

// Nanoseconds since 1970 of a timestamptz column, as a bigint expression; NULL is 0.
std::string Ns(const char* column) {
  return absl::StrCat("coalesce((extract(epoch FROM ", column, ") * 1000000)::bigint, 0) * 1000");
}

std::string JobSql(const char* where) {
  return absl::StrCat(
      "SELECT j.job_id, j.name, j.submitter, j.state, j.open, j.priority, j.tasks, j.tasks_done, "
      "  j.tasks_failed, j.tasks_cancelled, c.passes, c.done, c.failed, c.cached, "
      "  (SELECT count(*) FROM queue q WHERE q.job_id = j.job_id AND q.state = 3), j.failure, ",
      Ns("j.created_at"), ", ", Ns("j.started_at"), ", ", Ns("j.finished_at"), ", j.deadline_s, ",
      "  (SELECT array_agg(k || chr(31) || v) FROM jsonb_each_text(j.labels) AS l(k, v)), j.tenant "
      "FROM (SELECT * FROM jobs j ", where, ") j, LATERAL ("
      "  SELECT coalesce(sum(passes), 0) AS passes, coalesce(sum(passes_done), 0) AS done, "
      "    coalesce(sum(passes_failed), 0) AS failed, coalesce(sum(passes_cached), 0) AS cached "
      "  FROM tasks t WHERE t.job_id = j.job_id) c ORDER BY j.job_id DESC");
}

v1::JobInfo ReadJob(const pqxx::row& row) {
  v1::JobInfo job;
  job.set_job_id(row[0].as<int64_t>());
  job.set_name(row[1].c_str());
  job.set_submitter(row[2].c_str());
  job.set_state(static_cast<v1::State>(row[3].as<int>()));
  job.set_open(row[4].as<bool>());
  job.set_priority(row[5].as<int>());
  job.set_tasks(row[6].as<uint32_t>());
  job.set_tasks_done(row[7].as<uint32_t>());
  job.set_tasks_failed(row[8].as<uint32_t>());
  job.set_tasks_cancelled(row[9].as<uint32_t>());
  job.set_passes(row[10].as<uint32_t>());
  job.set_passes_done(row[11].as<uint32_t>());
  job.set_passes_failed(row[12].as<uint32_t>());
  job.set_passes_cached(row[13].as<uint32_t>());
  job.set_passes_running(row[14].as<uint32_t>());
  if (!row[15].is_null()) job.mutable_failure()->ParseFromString(FieldBytes(row[15]));
  job.set_created_unix_ns(row[16].as<uint64_t>());
  job.set_started_unix_ns(row[17].as<uint64_t>());
  job.set_finished_unix_ns(row[18].as<uint64_t>());
  job.set_deadline_s(row[19].as<double>());
  if (!row[20].is_null()) {
    pqxx::array_parser parser(row[20].c_str());
    for (auto item = parser.get_next(); item.first != pqxx::array_parser::juncture::done;
         item = parser.get_next()) {
      if (item.first != pqxx::array_parser::juncture::string_value) continue;
      const auto cut = item.second.find('\x1f');
      (*job.mutable_labels())[item.second.substr(0, cut)] = item.second.substr(cut + 1);
    }
  }
  job.set_tenant(row[21].c_str());
  return job;
}

std::string TaskSql(const char* where) {
  return absl::StrCat(
      "SELECT t.task_id, t.job_id, t.path, t.kind, t.state, t.waiting_on, t.passes, t.passes_done, "
      "  t.passes_failed, t.passes_cached, "
      "  (SELECT count(*) FROM queue q WHERE q.task_id = t.task_id AND q.state = 3), t.failure, "
      "  t.artifacts, ", Ns("t.created_at"), ", ", Ns("t.started_at"), ", ", Ns("t.finished_at"),
      ", CASE WHEN $3 THEN t.spec END FROM tasks t ", where);
}

v1::TaskInfo ReadTask(const pqxx::row& row) {
  v1::TaskInfo task;
  task.set_task_id(row[0].as<int64_t>());
  task.set_job_id(row[1].as<int64_t>());
  task.set_path(row[2].c_str());
  task.set_kind(row[3].c_str());
  task.set_state(static_cast<v1::State>(row[4].as<int>()));
  task.set_waiting_on(row[5].as<uint32_t>());
  task.set_passes(row[6].as<uint32_t>());
  task.set_passes_done(row[7].as<uint32_t>());
  task.set_passes_failed(row[8].as<uint32_t>());
  task.set_passes_cached(row[9].as<uint32_t>());
  task.set_passes_running(row[10].as<uint32_t>());
  if (!row[11].is_null()) task.mutable_failure()->ParseFromString(FieldBytes(row[11]));
  if (!row[12].is_null()) {
    v1::PassResult result;
    result.ParseFromString(FieldBytes(row[12]));
    task.mutable_artifacts()->Swap(result.mutable_artifacts());
  }
  task.set_created_unix_ns(row[13].as<uint64_t>());
  task.set_started_unix_ns(row[14].as<uint64_t>());
  task.set_finished_unix_ns(row[15].as<uint64_t>());
  if (!row[16].is_null()) task.mutable_spec()->ParseFromString(FieldBytes(row[16]));
  return task;
}

v1::PassInfo ReadPass(const pqxx::row& row) {
  v1::PassInfo pass;
  pass.set_pass_id(row[0].as<int64_t>());
  pass.set_task_id(row[1].as<int64_t>());
  pass.set_job_id(row[2].as<int64_t>());
  pass.set_task(row[3].c_str());
  pass.set_ordinal(row[4].as<uint32_t>());
  pass.mutable_spec()->ParseFromString(FieldBytes(row[5]));
  pass.set_state(static_cast<v1::State>(row[6].as<int>()));
  pass.set_source(static_cast<v1::Source>(row[7].as<int>()));
  pass.set_source_pass_id(row[8].as<int64_t>());
  pass.set_epoch(row[9].as<int64_t>());
  pass.set_worker(row[10].c_str());
  pass.set_device(row[11].c_str());
  if (!row[12].is_null()) pass.mutable_result()->ParseFromString(FieldBytes(row[12]));
  pass.set_cache_key(FieldBytes(row[13]));
  pass.set_created_unix_ns(row[14].as<uint64_t>());
  pass.set_started_unix_ns(row[15].as<uint64_t>());
  pass.set_finished_unix_ns(row[16].as<uint64_t>());
  return pass;
}

uint32_t PageSize(uint32_t asked, uint32_t standard, uint32_t max) {
  return std::min(asked == 0 ? standard : asked, max);
}

absl::Status NoJob(int64_t job_id) {
  return absl::NotFoundError(
      absl::StrCat("job_id: there is no job ", job_id, "; `sextant jobs` lists those there are"));
}

}  // namespace

absl::StatusOr<v1::JobInfo> JobReads::Job(int64_t job_id) {
  v1::JobInfo job;
  RETURN_IF_ERROR(database_->Read("job", [&](pqxx::transaction_base& tx) {
    static const auto& sql = *new std::string(JobSql("WHERE job_id = $1"));
    const auto rows = ExecPrepared(tx, sql.c_str(), job_id);
    if (rows.empty()) return NoJob(job_id);
    job = ReadJob(rows[0]);
    return absl::OkStatus();
  }));
  return job;
}

absl::StatusOr<v1::TaskInfo> JobReads::Task(int64_t job_id, const std::string& path) {
  v1::TaskInfo task;
  RETURN_IF_ERROR(database_->Read("task", [&](pqxx::transaction_base& tx) {
    const auto rows =
        tx.exec_params(TaskSql("WHERE t.job_id = $1 AND t.path = $2"), job_id, path, true);
    if (rows.empty())
      return absl::NotFoundError(
          absl::StrCat("task: job ", job_id, " has no task \"", absl::CHexEscape(path), "\""));
    task = ReadTask(rows[0]);
    return absl::OkStatus();
  }));
  return task;
}

absl::StatusOr<v1::GetJobResponse> JobReads::Get(const v1::GetJobRequest& request,
                                                 uint32_t max_page_size) {
  v1::GetJobResponse response;
  const uint32_t page = PageSize(request.page_size(), max_page_size, max_page_size);
  RETURN_IF_ERROR(database_->Read("get", [&](pqxx::transaction_base& tx) {
    response.Clear();
    const auto rows = tx.exec_params(JobSql("WHERE job_id = $1"), request.job_id());
    if (rows.empty()) return NoJob(request.job_id());
    *response.mutable_job() = ReadJob(rows[0]);
    if (!request.with_tasks()) return absl::OkStatus();
    const auto tasks = tx.exec_params(
        TaskSql("WHERE t.job_id = $1 AND t.path COLLATE \"C\" > $2 "
                "ORDER BY t.path COLLATE \"C\" LIMIT $4"),
        request.job_id(), request.tasks_after(), request.with_specs(), static_cast<int>(page) + 1);
    for (const auto& row : tasks) {
      if (response.tasks_size() == static_cast<int>(page)) {
        response.set_more_tasks(true);
        break;
      }
      *response.add_tasks() = ReadTask(row);
    }
    return absl::OkStatus();
  }));
  if (request.with_passes()) {
    v1::ListPassesRequest passes;
    passes.set_job_id(request.job_id());
    ASSIGN_OR_RETURN(auto list, Passes(passes, max_page_size));
    response.mutable_passes()->Swap(list.mutable_passes());
  }
  return response;
}

absl::StatusOr<v1::ListJobsResponse> JobReads::List(const v1::ListJobsRequest& request,
                                                    uint32_t max_page_size, const Reach& reach) {
  const uint32_t page = PageSize(request.page_size(), 50, max_page_size);
  ArrayLiteral states, labels;
  for (int state : request.states()) states.Add(state);
  for (const auto& [name, value] : request.labels()) {
    labels.AddText(name);
    labels.AddText(value);
  }
  v1::ListJobsResponse response;
  RETURN_IF_ERROR(database_->Read("list", [&](pqxx::transaction_base& tx) {
    response.Clear();
    const auto rows = tx.exec_params(
        JobSql("WHERE ($1::bigint = 0 OR job_id < $1::bigint) AND ($2 = '' OR submitter = $2) "
               "AND (cardinality($3::smallint[]) = 0 OR state = ANY($3::smallint[])) "
               "AND ($6 = '' OR tenant = $6) "
               "AND labels @> jsonb_object($4::text[]) ORDER BY job_id DESC LIMIT $5"),
        request.before_job_id(), request.submitter(), states.Finish(), labels.Finish(),
        static_cast<int>(page) + 1, reach.sql());
    for (const auto& row : rows) {
      if (response.jobs_size() == static_cast<int>(page)) {
        response.set_more(true);
        break;
      }
      *response.add_jobs() = ReadJob(row);
    }
    return absl::OkStatus();
  }));
  return response;
}

absl::StatusOr<v1::ListPassesResponse> JobReads::Passes(const v1::ListPassesRequest& request,
                                                        uint32_t max_page_size) {
  const uint32_t page = PageSize(request.page_size(), max_page_size, max_page_size);
  v1::ListPassesResponse response;
  RETURN_IF_ERROR(database_->Read("passes", [&](pqxx::transaction_base& tx) {
    response.Clear();
    const auto rows = tx.exec_params(
        absl::StrCat(
            "SELECT p.pass_id, p.task_id, p.job_id, t.path, p.ordinal, p.spec, "
            "  coalesce(q.state, p.state), p.source, coalesce(p.source_pass_id, 0), "
            "  coalesce(q.epoch, p.epoch), coalesce(q.worker, p.worker, ''), "
            "  coalesce(q.device, p.device, ''), p.result, p.cache_key, ",
            Ns("p.created_at"), ", ", Ns("coalesce(q.started_at, p.started_at)"), ", ",
            Ns("p.finished_at"),
            " FROM passes p JOIN tasks t USING (task_id) LEFT JOIN queue q USING (pass_id) "
            "WHERE p.pass_id > $3 AND CASE WHEN $2::bigint <> 0 THEN p.pass_id = $2::bigint ELSE p.job_id = $1 END "
            "AND ($4 = '' OR t.path = $4) ORDER BY p.pass_id LIMIT $5"),
        request.job_id(), request.pass_id(), request.after_pass_id(), request.task(),
        static_cast<int>(page) + 1);
    if (rows.empty() && request.pass_id() != 0)
      return absl::NotFoundError(absl::StrCat("pass_id: there is no pass ", request.pass_id()));
    if (rows.empty() && request.after_pass_id() == 0) {
      if (tx.exec_params("SELECT 1 FROM jobs WHERE job_id = $1", request.job_id()).empty())
        return NoJob(request.job_id());
    }
    for (const auto& row : rows) {
      if (response.passes_size() == static_cast<int>(page)) {
        response.set_more(true);
        break;
      }
      *response.add_passes() = ReadPass(row);
    }
    return absl::OkStatus();
  }));
  return response;
}

absl::StatusOr<std::vector<v1::Event>> JobReads::EventsAfter(
    const std::map<int64_t, int64_t>& cursors, int limit) {
  std::vector<v1::Event> events;
  if (cursors.empty()) return events;
  ArrayLiteral jobs, seqs;
  for (const auto& [job_id, seq] : cursors) {
    jobs.Add(job_id);
    seqs.Add(seq);
  }
  RETURN_IF_ERROR(database_->Read("events", [&](pqxx::transaction_base& tx) {
    events.clear();
    const auto rows = ExecPrepared(
        tx,
        "SELECT v.event FROM unnest($1::bigint[], $2::bigint[]) AS c(job_id, seq), LATERAL "
        "  (SELECT job_id, seq, event FROM events e WHERE e.job_id = c.job_id AND e.seq > c.seq "
        "   ORDER BY e.seq LIMIT $3) v ORDER BY v.job_id, v.seq",
        jobs.Finish(), seqs.Finish(), limit);
    for (const auto& row : rows) events.emplace_back().ParseFromString(FieldBytes(row[0]));
    return absl::OkStatus();
  }));
  return events;
}

absl::Status JobReads::Describe(v1::ServiceDescription* description, const Reach& reach) {
  return database_->Read("describe", [&](pqxx::transaction_base& tx) {
    description->clear_workers();
    const auto counts = tx.exec_params(
        "SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3), "
        "  coalesce((SELECT sum(value) FROM counters "
        "            WHERE $1 = '' AND name IN ('duplicate_commits', 'stale_commits')), 0), "
        "  (SELECT max(version) FROM schema_migrations) FROM queue WHERE $1 = '' OR tenant = $1",
        reach.sql());
    description->set_ready_passes(counts[0][0].as<uint64_t>());
    description->set_running_passes(counts[0][1].as<uint64_t>());
    description->set_duplicate_commits(counts[0][2].as<uint64_t>());
    description->set_schema_version(counts[0][3].as<uint32_t>());
    const auto rows = tx.exec(absl::StrCat(
        "SELECT info, lease_until > now(), ", Ns("last_seen"), ", spoiled, quarantine, "
        "  (SELECT count(*) FROM queue q WHERE q.worker = w.name AND q.state = 3) "
        "FROM workers w ORDER BY last_seen DESC LIMIT 1000"));
    for (const auto& row : rows) {
      auto* worker = description->add_workers();
      worker->mutable_info()->ParseFromString(FieldBytes(row[0]));
      worker->set_live(row[1].as<bool>());
      worker->set_last_seen_unix_ns(row[2].as<uint64_t>());
      worker->set_spoiled_passes(row[3].as<uint64_t>());
      worker->set_quarantine(row[4].size() == 0 || reach.all() ? row[4].c_str()
                                                               : "set aside; administrators see why");
      worker->set_running(row[5].as<uint32_t>());
    }
    return absl::OkStatus();
  });
}

}  // namespace sextant::store
