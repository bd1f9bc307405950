// What can be said about a request without looking anything up. INVALID_ARGUMENT, the message begins
// with the field's name.
#pragma once

#include "absl/status/status.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::rpc {

inline constexpr size_t kMaxRequestIdBytes = 128;
inline constexpr size_t kMaxSubmitterBytes = 256;
inline constexpr double kMaxWaitS = 60;

absl::Status Check(const v1::ServiceLimits& limits, const v1::SubmitJobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::AddTasksRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::SealJobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetJobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::WatchJobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ListJobsRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::CancelJobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::CompleteTaskRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ExplainJobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ListPassesRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::FindMissingBlobsRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetBlobRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ListBlobsRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetTimelineRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetTableRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::PlanJobRequest& request);
// Fields are named subject.…
absl::Status Check(const v1::ServiceLimits& limits, const v1::Subject& subject);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetOccupancyRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetVariationRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetCriticalPathRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetRegionCostsRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetHotspotsRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetRegistersRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetRooflineRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetDiagnosisRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetReportRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::CompareJobsRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::QueryRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ExportTraceRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::CommitPassesRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::CreateTokenRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ListTokensRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::RevokeTokenRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::SetQuotaRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::GetQuotaRequest& request);
absl::Status Check(const v1::ServiceLimits& limits, const v1::ListAuditRequest& request);

}  // namespace sextant::rpc
