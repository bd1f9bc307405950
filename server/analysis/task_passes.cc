#include "server/analysis/task_passes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"

namespace sextant::analysis {

absl::StatusOr<v1::TaskInfo> FindProfileTask(store::JobReads* reads, const v1::ServiceLimits& limits,
                                             int64_t job_id, const std::string& path) {
  if (!path.empty()) {
    ASSIGN_OR_RETURN(auto task, reads->Task(job_id, path));
    if (task.kind() != "profile")
      return absl::InvalidArgumentError(absl::StrCat("task: ", path, " is a ", task.kind(),
                                                     " task; name one of kind profile"));
    return task;
  }
  v1::GetJobRequest page;
  page.set_job_id(job_id);
  page.set_with_tasks(true);
  std::vector<v1::TaskInfo> found;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(auto job, reads->Get(page, limits.max_page_size()));
    for (auto& task : *job.mutable_tasks())
      if (task.kind() == "profile") found.push_back(std::move(task));
    more = job.more_tasks() && !job.tasks().empty();
    if (more) page.set_tasks_after(job.tasks(job.tasks_size() - 1).path());
  }
  if (found.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("job ", job_id, " has no profile task: nothing in it records a trace"));
  if (found.size() > 1) {
    std::vector<std::string> names;
    for (const auto& task : found)
      if (names.size() < 10) names.push_back(task.path());
    return absl::InvalidArgumentError(absl::StrCat("task: required, the job has ", found.size(),
                                                   " profile tasks: ", absl::StrJoin(names, ", "),
                                                   found.size() > names.size() ? ", …" : ""));
  }
  return std::move(found.front());
}

absl::StatusOr<std::vector<v1::PassInfo>> ReadPasses(store::JobReads* reads,
                                                     const v1::ServiceLimits& limits, int64_t job_id,
                                                     const std::string& path) {
  v1::ListPassesRequest page;
  page.set_job_id(job_id);
  page.set_task(path);
  std::vector<v1::PassInfo> passes;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(auto some, reads->Passes(page, limits.max_page_size()));
    for (auto& pass : *some.mutable_passes()) passes.push_back(std::move(pass));
    more = some.more() && !some.passes().empty();
    if (more) page.set_after_pass_id(passes.back().pass_id());
  }
  std::stable_sort(passes.begin(), passes.end(), [](const auto& a, const auto& b) {
    return std::make_pair(a.task_id(), a.ordinal()) < std::make_pair(b.task_id(), b.ordinal());
  });
  return passes;
}

absl::StatusOr<std::vector<PassLaunches>> ReadLaunches(
    const decltype(EvidenceSources::table)& table, const std::vector<v1::PassInfo>& passes) {
  std::vector<PassLaunches> launches;
  for (const v1::PassInfo& pass : passes) {
    if (pass.state() != v1::DONE || !Evidence::Has(pass, "launches")) continue;
    auto read = table(pass, "launches");
    if (absl::IsNotFound(read.status())) continue;  // removed by retention
    RETURN_IF_ERROR(read.status());
    launches.push_back({&pass, *std::move(read)});
  }
  return launches;
}

}  // namespace sextant::analysis
