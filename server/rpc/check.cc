#include "server/rpc/check.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/access/secret.h"

namespace sextant::rpc {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kMaxProgramNameBytes = 4096;   // a demangled kernel's
constexpr int kMaxWhatIfs = 64;
constexpr int kMaxSections = 100;
constexpr uint32_t kMaxPathSteps = 10'000;
constexpr uint32_t kMaxHotspots = 1000;
constexpr uint32_t kMaxFindings = 1000;
constexpr size_t kMaxTenantBytes = 64;
constexpr double kMaxLifetimeS = 100.0 * 366 * 24 * 3600;
constexpr double kMaxCallsPerS = 1e9;
constexpr uint32_t kMaxAuditPage = 1000;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status JobId(int64_t job_id) {
  if (job_id <= 0) return Wrong("job_id: required, a positive number, not ", job_id);
  return absl::OkStatus();
}

// The database stores such text, and people read it.
absl::Status NoControls(absl::string_view field, absl::string_view text) {
  for (unsigned char c : text)
    if (c < 0x20 || c == 0x7f) return Wrong(field, ": must not contain control characters");
  return absl::OkStatus();
}

absl::Status RequestId(const std::string& request_id) {
  if (request_id.empty())
    return Wrong("request_id: required; any text that is unique for this request");
  if (request_id.size() > kMaxRequestIdBytes)
    return Wrong("request_id: ", request_id.size(), " bytes, at most ", kMaxRequestIdBytes);
  return NoControls("request_id", request_id);
}

absl::Status Submitter(const std::string& submitter) {
  if (submitter.size() > kMaxSubmitterBytes)
    return Wrong("submitter: ", submitter.size(), " bytes, at most ", kMaxSubmitterBytes);
  return NoControls("submitter", submitter);
}

absl::Status Path(absl::string_view field, const std::string& path,
                  const v1::ServiceLimits& limits) {
  const uint64_t most =
      uint64_t{limits.max_nesting() + 1} * (uint64_t{limits.max_name_bytes()} + 1);
  if (path.size() > most) return Wrong(field, ": ", path.size(), " bytes, longer than any path");
  return NoControls(field, path);
}

absl::Status Digest(absl::string_view field, const std::string& digest) {
  if (digest.size() != kDigestBytes)
    return Wrong(field, ": a digest is the 32 raw bytes of a SHA-256, not ", digest.size(),
                 " bytes");
  return absl::OkStatus();
}

absl::Status PageSize(uint32_t page_size, const v1::ServiceLimits& limits) {
  if (page_size > limits.max_page_size())
    return Wrong("page_size: ", page_size, ", at most max_page_size = ", limits.max_page_size());
  return absl::OkStatus();
}

absl::Status Quantiles(absl::string_view field, absl::Span<const double> quantiles,
                       const v1::ServiceLimits& limits) {
  if (quantiles.size() > limits.max_quantiles())
    return Wrong(field, ": ", quantiles.size(), ", at most max_quantiles = ", limits.max_quantiles());
  for (size_t i = 0; i < quantiles.size(); ++i) {
    const double q = quantiles[i];
    if (!(q >= 0 && q <= 1)) return Wrong(field, "[", i, "]: ", q, " is not within 0 and 1");
    if (i > 0 && !(q > quantiles[i - 1]))
      return Wrong(field, "[", i, "]: ", q, " does not ascend from ", quantiles[i - 1]);
  }
  return absl::OkStatus();
}

// Names from programs: kernels, regions, roles.
absl::Status Name(absl::string_view field, const std::string& name) {
  if (name.size() > kMaxProgramNameBytes)
    return Wrong(field, ": ", name.size(), " bytes, at most ", kMaxProgramNameBytes);
  return NoControls(field, name);
}

// Empty is allowed.
absl::Status Tenant(absl::string_view field, const std::string& tenant) {
  if (tenant.size() > kMaxTenantBytes)
    return Wrong(field, ": ", tenant.size(), " bytes, at most ", kMaxTenantBytes);
  for (const char c : tenant)
    if (!(absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-'))
      return Wrong(field, ": a name space is made of a to z, 0 to 9 and -");
  return absl::OkStatus();
}

absl::Status All(std::initializer_list<absl::Status> statuses) {
  for (const absl::Status& status : statuses)
    if (!status.ok()) return status;
  return absl::OkStatus();
}

}  // namespace

absl::Status Check(const v1::ServiceLimits& limits, const v1::SubmitJobRequest& request) {
  if (!request.has_graph()) return Wrong("graph: required");
  return All({RequestId(request.request_id()), Submitter(request.submitter())});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::AddTasksRequest& request) {
  if (request.tasks().empty()) return Wrong("tasks: at least one is required");
  return All({JobId(request.job_id()), RequestId(request.request_id())});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::SealJobRequest& request) {
  return All({JobId(request.job_id()), Path("group", request.group(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetJobRequest& request) {
  if (!(request.wait_s() >= 0 && request.wait_s() <= kMaxWaitS))
    return Wrong("wait_s: ", request.wait_s(), ", must be within 0 and ", kMaxWaitS);
  return All({JobId(request.job_id()), PageSize(request.page_size(), limits),
              Path("tasks_after", request.tasks_after(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::WatchJobRequest& request) {
  if (request.after_seq() < 0) return Wrong("after_seq: ", request.after_seq(), " is negative");
  return JobId(request.job_id());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ListJobsRequest& request) {
  if (request.before_job_id() < 0)
    return Wrong("before_job_id: ", request.before_job_id(), " is negative");
  for (int i = 0; i < request.states_size(); ++i)
    if (request.states(i) == v1::STATE_UNSPECIFIED || !v1::State_IsValid(request.states(i)))
      return Wrong("states[", i, "]: ", request.states(i), " is not a state");
  if (static_cast<uint32_t>(request.labels_size()) > limits.max_labels())
    return Wrong("labels: ", request.labels_size(), ", at most max_labels = ", limits.max_labels());
  return All({Submitter(request.submitter()), PageSize(request.page_size(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::CancelJobRequest& request) {
  if (request.reason().size() > limits.max_path_bytes())
    return Wrong("reason: ", request.reason().size(), " bytes, at most ", limits.max_path_bytes());
  return All({JobId(request.job_id()), Path("task", request.task(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::CompleteTaskRequest& request) {
  if (request.task().empty()) return Wrong("task: required, the path of an external task");
  if (static_cast<uint32_t>(request.artifacts_size()) > limits.max_artifacts_per_pass())
    return Wrong("artifacts: ", request.artifacts_size(),
                 ", at most max_artifacts_per_pass = ", limits.max_artifacts_per_pass());
  for (int i = 0; i < request.artifacts_size(); ++i) {
    const std::string field = absl::StrCat("artifacts[", i, "]");
    if (request.artifacts(i).name().empty()) return Wrong(field, ".name: required");
    if (auto status = Digest(field + ".digest", request.artifacts(i).digest()); !status.ok())
      return status;
  }
  return All({JobId(request.job_id()), Path("task", request.task(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ExplainJobRequest& request) {
  return JobId(request.job_id());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ListPassesRequest& request) {
  if (request.pass_id() < 0) return Wrong("pass_id: ", request.pass_id(), " is negative");
  if (request.after_pass_id() < 0)
    return Wrong("after_pass_id: ", request.after_pass_id(), " is negative");
  if (request.pass_id() == 0 && request.job_id() <= 0)
    return Wrong("job_id: required unless pass_id is given");
  return All({Path("task", request.task(), limits), PageSize(request.page_size(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::FindMissingBlobsRequest& request) {
  if (static_cast<uint64_t>(request.digests_size()) > limits.max_blobs_per_request())
    return absl::ResourceExhaustedError(
        absl::StrCat("digests: ", request.digests_size(), ", at most max_blobs_per_request = ",
                     limits.max_blobs_per_request(), "; ask in several calls"));
  for (int i = 0; i < request.digests_size(); ++i)
    if (auto status = Digest(absl::StrCat("digests[", i, "]"), request.digests(i)); !status.ok())
      return status;
  return absl::OkStatus();
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetBlobRequest& request) {
  return Digest("digest", request.digest());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ListBlobsRequest& request) {
  if (!request.after_digest().empty())
    if (auto status = Digest("after_digest", request.after_digest()); !status.ok()) return status;
  return All({Submitter(request.submitter()), PageSize(request.page_size(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::PlanJobRequest& request) {
  if (!request.has_graph()) return Wrong("graph: required");
  return absl::OkStatus();
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetTableRequest& request) {
  if (request.pass_id() <= 0)
    return Wrong("pass_id: required, a positive number, not ", request.pass_id());
  if (request.table().size() > limits.max_name_bytes())
    return Wrong("table: ", request.table().size(), " bytes, at most max_name_bytes = ",
                 limits.max_name_bytes());
  if (request.max_rows() > limits.query_max_rows())
    return Wrong("max_rows: ", request.max_rows(), ", at most query_max_rows = ",
                 limits.query_max_rows());
  return NoControls("table", request.table());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetTimelineRequest& request) {
  if (auto status = Quantiles("quantiles", request.quantiles(), limits); !status.ok()) return status;
  if (request.buckets() > limits.max_buckets())
    return Wrong("buckets: ", request.buckets(), ", at most max_buckets = ", limits.max_buckets());
  if (request.max_instances() > limits.max_timeline_instances())
    return Wrong("max_instances: ", request.max_instances(),
                 ", at most max_timeline_instances = ", limits.max_timeline_instances());
  if ((request.from_ns() != 0 || request.to_ns() != 0) && request.from_ns() >= request.to_ns())
    return Wrong("to_ns: ", request.to_ns(), " must be greater than from_ns = ",
                 request.from_ns());
  if (static_cast<uint32_t>(request.regions_size()) > limits.max_regions_per_pass())
    return Wrong("regions: ", request.regions_size(),
                 ", at most max_regions_per_pass = ", limits.max_regions_per_pass());
  if (static_cast<uint32_t>(request.roles_size()) > limits.max_regions_per_pass())
    return Wrong("roles: ", request.roles_size(),
                 ", at most max_regions_per_pass = ", limits.max_regions_per_pass());
  return All({JobId(request.job_id()), Path("task", request.task(), limits), Name("kernel", request.kernel())});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::Subject& subject) {
  if (subject.job_id() <= 0)
    return Wrong("subject.job_id: required, a positive number, not ", subject.job_id());
  return All({Path("subject.task", subject.task(), limits), Name("subject.kernel", subject.kernel()),
              Quantiles("subject.quantiles", subject.quantiles(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetOccupancyRequest& request) {
  if (request.buckets() > limits.max_buckets())
    return Wrong("buckets: ", request.buckets(), ", at most max_buckets = ", limits.max_buckets());
  if (request.all_launches() && request.launch() > 0)
    return Wrong("launch: ", request.launch(), " is one launch; leave it 0 with all_launches");
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetVariationRequest& request) {
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetCriticalPathRequest& request) {
  if (request.max_steps() > kMaxPathSteps)
    return Wrong("max_steps: ", request.max_steps(), ", at most ", kMaxPathSteps);
  if (request.what_if_size() > kMaxWhatIfs)
    return Wrong("what_if: ", request.what_if_size(), ", at most ", kMaxWhatIfs);
  for (int i = 0; i < request.what_if_size(); ++i) {
    const v1::WhatIf& what = request.what_if(i);
    const std::string field = absl::StrCat("what_if[", i, "]");
    if (what.region().empty()) return Wrong(field, ".region: required");
    if (!(what.shorten_pct() <= 100 && what.shorten_pct() >= -1000 && what.shorten_pct() != 0))
      return Wrong(field, ".shorten_pct: ", what.shorten_pct(),
                   ", must be above 0 and at most 100, or from -1000 to below 0 to lengthen");
    if (auto status = All({Name(field + ".role", what.role()), Name(field + ".region", what.region())});
        !status.ok())
      return status;
  }
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetRegionCostsRequest& request) {
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetHotspotsRequest& request) {
  if (request.top() > kMaxHotspots) return Wrong("top: ", request.top(), ", at most ", kMaxHotspots);
  return All({Check(limits, request.subject()), Name("by", request.by()), Name("within", request.within())});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetRegistersRequest& request) {
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetRooflineRequest& request) {
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetDiagnosisRequest& request) {
  if (request.top() > kMaxFindings) return Wrong("top: ", request.top(), ", at most ", kMaxFindings);
  return Check(limits, request.subject());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetReportRequest& request) {
  if (request.sections_size() > kMaxSections)
    return Wrong("sections: ", request.sections_size(), ", at most ", kMaxSections);
  for (int i = 0; i < request.sections_size(); ++i)
    if (auto status = Name(absl::StrCat("sections[", i, "]"), request.sections(i)); !status.ok()) return status;
  if (auto status = Name("kernel", request.kernel()); !status.ok()) return status;
  return All({JobId(request.job_id()), Path("task", request.task(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::CompareJobsRequest& request) {
  for (const auto& [field, job] :
       {std::pair{"job_a", request.job_a()}, std::pair{"job_b", request.job_b()}})
    if (job <= 0) return Wrong(field, ": required, a positive number, not ", job);
  if (!(request.gate() >= 0 && request.gate() < 1))
    return Wrong("gate: ", request.gate(), ", must be a fraction from 0 to below 1: 0.02 is 2 %");
  if (request.backend().size() > limits.max_name_bytes())
    return Wrong("backend: ", request.backend().size(), " bytes, at most max_name_bytes = ",
                 limits.max_name_bytes());
  return All({Path("task_a", request.task_a(), limits), Path("task_b", request.task_b(), limits),
              NoControls("backend", request.backend())});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::QueryRequest& request) {
  if (request.sql().empty()) return Wrong("sql: required, one SELECT, VALUES or WITH … SELECT");
  if (request.sql().size() > limits.query_max_sql_bytes())
    return Wrong("sql: ", request.sql().size(),
                 " bytes, at most query_max_sql_bytes = ", limits.query_max_sql_bytes());
  if (!(request.timeout_s() >= 0)) return Wrong("timeout_s: ", request.timeout_s(), " is negative");
  return absl::OkStatus();
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ExportTraceRequest& request) {
  if (request.format() == v1::EXPORT_FORMAT_UNSPECIFIED ||
      !v1::ExportFormat_IsValid(request.format()))
    return Wrong("format: ", static_cast<int>(request.format()),
                 " is unknown; CHROME_JSON (1), CSV (2), PERFETTO (3), PPROF (4) and PARQUET (5) are there");
  if (!request.table().empty() && request.format() != v1::CSV && request.format() != v1::PARQUET)
    return Wrong("table: only CSV and PARQUET hold tables");
  if (static_cast<uint32_t>(request.pass_ids_size()) > limits.max_passes_per_task())
    return Wrong("pass_ids: ", request.pass_ids_size(),
                 ", at most max_passes_per_task = ", limits.max_passes_per_task());
  return All({JobId(request.job_id()), Path("task", request.task(), limits)});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::CommitPassesRequest& request) {
  if (request.worker().empty()) return Wrong("worker: required, WorkerInfo.name");
  for (int i = 0; i < request.commits_size(); ++i)
    if (request.commits(i).pass().pass_id() <= 0)
      return Wrong("commits[", i, "].pass.pass_id: required");
  return absl::OkStatus();
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::CreateTokenRequest& request) {
  if (request.scopes().empty())
    return Wrong("scopes: at least one of READ (1), SUBMIT (2), ADMIN (3), WORKER (4)");
  bool of_all = false;
  for (int i = 0; i < request.scopes_size(); ++i) {
    const int scope = request.scopes(i);
    if (scope == v1::TOKEN_SCOPE_UNSPECIFIED || !v1::TokenScope_IsValid(scope))
      return Wrong("scopes[", i, "]: ", scope, " is unknown; READ (1), SUBMIT (2), ADMIN (3), WORKER (4)");
    for (int before = 0; before < i; ++before)
      if (request.scopes(before) == scope) return Wrong("scopes[", i, "]: is there twice");
    of_all |= scope == v1::ADMIN || scope == v1::WORKER;
    if (scope == v1::WORKER && request.scopes_size() > 1)
      return Wrong("scopes[", i, "]: WORKER stands alone; a machine that also submits gets a token of its own for that");
  }
  if (of_all && !request.tenant().empty())
    return Wrong("tenant: tokens with scope ADMIN or WORKER are of all tenants; leave it empty");
  if (!(request.lifetime_s() >= 0 && request.lifetime_s() <= kMaxLifetimeS))
    return Wrong("lifetime_s: ", request.lifetime_s(), ", must be within 0 (for ever) and ", kMaxLifetimeS);
  if (request.name().size() > limits.max_name_bytes())
    return Wrong("name: ", request.name().size(), " bytes, at most max_name_bytes = ", limits.max_name_bytes());
  return All({Tenant("tenant", request.tenant()), NoControls("name", request.name())});
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ListTokensRequest& request) {
  return Tenant("tenant", request.tenant());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::RevokeTokenRequest& request) {
  if (!access::IsTokenId(request.id()))
    return Wrong("id: the public part of a token, sx_ and 12 hexadecimal digits");
  return absl::OkStatus();
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::SetQuotaRequest& request) {
  const v1::TenantQuota& quota = request.quota();
  if (quota.tenant().empty()) return Wrong("quota.tenant: required");
  if (!(quota.calls_per_s() >= 0 && quota.calls_per_s() <= kMaxCallsPerS))
    return Wrong("quota.calls_per_s: ", quota.calls_per_s(), ", must be within 0 (the service's) and ", kMaxCallsPerS);
  for (const auto& [field, value] : {std::pair{"queued_passes", quota.queued_passes()},
                                     std::pair{"stored_bytes", quota.stored_bytes()},
                                     std::pair{"running_devices", uint64_t{quota.running_devices()}}}) {
    const bool device = field == absl::string_view("running_devices");
    if (value > static_cast<uint64_t>(device ? INT32_MAX : INT64_MAX))
      return Wrong("quota.", field, ": ", value, " is too large; 0 is the service's bound");
  }
  return Tenant("quota.tenant", quota.tenant());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::GetQuotaRequest& request) {
  return Tenant("tenant", request.tenant());
}

absl::Status Check(const v1::ServiceLimits& limits, const v1::ListAuditRequest& request) {
  if (request.page_size() > kMaxAuditPage)
    return Wrong("page_size: ", request.page_size(), ", at most ", kMaxAuditPage);
  return Tenant("tenant", request.tenant());
}

}  // namespace sextant::rpc
