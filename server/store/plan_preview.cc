// JobReads::PreviewPlan: what a graph would run now, and what that costs.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/job/auto_plan.h"
#include "server/job/plan.h"
#include "server/store/job_reads.h"
#include "server/store/planning.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

const char* PoolWord(int pool) {
  constexpr const char* kWords[] = {"cpu", "device", "coordinator"};
  return kWords[std::clamp(pool, 0, 2)];
}

uint32_t CountCached(pqxx::transaction_base& tx, const job::PlannedPasses& planned) {
  return ExecPrepared(tx,
                      "SELECT count(*) FROM samples WHERE cache_key = $1 AND sample < $2 AND done",
                      Bytes(planned.key.digest), planned.spec.repeat())[0][0]
      .as<uint32_t>();
}

void FillCost(pqxx::transaction_base& tx, const std::string& tenant, const v1::TaskSpec& task, double run_s,
              v1::PlannedPass* pass) {
  const job::TypicalCost typical = job::TypicalCostOf(pass->spec());
  pass->set_perturbation_pct(typical.perturbation_pct);
  pass->set_why(std::string(typical.why));
  const v1::Workload* workload = job::WorkloadOf(task);
  double one_s = 0;
  if (workload != nullptr && !workload->argv().empty())
    one_s = MeanPassSeconds(tx, tenant, workload->argv(0), pass->spec().backend(),
                            std::string(job::KindOf(task)));
  pass->set_cost_known(one_s > 0);
  if (one_s <= 0) one_s = run_s * typical.times_clean;
  pass->set_cost_s(one_s * (pass->spec().repeat() - pass->cached()));
}

}  // namespace

absl::StatusOr<v1::PlanJobResponse> JobReads::PreviewPlan(const v1::JobGraph& spec,
                                                          const job::ExpandedGraph& graph,
                                                          const std::string& tenant) {
  v1::PlanJobResponse response;
  RETURN_IF_ERROR(database_->Read("preview", [&](pqxx::transaction_base& tx) {
    response.Clear();
    job::PlanContext context;
    context.workers = KnownWorkers(tx);
    std::vector<v1::WorkerInfo> live = LiveWorkers(tx);
    if (live.empty()) live = context.workers;
    context.salt = spec.salt();
    context.tenant = tenant;
    for (const job::ExpandedTask& expanded : graph.tasks) {
      v1::TaskSpec task = *expanded.spec;
      if (task.has_group() || task.has_external()) continue;
      std::vector<std::string> notes;
      const double run_s = RunSeconds(tx, tenant, task);
      job::ExpandAuto(live, run_s, &task, &notes);
      for (const std::string& note : notes)
        response.add_notes(absl::StrCat("task ", expanded.path, ": ", note));
      const auto planned = job::PlanTask(context, task);
      if (!planned.ok()) {
        v1::PlannedPass* pass = response.add_passes();
        pass->set_task(expanded.path);
        // The one that matters: optional ones are left out where nobody offers them.
        const auto& asked = task.profile().passes();
        const auto wanted = std::find_if(asked.begin(), asked.end(),
                                         [](const v1::PassSpec& one) { return !one.optional(); });
        if (wanted != asked.end()) *pass->mutable_spec() = *wanted;
        else if (!asked.empty()) *pass->mutable_spec() = asked[0];
        pass->set_problem(std::string(planned.status().message()));
        continue;
      }
      for (const job::PlannedPasses& group : *planned) {
        v1::PlannedPass* pass = response.add_passes();
        pass->set_task(expanded.path);
        *pass->mutable_spec() = group.spec;
        pass->set_pool(PoolWord(group.pool));
        if (!spec.fresh() && !group.key.digest.empty() && task.inputs().empty())
          pass->set_cached(CountCached(tx, group));
        FillCost(tx, tenant, task, run_s, pass);
        if (pass->pool() == "device") response.set_device_s(response.device_s() + pass->cost_s());
      }
    }
    return absl::OkStatus();
  }));
  return response;
}

}  // namespace sextant::store
