// The service as the program sees it: one method per RPC, gRPC kept out of sight. Every error is the
// service's own status; UNAVAILABLE also when nothing answers at the address; FAILED_PRECONDITION when who
// answers there cannot be trusted, or does not trust us.
//
// Calls block; each may be made from any thread. Streams call back on the calling thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/endpoint/endpoint.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::mcp {
class Server;
}

namespace sextant::cli {

// Ends a running stream from another thread. One per call; may be used before the call begins.
class Canceller {
 public:
  Canceller();
  ~Canceller();
  Canceller(const Canceller&) = delete;
  Canceller& operator=(const Canceller&) = delete;

  void Cancel();

 private:
  friend class Service;
  struct State;
  std::unique_ptr<State> state_;
};

class Service {
 public:
  // Nothing is contacted yet.
  explicit Service(endpoint::Endpoint endpoint);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const std::string& address() const { return endpoint_.address(); }
  const endpoint::Endpoint& endpoint() const { return endpoint_; }

  // OK when the health service says SERVING within `timeout_s`.
  absl::Status Healthy(double timeout_s);

  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(const v1::SubmitJobRequest& request);
  absl::StatusOr<v1::AddTasksResponse> AddTasks(const v1::AddTasksRequest& request);
  absl::StatusOr<v1::JobInfo> SealJob(const v1::SealJobRequest& request);
  absl::StatusOr<v1::GetJobResponse> GetJob(const v1::GetJobRequest& request);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::JobInfo> CancelJob(const v1::CancelJobRequest& request);
  absl::StatusOr<v1::TaskInfo> CompleteTask(const v1::CompleteTaskRequest& request);
  absl::StatusOr<v1::ExplainJobResponse> ExplainJob(const v1::ExplainJobRequest& request);
  absl::StatusOr<v1::ListPassesResponse> ListPasses(const v1::ListPassesRequest& request);
  absl::StatusOr<v1::FindMissingBlobsResponse> FindMissingBlobs(
      const v1::FindMissingBlobsRequest& request);
  absl::StatusOr<v1::ListBlobsResponse> ListBlobs(const v1::ListBlobsRequest& request);
  absl::StatusOr<v1::Timeline> GetTimeline(const v1::GetTimelineRequest& request);
  absl::StatusOr<v1::GetTableResponse> GetTable(const v1::GetTableRequest& request);
  absl::StatusOr<v1::PlanJobResponse> PlanJob(const v1::PlanJobRequest& request);
  absl::StatusOr<v1::OccupancyOverTime> GetOccupancy(const v1::GetOccupancyRequest& request);
  absl::StatusOr<v1::Variation> GetVariation(const v1::GetVariationRequest& request);
  absl::StatusOr<v1::CriticalPath> GetCriticalPath(const v1::GetCriticalPathRequest& request);
  absl::StatusOr<v1::RegionCosts> GetRegionCosts(const v1::GetRegionCostsRequest& request);
  absl::StatusOr<v1::Hotspots> GetHotspots(const v1::GetHotspotsRequest& request);
  absl::StatusOr<v1::Registers> GetRegisters(const v1::GetRegistersRequest& request);
  absl::StatusOr<v1::Roofline> GetRoofline(const v1::GetRooflineRequest& request);
  absl::StatusOr<v1::Diagnosis> GetDiagnosis(const v1::GetDiagnosisRequest& request);
  absl::StatusOr<v1::Report> GetReport(const v1::GetReportRequest& request);
  absl::StatusOr<v1::Comparison> CompareJobs(const v1::CompareJobsRequest& request);
  absl::StatusOr<v1::QueryResponse> Query(const v1::QueryRequest& request);
  absl::StatusOr<v1::ServiceDescription> Describe();

  absl::StatusOr<v1::CreateTokenResponse> CreateToken(const v1::CreateTokenRequest& request);
  absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListTokensRequest& request);
  absl::StatusOr<v1::Token> RevokeToken(const v1::RevokeTokenRequest& request);
  absl::StatusOr<v1::QuotaUse> SetQuota(const v1::SetQuotaRequest& request);
  absl::StatusOr<v1::QuotaUse> GetQuota(const v1::GetQuotaRequest& request);
  absl::StatusOr<v1::ListAuditResponse> ListAudit(const v1::ListAuditRequest& request);

  // An MCP server that is a client of this service; its clients are this machine's user.
  std::unique_ptr<mcp::Server> Mcp();

  // Events until the job has ended (OK), the stream breaks, or `canceller` is used (CANCELLED).
  absl::Status WatchJob(const v1::WatchJobRequest& request, Canceller& canceller,
                        const std::function<void(const v1::Event&)>& on_event);
  // Sends what `next` fills in until it returns false. An error of `next` ends the upload with it.
  absl::StatusOr<v1::UploadBlobsResponse> UploadBlobs(
      const std::function<absl::StatusOr<bool>(v1::UploadBlobsRequest&)>& next);
  // The blob's bytes in order. An error of `on_data` ends the call with it.
  absl::Status GetBlob(const v1::GetBlobRequest& request,
                       const std::function<absl::Status(const v1::GetBlobResponse&)>& on_data);
  absl::Status ExportTrace(const v1::ExportTraceRequest& request,
                           const std::function<absl::Status(const std::string&)>& on_data);

 private:
  struct Channel;
  const endpoint::Endpoint endpoint_;
  std::unique_ptr<Channel> channel_;
};

}  // namespace sextant::cli
