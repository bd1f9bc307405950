// JobReads::Explain: why a job's tasks wait, and what their cache keys hit or missed.
#include <algorithm>
#include <iterator>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/job/plan.h"
#include "server/job/states.h"
#include "server/store/job_reads.h"
#include "server/store/planning.h"
#include "server/store/pq.h"
#include "server/store/queue.h"

namespace sextant::store {
namespace {

constexpr int kMaxTasks = 200;   // explained in one answer, unfinished ones first

// Splits an array_agg of text.
std::vector<std::string> TextList(const pqxx::field& field) {
  std::vector<std::string> list;
  if (field.is_null()) return list;
  pqxx::array_parser parser(field.c_str());
  for (auto item = parser.get_next(); item.first != pqxx::array_parser::juncture::done;
       item = parser.get_next())
    if (item.first == pqxx::array_parser::juncture::string_value) list.push_back(item.second);
  return list;
}

void ExplainKey(pqxx::transaction_base& tx, const std::string& key, v1::TaskExplanation* out) {
  const auto rows = tx.exec_params(
      "SELECT k.components, n.components FROM cache_keys k LEFT JOIN LATERAL "
      "  (SELECT components FROM cache_keys n WHERE n.subject = k.subject "
      "   AND n.cache_key <> k.cache_key AND n.created_at <= k.created_at "
      "   ORDER BY n.created_at DESC LIMIT 1) n ON true WHERE k.cache_key = $1",
      Bytes(key));
  if (rows.empty()) return;
  v1::TaskExplanation mine, nearest;
  mine.ParseFromString(FieldBytes(rows[0][0]));
  nearest.ParseFromString(FieldBytes(rows[0][1]));
  std::map<std::string, std::string> other;
  for (const auto& component : nearest.components()) other[component.name()] = component.value();
  for (auto& component : *mine.mutable_components()) {
    // Without an earlier key there is nothing to differ from.
    component.set_nearest(other.empty() ? component.value() : other[component.name()]);
    *out->add_components() = component;
  }
}

// What the queued passes of each task of the job need and no live worker offers; tasks for which one
// does are absent.
std::map<int64_t, std::vector<std::string>> NobodyOffers(pqxx::transaction_base& tx,
                                                         int64_t job_id) {
  std::vector<std::vector<std::string>> slots, devices;  // sorted
  for (const v1::WorkerInfo& worker : LiveWorkers(tx)) {
    slots.push_back(job::SlotOffers(worker));
    for (const v1::Device& device : worker.devices()) {
      if (device.unhealthy().empty()) devices.push_back(job::DeviceOffers(worker, device));
    }
  }
  std::map<int64_t, std::vector<std::string>> nobody;
  const auto rows = tx.exec_params(
      "SELECT DISTINCT task_id, pool, needs FROM queue "
      "WHERE job_id = $1 AND state = 2 AND pool < $2 LIMIT $3",
      job_id, static_cast<int>(Pool::kCoordinator), kMaxTasks);
  for (const auto& row : rows) {
    std::vector<std::string> needs = TextList(row[2]);
    std::sort(needs.begin(), needs.end());
    std::vector<std::string> missing = needs;
    for (const auto& offers :
         row[1].as<int>() == static_cast<int>(Pool::kCpu) ? slots : devices) {
      std::vector<std::string> lacks;
      std::set_difference(needs.begin(), needs.end(), offers.begin(), offers.end(),
                          std::back_inserter(lacks));
      if (lacks.size() < missing.size()) missing = std::move(lacks);
    }
    if (!missing.empty()) nobody[row[0].as<int64_t>()] = std::move(missing);
  }
  return nobody;
}

std::string Why(v1::State state, const std::string& kind, const std::string& note, int ahead,
                int running, const std::vector<std::string>& waiting_for, const v1::Failure& failure) {
  switch (state) {
    case v1::WAITING:
      return absl::StrCat("waits for ", waiting_for.empty() ? "its group to start"
                                                            : absl::StrJoin(waiting_for, ", "));
    case v1::READY:
      if (!note.empty()) return note;
      if (ahead > 0) return absl::StrCat("queued; ", ahead, " ready passes go first");
      return "ready; waits for a worker with a free slot";
    case v1::RUNNING:
      if (kind == "external") return "waits for a client to complete it (CompleteTask)";
      if (kind == "job") return "its tasks are not all done";
      if (running == 0) return "its next pass waits for a free device, or for an identical pass";
      return absl::StrCat(running, " of its passes are running");
    case v1::DONE:
      return "done";
    default:
      return failure.message();
  }
}

}  // namespace

absl::StatusOr<v1::ExplainJobResponse> JobReads::Explain(int64_t job_id) {
  v1::ExplainJobResponse response;
  RETURN_IF_ERROR(database_->Read("explain", [&](pqxx::transaction_base& tx) {
    response.Clear();
    const auto jobs = tx.exec_params("SELECT state, open, tasks_open, fresh FROM jobs WHERE job_id = $1",
                                     job_id);
    if (jobs.empty()) return absl::NotFoundError(absl::StrCat("job_id: there is no job ", job_id));
    const auto job_state = static_cast<v1::State>(jobs[0][0].as<int>());
    const int tasks_open = jobs[0][2].as<int>();
    const bool fresh = jobs[0][3].as<bool>();
    if (job::IsFinal(job_state)) {
      response.set_why(absl::StrCat("the job is ", job::StateWord(job_state)));
    } else if (tasks_open == 0) {
      response.set_why("all its tasks have ended, but it is open: add tasks or seal it");
    } else {
      response.set_why(absl::StrCat(tasks_open, " of its tasks have not ended"));
    }
    const auto rows = tx.exec_params(
        "SELECT t.path, t.state, t.kind, t.plan_note, t.failure, t.passes, t.passes_cached, "
        "  (SELECT count(*) FROM queue q WHERE q.task_id = t.task_id AND q.state = 3), "
        "  (SELECT count(*) FROM queue q, (SELECT pool, priority, vtime, pass_id FROM queue "
        "     WHERE task_id = t.task_id AND state = 2 "
        "     ORDER BY priority DESC, vtime, pass_id LIMIT 1) m "
        "   WHERE q.state = 2 AND q.pool = m.pool AND (q.priority > m.priority OR "
        "     (q.priority = m.priority AND (q.vtime, q.pass_id) < (m.vtime, m.pass_id)))), "
        "  (SELECT array_agg(f.path ORDER BY f.path) FROM task_edges e "
        "     JOIN tasks f ON f.task_id = e.from_task "
        "     WHERE e.to_task = t.task_id AND f.state < 4), "
        "  (SELECT cache_key FROM passes p WHERE p.task_id = t.task_id AND cache_key IS NOT NULL "
        "     ORDER BY ordinal LIMIT 1), "
        "  (SELECT count(*) FROM passes p WHERE p.task_id = t.task_id AND p.source = 3), "
        "  (SELECT count(*) FROM passes p WHERE p.task_id = t.task_id AND p.source = 2), t.task_id "
        "FROM tasks t WHERE t.job_id = $1 ORDER BY t.state > 3, t.task_id LIMIT $2",
        job_id, kMaxTasks);
    const std::map<int64_t, std::vector<std::string>> nobody = NobodyOffers(tx, job_id);
    for (const auto& row : rows) {
      auto* task = response.add_tasks();
      task->set_task(row[0].c_str());
      task->set_state(static_cast<v1::State>(row[1].as<int>()));
      v1::Failure failure;
      failure.ParseFromString(FieldBytes(row[4]));
      auto waiting_for = TextList(row[9]);
      task->set_ahead_in_queue(row[8].as<uint32_t>());
      task->set_why(Why(task->state(), row[2].c_str(), row[3].c_str(), row[8].as<int>(),
                        row[7].as<int>(), waiting_for, failure));
      task->set_nobody(task->state() == v1::READY && row[3].size() > 0);
      if (const auto needs = nobody.find(row[13].as<int64_t>()); needs != nobody.end()) {
        task->set_why(absl::StrCat("no live worker offers ", absl::StrJoin(needs->second, ", "),
                                   "; start one with `sextant worker`"));
        task->set_nobody(true);
        waiting_for.insert(waiting_for.end(), needs->second.begin(), needs->second.end());
      }
      for (auto& name : waiting_for) task->add_waiting_for(std::move(name));
      task->set_cache_key(FieldBytes(row[10]));
      const int passes = row[5].as<int>(), merged = row[11].as<int>(), cached = row[12].as<int>();
      if (task->cache_key().empty()) {
        task->set_cache(passes > 0 ? "not cached" : "");
        continue;
      }
      task->set_cache(fresh              ? "fresh"
                      : cached == passes ? "hit"
                      : merged > 0       ? "merged"
                      : cached > 0       ? "partial"
                                         : "miss");
      ExplainKey(tx, task->cache_key(), task);
    }
    return absl::OkStatus();
  }));
  return response;
}

}  // namespace sextant::store
