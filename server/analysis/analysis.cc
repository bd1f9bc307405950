#include "server/analysis/analysis.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "server/analysis/compare.h"
#include "server/analysis/compare_code.h"
#include "server/analysis/critical_path.h"
#include "server/analysis/measured.h"
#include "server/analysis/hotspots.h"
#include "server/analysis/occupancy.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/region_costs.h"
#include "server/analysis/registers.h"
#include "server/analysis/roofline.h"
#include "server/analysis/timeline.h"
#include "server/analysis/variation.h"

namespace sextant::analysis {

absl::StatusOr<Evidence> Analysis::Gather(const v1::Subject& subject) {
  ASSIGN_OR_RETURN(auto task, FindTask(subject.job_id(), subject.task()));
  if (!task.has_spec()) {   // what was found in a list has none
    ASSIGN_OR_RETURN(task, reads_->Task(subject.job_id(), task.path()));
  }
  ASSIGN_OR_RETURN(auto passes, Passes(subject.job_id(), task.path()));
  EvidenceSources sources;
  sources.table = [this](const v1::PassInfo& pass, absl::string_view table) {
    return tables_.Read(pass, table);
  };
  sources.trace = [this](const v1::PassInfo& pass, const trace::ReadRequest& request,
                         absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) {
    return reader_.Read(pass.result().trace_digest(), request, use);
  };
  sources.artifact = [this](const v1::Artifact& artifact, uint64_t max_bytes) {
    return blobs_->ReadAll(artifact.digest(), max_bytes);
  };
  return Evidence::Make(std::move(sources), std::move(task), std::move(passes), subject);
}

absl::StatusOr<v1::CriticalPath> Analysis::CriticalPath(const v1::GetCriticalPathRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return FindCriticalPath(evidence, request);
}

absl::StatusOr<v1::RegionCosts> Analysis::RegionCosts(const v1::GetRegionCostsRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return MakeRegionCosts(evidence, request);
}

absl::StatusOr<v1::Hotspots> Analysis::Hotspots(const v1::GetHotspotsRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return MakeHotspots(evidence, request);
}

absl::StatusOr<v1::Registers> Analysis::Registers(const v1::GetRegistersRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return MakeRegisters(evidence);
}

absl::StatusOr<v1::Roofline> Analysis::Roofline(const v1::GetRooflineRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return MakeRoofline(evidence);
}

SampleReader Analysis::Samples() {
  return [this](const Evidence& evidence, const PassList& passes)
             -> absl::StatusOr<std::shared_ptr<const TraceSample>> {
    std::vector<PassLaunches> launches;
    for (const v1::PassInfo* pass : passes) {
      if (!Evidence::Has(*pass, "launches")) continue;
      auto table = evidence.Read(*pass, "launches");
      if (absl::IsNotFound(table.status())) continue;   // removed by retention
      RETURN_IF_ERROR(table.status());
      launches.push_back({pass, *std::move(table)});
    }
    const LaunchedKernels kernels = KernelsByLaunch(launches);
    std::vector<PassToRead> wanted;
    for (const v1::PassInfo* pass : passes) {
      const auto found = kernels.find(pass->pass_id());
      wanted.push_back({pass, found == kernels.end() ? nullptr : &found->second});
    }
    return samples_.Read(
        [this](const v1::PassInfo& pass, absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) {
          return reader_.Read(pass.result().trace_digest(), {}, use);
        },
        wanted, {});
  };
}

absl::StatusOr<v1::OccupancyOverTime> Analysis::Occupancy(const v1::GetOccupancyRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return FindOccupancy(evidence, Samples(), request);
}

absl::StatusOr<v1::Variation> Analysis::Variation(const v1::GetVariationRequest& request) {
  ASSIGN_OR_RETURN(const Evidence evidence, Gather(request.subject()));
  return FindVariation(evidence, Samples());
}

absl::StatusOr<v1::Timeline> Analysis::Timeline(const v1::GetTimelineRequest& request) {
  ASSIGN_OR_RETURN(const auto task, FindTask(request.job_id(), request.task()));
  ASSIGN_OR_RETURN(const auto passes, Passes(request.job_id(), task.path()));
  ASSIGN_OR_RETURN(const auto launches, Launches(passes));
  return MakeTimeline({&reader_, traces_, &samples_, limits_}, request, task, passes,
                      KnowledgeOf(launches));
}

absl::StatusOr<std::vector<PassLaunches>> Analysis::Launches(
    const std::vector<v1::PassInfo>& passes) {
  return ReadLaunches([this](const v1::PassInfo& pass, absl::string_view table) {
    return tables_.Read(pass, table);
  }, passes);
}

absl::StatusOr<v1::Comparison> Analysis::Compare(const v1::CompareJobsRequest& request) {
  ASSIGN_OR_RETURN(const auto task_a, FindTask(request.job_a(), request.task_a()), "job_a");
  ASSIGN_OR_RETURN(const auto task_b, FindTask(request.job_b(), request.task_b()), "job_b");
  if (task_a.task_id() == task_b.task_id())
    return absl::InvalidArgumentError(absl::StrCat(
        "task_b: ", task_b.path(), " of job ", request.job_b(), " is also task_a; name another task"));
  ASSIGN_OR_RETURN(const auto passes_a, Passes(request.job_a(), task_a.path()));
  ASSIGN_OR_RETURN(const auto passes_b, Passes(request.job_b(), task_b.path()));
  ASSIGN_OR_RETURN(const auto launches_a, Launches(passes_a));
  ASSIGN_OR_RETURN(const auto launches_b, Launches(passes_b));
  const auto certificates_a = Perturbations(launches_a), certificates_b = Perturbations(launches_b);
  ASSIGN_OR_RETURN(const MeasuredPair jobs,
                   Measure(tables_, &reader_, {passes_a, certificates_a},
                           {passes_b, certificates_b}, request.backend()));
  v1::Comparison comparison =
      analysis::Compare(jobs, {.gate = request.gate() > 0 ? request.gate() : kDefaultGate,
                               .across_machines = request.across_machines()});
  const CodeSources sources = {
      .table = [this](const v1::PassInfo& pass, absl::string_view table) { return tables_.Read(pass, table); },
      .artifact = [this](const v1::Artifact& artifact, uint64_t max_bytes) {
        return blobs_->ReadAll(artifact.digest(), max_bytes);
      }};
  RETURN_IF_ERROR(CompareCode(sources, passes_a, passes_b, &comparison));
  return comparison;
}

absl::StatusOr<v1::GetTableResponse> Analysis::Table(const v1::GetTableRequest& request) {
  v1::ListPassesRequest list;
  list.set_pass_id(request.pass_id());
  ASSIGN_OR_RETURN(const auto found, reads_->Passes(list, 1));
  if (found.passes().empty())
    return absl::NotFoundError(absl::StrCat("pass_id: there is no pass ", request.pass_id()));
  const v1::PassInfo& pass = found.passes(0);
  v1::GetTableResponse response;
  for (std::string& name : PassTables::Names(pass)) response.add_tables(std::move(name));
  if (request.table().empty()) return response;
  ASSIGN_OR_RETURN(const analysis::Table table, tables_.Read(pass, request.table()));
  response.set_total_rows(table->rows());
  ASSIGN_OR_RETURN(*response.mutable_table(),
                   SliceTable(*table, request.first_row(),
                              request.max_rows() == 0 ? 1000 : request.max_rows(),
                              {request.columns().begin(), request.columns().end()}));
  return response;
}

}  // namespace sextant::analysis
