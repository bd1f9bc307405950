#include "server/store/queue.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/job/graph.h"
#include "server/job/keys.h"
#include "server/job/plan.h"
#include "server/store/job_change.h"
#include "server/store/pass_moves.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

// One row of "what a worker is to do": see kAssignmentColumns.
QueueStore::Claimed ReadAssignment(const pqxx::row& row) {
  QueueStore::Claimed claimed;
  auto& assignment = claimed.assignment;
  assignment.mutable_pass()->set_pass_id(row[0].as<int64_t>());
  assignment.mutable_pass()->set_epoch(row[1].as<int64_t>());
  claimed.worker = row[2].c_str();
  assignment.set_device(row[3].c_str());
  assignment.set_job_id(row[4].as<int64_t>());
  assignment.set_task(row[5].c_str());
  assignment.set_kind(row[6].c_str());
  assignment.set_ordinal(row[7].as<uint32_t>());
  assignment.mutable_spec()->ParseFromString(FieldBytes(row[8]));
  assignment.set_keep(row[9].as<bool>());
  v1::TaskSpec task;
  task.ParseFromString(FieldBytes(row[10]));
  if (auto* workload = job::MutableWorkloadOf(&task); workload != nullptr)
    assignment.mutable_workload()->Swap(workload);
  assignment.mutable_outputs()->Swap(task.mutable_outputs());
  assignment.set_task_passes(row[11].as<uint32_t>());
  if (task.has_analyze() && !task.analyze().builtin().empty())
    (*assignment.mutable_spec()->mutable_options())["of_task"] = task.analyze().of_task();
  return claimed;
}

const char kAssignmentColumns[] =
    "q.pass_id, q.epoch, q.worker, coalesce(q.device, ''), q.job_id, t.path, t.kind, p.ordinal, "
    "p.spec, j.keep, t.spec, t.passes";

// Not waiting for the disk: a claim that a crash of PostgreSQL takes back is a pass that is ready
// again, under the epoch it had before. What its worker does meanwhile is told to stop by
// WorkerHub::Reconcile, and its result is refused: the pass is ready, or another worker's; or the same
// worker was given it again under the same epoch, and then this is a result of that very attempt, and
// the one that comes later is the duplicate. Nothing that was acknowledged depends on a claim: what
// does, a start or a commit, is durable with every claim before it.
// `bounded`: tenants have at most so many devices ($6, or their own quota).
std::string ClaimSql(bool bounded) {
  if (bounded)
    return absl::StrCat(
        "WITH slots AS MATERIALIZED (SELECT worker, device, row_number() OVER () AS n "
        "    FROM (SELECT set_config('synchronous_commit', 'off', true)) c, "
        "      unnest($3::text[], $4::text[]) AS s(worker, device) WHERE NOT EXISTS "
        "      (SELECT 1 FROM workers w WHERE w.name = s.worker AND w.quarantine <> '')), "
        "room AS MATERIALIZED (SELECT b.tenant, m.most - b.n AS room FROM "
        "    (SELECT tenant, count(*) AS n FROM queue WHERE state = 3 AND device <> '' GROUP BY tenant) b, "
        "    LATERAL (SELECT coalesce((SELECT nullif(running_devices, 0) FROM tenant_quotas t "
        "      WHERE t.tenant = b.tenant), nullif($6::integer, 0)) AS most) m WHERE m.most IS NOT NULL), "
        "picked AS (SELECT pass_id, tenant, row_number() OVER () AS n FROM ("
        "  SELECT pass_id, tenant FROM queue WHERE state = 2 AND pool = $1 AND needs <@ $2::text[] "
        "  AND tenant <> ALL (ARRAY(SELECT tenant FROM room WHERE room <= 0)) "
        "  ORDER BY priority DESC, vtime, pass_id LIMIT $5 FOR UPDATE SKIP LOCKED) x), "
        "kept AS (SELECT pass_id, row_number() OVER (ORDER BY n) AS n FROM (SELECT p.pass_id, p.n, "
        "    row_number() OVER (PARTITION BY p.tenant ORDER BY p.n) AS k, coalesce(r.room, "
        "      (SELECT nullif(running_devices, 0) FROM tenant_quotas t WHERE t.tenant = p.tenant), "
        "      nullif($6::integer, 0)) AS room "
        "  FROM picked p LEFT JOIN room r USING (tenant)) y WHERE room IS NULL OR k <= room), "
        "q AS (UPDATE queue q SET state = 3, worker = s.worker, device = nullif(s.device, ''), "
        "    epoch = q.epoch + 1, attempts = q.attempts + 1, claimed_at = now() "
        "  FROM kept JOIN slots s USING (n) WHERE q.pass_id = kept.pass_id RETURNING q.*) "
        "SELECT ",
        kAssignmentColumns,
        " FROM q JOIN passes p USING (pass_id) JOIN tasks t ON t.task_id = q.task_id "
        "JOIN jobs j ON j.job_id = q.job_id");
  return absl::StrCat(
      "WITH slots AS MATERIALIZED (SELECT worker, device, row_number() OVER () AS n "
      "    FROM (SELECT set_config('synchronous_commit', 'off', true)) c, "
      "      unnest($3::text[], $4::text[]) AS s(worker, device) WHERE NOT EXISTS "
      "      (SELECT 1 FROM workers w WHERE w.name = s.worker AND w.quarantine <> '')), "
      "picked AS (SELECT pass_id, row_number() OVER () AS n FROM ("
      "  SELECT pass_id FROM queue WHERE state = 2 AND pool = $1 AND needs <@ $2::text[] "
      "  ORDER BY priority DESC, vtime, pass_id LIMIT $5 FOR UPDATE SKIP LOCKED) x), "
      "q AS (UPDATE queue q SET state = 3, worker = s.worker, device = nullif(s.device, ''), "
      "    epoch = q.epoch + 1, attempts = q.attempts + 1, claimed_at = now() "
      "  FROM picked JOIN slots s USING (n) WHERE q.pass_id = picked.pass_id RETURNING q.*) "
      "SELECT ",
      kAssignmentColumns,
      " FROM q JOIN passes p USING (pass_id) JOIN tasks t ON t.task_id = q.task_id "
      "JOIN jobs j ON j.job_id = q.job_id");
}

// Passes a worker or several hold, by job.
absl::StatusOr<int> GiveBackAll(Database* database, const char* name, const std::string& sql,
                                const std::string& arg, const std::string& why,
                                const std::set<std::pair<int64_t, int64_t>>& except) {
  std::map<int64_t, std::vector<int64_t>> by_job;
  RETURN_IF_ERROR(database->Read(absl::StrCat(name, "-find"), [&](pqxx::transaction_base& tx) {
    by_job.clear();
    const auto rows = tx.exec_params(sql, arg);
    for (const auto& row : rows) {
      if (except.contains({row[1].as<int64_t>(), row[2].as<int64_t>()})) continue;
      by_job[row[0].as<int64_t>()].push_back(row[1].as<int64_t>());
    }
    return absl::OkStatus();
  }));
  int n = 0;
  for (const auto& [job_id, pass_ids] : by_job) {
    RETURN_IF_ERROR(database->Transact(name, [&, job = job_id](pqxx::transaction_base& tx) {
      JobChange change(tx, job);
      RETURN_IF_ERROR(change.Lock());
      GiveBack(change, pass_ids, why);
      change.Save();
      return absl::OkStatus();
    }));
    n += static_cast<int>(pass_ids.size());
  }
  return n;
}

}  // namespace

absl::StatusOr<std::array<int, 3>> QueueStore::ReadyCounts() {
  std::array<int, 3> counts{};
  RETURN_IF_ERROR(database_->Read("ready", [&](pqxx::transaction_base& tx) {
    counts = {};
    for (const auto& row : ExecPrepared(tx,
                                        "SELECT pool, count(*) FROM (SELECT pool FROM queue "
                                        "WHERE state = 2 LIMIT 10000) q GROUP BY pool"))
      counts[row[0].as<int>()] = row[1].as<int>();
    return absl::OkStatus();
  }));
  return counts;
}

absl::StatusOr<std::vector<QueueStore::Claimed>> QueueStore::Claim(
    Pool pool, const std::vector<std::string>& offers, const std::vector<Slot>& slots) {
  std::vector<Claimed> claimed;
  if (slots.empty()) return claimed;
  if (pool == Pool::kDevice) {
    ASSIGN_OR_RETURN(const Bounded bounded, FindBounded());
    if (bounded.devices) return ClaimBounded(offers, slots);
  }
  ArrayLiteral workers, devices;
  for (const auto& slot : slots) {
    workers.AddText(slot.worker);
    devices.AddText(slot.device);
  }
  static const auto& sql = *new std::string(ClaimSql(false));
  RETURN_IF_ERROR(database_->Transact("claim", [&](pqxx::transaction_base& tx) {
    claimed.clear();
    const auto rows =
        ExecPrepared(tx, sql.c_str(), static_cast<int>(pool), TextArray(offers), workers.Finish(),
                     devices.Finish(), static_cast<int>(slots.size()));
    for (const auto& row : rows) claimed.push_back(ReadAssignment(row));
    return absl::OkStatus();
  }));
  return claimed;
}

absl::StatusOr<QueueStore::Bounded> QueueStore::FindBounded() {
  const absl::Time now = absl::Now();
  {
    absl::MutexLock lock(&mutex_);
    if (now - looked_ < bounds_.fresh) return bounded_;
  }
  Bounded bounded;
  RETURN_IF_ERROR(database_->Read("bounded", [&](pqxx::transaction_base& tx) {
    const auto rows = ExecPrepared(tx,
                                   "SELECT coalesce(bool_or(running_devices > 0), false), "
                                   "coalesce(bool_or(stored_bytes > 0), false) FROM tenant_quotas");
    bounded.devices = bounds_.running_devices > 0 || rows[0][0].as<bool>();
    bounded.stored = bounds_.stored_bytes > 0 || rows[0][1].as<bool>();
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  bounded_ = bounded;
  looked_ = now;
  return bounded;
}

absl::StatusOr<std::vector<QueueStore::Claimed>> QueueStore::ClaimBounded(
    const std::vector<std::string>& offers, std::vector<Slot> slots) {
  static const auto& sql = *new std::string(ClaimSql(true));
  std::vector<Claimed> all;
  // A round may leave places empty that passes of other tenants fit in, once those at their bound are known.
  while (!slots.empty()) {
    ArrayLiteral workers, devices;
    for (const auto& slot : slots) {
      workers.AddText(slot.worker);
      devices.AddText(slot.device);
    }
    std::vector<Claimed> claimed;
    RETURN_IF_ERROR(database_->Transact("claim", [&](pqxx::transaction_base& tx) {
      claimed.clear();
      // Two coordinators that count at once would both find room.
      ExecPrepared(tx, "SELECT pg_advisory_xact_lock(hashtext('sextant.devices'))");
      const auto rows = ExecPrepared(tx, sql.c_str(), static_cast<int>(Pool::kDevice), TextArray(offers),
                                     workers.Finish(), devices.Finish(), static_cast<int>(slots.size()),
                                     static_cast<int>(bounds_.running_devices));
      for (const auto& row : rows) claimed.push_back(ReadAssignment(row));
      return absl::OkStatus();
    }));
    if (claimed.empty()) break;
    for (auto& one : claimed) {
      std::erase_if(slots, [&](const Slot& slot) {
        return slot.worker == one.worker && slot.device == one.assignment.device();
      });
      all.push_back(std::move(one));
    }
  }
  return all;
}

absl::StatusOr<std::vector<QueueStore::Holding>> QueueStore::Holdings(
    const std::vector<std::string>& workers) {
  std::vector<Holding> holdings;
  RETURN_IF_ERROR(database_->Read("holdings", [&](pqxx::transaction_base& tx) {
    holdings.clear();
    const auto rows = ExecPrepared(
        tx,
        "SELECT worker, coalesce(device, ''), pass_id, epoch FROM queue "
        "WHERE state = 3 AND worker = ANY($1::text[])",
        TextArray(workers));
    for (const auto& row : rows)
      holdings.push_back(
          {row[0].c_str(), row[1].c_str(), row[2].as<int64_t>(), row[3].as<int64_t>()});
    return absl::OkStatus();
  }));
  return holdings;
}

absl::StatusOr<std::vector<QueueStore::Claimed>> QueueStore::Assignments(
    const std::vector<int64_t>& pass_ids) {
  std::vector<Claimed> claimed;
  RETURN_IF_ERROR(database_->Read("assignments", [&](pqxx::transaction_base& tx) {
    claimed.clear();
    const auto rows = tx.exec_params(
        absl::StrCat("SELECT ", kAssignmentColumns,
                     " FROM queue q JOIN passes p USING (pass_id) "
                     "JOIN tasks t ON t.task_id = q.task_id JOIN jobs j ON j.job_id = q.job_id "
                     "WHERE q.state = 3 AND q.pass_id = ANY($1::bigint[])"),
        Int64Array(pass_ids));
    for (const auto& row : rows) claimed.push_back(ReadAssignment(row));
    return absl::OkStatus();
  }));
  return claimed;
}

absl::Status QueueStore::RecordStarted(const std::vector<Started>& started) {
  ArrayLiteral ids, epochs, times;
  for (const auto& start : started) {
    ids.Add(start.pass_id);
    epochs.Add(start.epoch);
    times.AddDouble(static_cast<double>(start.started_unix_ns) * 1e-9);
  }
  return database_->Transact("started", [&](pqxx::transaction_base& tx) {
    JobChange change(tx, JobsOfPasses(tx, ids.Finish()));
    RETURN_IF_ERROR(change.Lock());
    const auto rows = ExecPrepared(
        tx,
        "UPDATE queue q SET started_at = to_timestamp(e.at) "
        "FROM unnest($1::bigint[], $2::bigint[], $3::double precision[]) AS e(pass_id, epoch, at) "
        "JOIN passes p USING (pass_id) JOIN tasks t ON t.task_id = p.task_id "
        "WHERE q.pass_id = e.pass_id AND q.epoch = e.epoch AND q.state = 3 AND q.started_at IS "
        "NULL "
        "RETURNING q.pass_id, q.task_id, q.job_id, t.path, q.worker, (e.at * 1e6)::bigint, "
        "p.ordinal",
        ids.Finish(), epochs.Finish(), times.Finish());
    std::vector<int64_t> tasks;
    for (const auto& row : rows) {
      v1::Event event;
      event.set_pass_id(row[0].as<int64_t>());
      event.set_task_id(row[1].as<int64_t>());
      event.set_task(row[3].c_str());
      event.set_what("started");
      event.set_state(v1::RUNNING);
      event.set_message(absl::StrCat("on ", row[4].c_str()));
      event.set_at_unix_ns(row[5].as<int64_t>() * 1000);
      tasks.push_back(event.task_id());
      change.MarkStarted(row[2].as<int64_t>());
      change.Note(row[2].as<int64_t>(), std::move(event));
    }
    ExecPrepared(
        tx,
        "UPDATE tasks SET state = 3, started_at = now() WHERE task_id = ANY($1::bigint[]) "
        "AND state = 2",
        Int64Array(tasks));
    change.Save();
    return absl::OkStatus();
  });
}

absl::Status QueueStore::Register(const v1::WorkerInfo& info,
                                  const std::vector<std::string>& offers, double lease_s,
                                  const std::vector<v1::PassRef>& reported) {
  v1::WorkerInfo kind = info;  // what it can do, without who it is
  kind.clear_name();
  kind.clear_incarnation();
  kind.clear_hostname();
  for (auto& device : *kind.mutable_devices()) device.clear_properties();
  bool restarted = false;
  RETURN_IF_ERROR(database_->Transact("register", [&](pqxx::transaction_base& tx) {
    const auto before =
        tx.exec_params("SELECT incarnation FROM workers WHERE name = $1 FOR UPDATE", info.name());
    restarted = !before.empty() && info.incarnation() != before[0][0].c_str();
    tx.exec_params(
        "INSERT INTO workers (name, incarnation, info, offers, lease_until) "
        "VALUES ($1, $2, $3, $4, now() + $5 * interval '1 s') "
        "ON CONFLICT (name) DO UPDATE SET incarnation = EXCLUDED.incarnation, "
        "  info = EXCLUDED.info, offers = EXCLUDED.offers, lease_until = EXCLUDED.lease_until, "
        "  last_seen = now(), "
        "  quarantine = CASE WHEN workers.incarnation = EXCLUDED.incarnation "
        "                    THEN workers.quarantine ELSE '' END, "
        "  spoiled_in_a_row = CASE WHEN workers.incarnation = EXCLUDED.incarnation "
        "                          THEN workers.spoiled_in_a_row ELSE 0 END",
        info.name(), info.incarnation(), Bytes(info.SerializeAsString()),
        Bytes(job::Sha256(absl::StrCat(kind.SerializeAsString(), absl::StrJoin(offers, ";")))),
        lease_s);
    // Tasks that no worker could run may have found one.
    tx.exec(
        "UPDATE tasks SET plan_after = now() WHERE state = 2 AND NOT planned "
        "AND plan_after > now()");
    return absl::OkStatus();
  }));
  if (!restarted) return absl::OkStatus();
  std::set<std::pair<int64_t, int64_t>> kept;
  for (const auto& ref : reported) kept.insert({ref.pass_id(), ref.epoch()});
  return GiveBackAll(database_, "lost",
                     "SELECT job_id, pass_id, epoch FROM queue WHERE state = 3 AND worker = $1",
                     info.name(), "was restarted", kept)
      .status();
}

absl::Status QueueStore::Renew(const std::vector<std::string>& workers, double lease_s) {
  if (workers.empty()) return absl::OkStatus();
  return database_->Transact("renew", [&](pqxx::transaction_base& tx) {
    ExecPrepared(
        tx,
        "UPDATE workers SET lease_until = now() + $2 * interval '1 s', last_seen = now() "
        "WHERE name IN (SELECT name FROM workers WHERE name = ANY($1::text[]) ORDER BY name "
        "               FOR UPDATE)",
        TextArray(workers), lease_s);
    return absl::OkStatus();
  });
}

absl::StatusOr<int> QueueStore::TakeBackExpired() {
  return GiveBackAll(database_, "expired",
                     "SELECT q.job_id, q.pass_id, q.epoch FROM queue q JOIN workers w "
                     "ON w.name = q.worker WHERE q.state = 3 AND w.lease_until < now() AND $1 = ''",
                     "", "did not renew its lease", {});
}

}  // namespace sextant::store
