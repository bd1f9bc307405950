// Answers about what passes recorded: the statistical timeline, the report, the export. Reads what
// is there, also while the job still runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"
#include "server/analysis/task_passes.h"
#include "server/analysis/facts.h"
#include "server/analysis/pass_tables.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/sample_cache.h"
#include "server/store/blobs.h"
#include "server/store/job_reads.h"
#include "server/store/trace_chunks.h"
#include "server/trace/reader.h"

namespace sextant::analysis {

// Thread-safe; borrows the stores. Requests have been checked against the limits
// (server/rpc/check.h).
class Analysis {
 public:
  Analysis(store::JobReads* reads, store::TraceStore* traces, store::BlobStore* blobs,
           v1::ServiceLimits limits)
      : reads_(reads),
        traces_(traces),
        blobs_(blobs),
        tables_(blobs),
        reader_(traces),
        limits_(std::move(limits)) {}

  // NOT_FOUND: no such job or task. INVALID_ARGUMENT: the task is not a profile task, or several are
  // and none is named. FAILED_PRECONDITION: nothing to show yet; says what is missing and what to do.
  absl::StatusOr<v1::Timeline> Timeline(const v1::GetTimelineRequest& request);

  // A job without traces has a report too: how its passes went.
  absl::StatusOr<v1::Report> Report(const v1::GetReportRequest& request);

  // Errors name the job: job_a or job_b. FAILED_PRECONDITION: one has nothing to compare yet, or the two
  // have no kind of pass in common.
  absl::StatusOr<v1::Comparison> Compare(const v1::CompareJobsRequest& request);

  // Of a kernel of a profile task; errors as Timeline's, and NOT_FOUND: it was not launched. What the
  // passes do not tell is in basis.abstentions, not an error.
  absl::StatusOr<v1::CriticalPath> CriticalPath(const v1::GetCriticalPathRequest& request);
  absl::StatusOr<v1::RegionCosts> RegionCosts(const v1::GetRegionCostsRequest& request);
  // INVALID_ARGUMENT too: `by` or `within` names nothing of the kernel.
  absl::StatusOr<v1::Hotspots> Hotspots(const v1::GetHotspotsRequest& request);
  absl::StatusOr<v1::Registers> Registers(const v1::GetRegistersRequest& request);
  absl::StatusOr<v1::Roofline> Roofline(const v1::GetRooflineRequest& request);
  // Of the kernel named, or of those that take 5 % of the GPU's time or more, at most four.
  absl::StatusOr<v1::Diagnosis> Diagnosis(const v1::GetDiagnosisRequest& request);

  // Likewise.
  absl::StatusOr<v1::OccupancyOverTime> Occupancy(const v1::GetOccupancyRequest& request);
  absl::StatusOr<v1::Variation> Variation(const v1::GetVariationRequest& request);

  // NOT_FOUND: no such pass, table or column.
  absl::StatusOr<v1::GetTableResponse> Table(const v1::GetTableRequest& request);

  // Hands the file over in pieces. Partial and failed passes are exported too if they left a trace. With
  // `table` the rows of that table of the passes. PPROF: samples of the passes that took any, else time
  // by region.
  using Sink = absl::FunctionRef<absl::Status(absl::string_view)>;
  absl::Status Export(const v1::ExportTraceRequest& request, Sink sink);

 private:
  // What the passes of a task left, about one kernel: what every other answer begins with.
  absl::StatusOr<Evidence> Gather(const v1::Subject& subject);
  // Samples of these passes, of all kernels, as the timeline reads them.
  SampleReader Samples();
  // Of the kernel named, or each of those worth it; at least one.
  absl::StatusOr<std::vector<Evidence>> KernelsWorthIt(const v1::Subject& subject);
  // Asks all other analyses, and gathers what else the rules need. What cannot be had is absent, and `basis` says
  // why.
  absl::StatusOr<Facts> FactsAbout(const Evidence& evidence, const v1::Subject& subject, v1::Basis* basis);
  static v1::Diagnosis DiagnoseWith(const std::vector<Evidence>& kernels, const std::vector<Facts>& facts, uint32_t top,
                                    v1::Basis basis);
  absl::StatusOr<v1::TaskInfo> FindTask(int64_t job_id, const std::string& path) {
    return FindProfileTask(reads_, limits_, job_id, path);
  }
  absl::StatusOr<std::vector<v1::PassInfo>> Passes(int64_t job_id, const std::string& path) {
    return ReadPasses(reads_, limits_, job_id, path);
  }
  absl::Status ExportTable(const v1::ExportTraceRequest& request, const v1::TaskInfo& task,
                           const std::vector<v1::PassInfo>& passes, Sink sink);
  // False: the passes asked for took no samples.
  absl::StatusOr<bool> ExportSamples(const v1::ExportTraceRequest& request,
                                     const v1::TaskInfo& task,
                                     const std::vector<v1::PassInfo>& passes, Sink sink);
  absl::StatusOr<std::vector<PassLaunches>> Launches(const std::vector<v1::PassInfo>& passes);

  store::JobReads* const reads_;
  store::TraceStore* const traces_;
  store::BlobStore* const blobs_;
  const PassTables tables_;
  trace::Reader reader_;
  SampleCache samples_;
  const v1::ServiceLimits limits_;
};

}  // namespace sextant::analysis
