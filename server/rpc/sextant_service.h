// The clients' port: each handler checks, asks one room, answers. Unary calls and watches hold no
// thread while they wait; the streams of bytes (UploadBlobs, GetBlob, ExportTrace) hold one each.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/sextant.grpc.pb.h"
#include "server/analysis/analysis.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/watch_hub.h"
#include "server/rpc/call.h"
#include "server/rpc/executor.h"
#include "server/rpc/streams.h"
#include "server/rpc/watch_call.h"
#include "server/store/blobs.h"
#include "server/store/audit.h"
#include "server/store/job_reads.h"
#include "server/store/jobs.h"
#include "server/store/query.h"
#include "server/store/quotas.h"
#include "server/store/tokens.h"

namespace sextant::rpc {

// Generated code offers it method by method: all but the streams of bytes by callback.
using CallbackJobs = v1::Sextant::WithCallbackMethod_SubmitJob<
    v1::Sextant::WithCallbackMethod_AddTasks<v1::Sextant::WithCallbackMethod_SealJob<
        v1::Sextant::WithCallbackMethod_GetJob<v1::Sextant::WithCallbackMethod_WatchJob<
            v1::Sextant::WithCallbackMethod_ListJobs<v1::Sextant::WithCallbackMethod_CancelJob<
                v1::Sextant::WithCallbackMethod_CompleteTask<
                    v1::Sextant::WithCallbackMethod_ExplainJob<
                        v1::Sextant::WithCallbackMethod_ListPasses<v1::Sextant::Service>>>>>>>>>>;
using CallbackSextant = v1::Sextant::WithCallbackMethod_FindMissingBlobs<
    v1::Sextant::WithCallbackMethod_ListBlobs<v1::Sextant::WithCallbackMethod_GetTimeline<
        v1::Sextant::WithCallbackMethod_GetTable<v1::Sextant::WithCallbackMethod_PlanJob<
        v1::Sextant::WithCallbackMethod_CompareJobs<
        v1::Sextant::WithCallbackMethod_GetReport<v1::Sextant::WithCallbackMethod_Query<
            v1::Sextant::WithCallbackMethod_DescribeService<CallbackJobs>>>>>>>>>;

using CallbackAnalyses =
    v1::Sextant::WithCallbackMethod_GetCriticalPath<
    v1::Sextant::WithCallbackMethod_GetDiagnosis<
    v1::Sextant::WithCallbackMethod_GetHotspots<
    v1::Sextant::WithCallbackMethod_GetOccupancy<
    v1::Sextant::WithCallbackMethod_GetRegionCosts<
    v1::Sextant::WithCallbackMethod_GetRegisters<
    v1::Sextant::WithCallbackMethod_GetRoofline<
    v1::Sextant::WithCallbackMethod_GetVariation<
        CallbackSextant>>>>>>>>;

using CallbackAccess =
    v1::Sextant::WithCallbackMethod_CreateToken<
    v1::Sextant::WithCallbackMethod_ListTokens<
    v1::Sextant::WithCallbackMethod_RevokeToken<
    v1::Sextant::WithCallbackMethod_SetQuota<
    v1::Sextant::WithCallbackMethod_GetQuota<
    v1::Sextant::WithCallbackMethod_ListAudit<
        CallbackAnalyses>>>>>>;

class SextantService final : public CallbackAccess {
 public:
  struct Rooms {
    store::JobStore* jobs;
    store::JobReads* reads;
    store::BlobStore* blobs;
    store::QueryRunner* query;
    analysis::Analysis* analysis;
    dispatch::Engine* engine;
    dispatch::WatchHub* watches;
    store::TokenStore* tokens;
    store::QuotaStore* quotas;
    store::AuditStore* audit;
  };
  struct Threads {
    Executor* quick;      // for what a few statements answer
    Executor* slow;       // for what reads traces or runs a client's SQL
  };
  // `description` is what DescribeService answers beside live numbers: version, limits, database.
  SextantService(Rooms rooms, Door door, Threads threads, Streams* streams,
                 v1::ServiceDescription description);

  // Adds to ServiceDescription.addresses. Any thread.
  void Announce(const std::string& name, const std::string& address) {
    absl::MutexLock lock(&mutex_);
    addresses_[name] = address;
  }

  grpc::ServerUnaryReactor* SubmitJob(grpc::CallbackServerContext* context,
                                      const v1::SubmitJobRequest* request,
                                      v1::SubmitJobResponse* response) override;
  grpc::ServerUnaryReactor* PlanJob(grpc::CallbackServerContext* context,
                                    const v1::PlanJobRequest* request,
                                    v1::PlanJobResponse* response) override;
  grpc::ServerUnaryReactor* AddTasks(grpc::CallbackServerContext* context,
                                     const v1::AddTasksRequest* request,
                                     v1::AddTasksResponse* response) override;
  grpc::ServerUnaryReactor* SealJob(grpc::CallbackServerContext* context,
                                    const v1::SealJobRequest* request,
                                    v1::JobInfo* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request,
                                   v1::GetJobResponse* response) override;
  grpc::ServerWriteReactor<v1::Event>* WatchJob(grpc::CallbackServerContext* context,
                                                const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::JobInfo* response) override;
  grpc::ServerUnaryReactor* CompleteTask(grpc::CallbackServerContext* context,
                                         const v1::CompleteTaskRequest* request,
                                         v1::TaskInfo* response) override;
  grpc::ServerUnaryReactor* ExplainJob(grpc::CallbackServerContext* context,
                                       const v1::ExplainJobRequest* request,
                                       v1::ExplainJobResponse* response) override;
  grpc::ServerUnaryReactor* ListPasses(grpc::CallbackServerContext* context,
                                       const v1::ListPassesRequest* request,
                                       v1::ListPassesResponse* response) override;

  grpc::ServerUnaryReactor* FindMissingBlobs(grpc::CallbackServerContext* context,
                                             const v1::FindMissingBlobsRequest* request,
                                             v1::FindMissingBlobsResponse* response) override;
  grpc::ServerUnaryReactor* ListBlobs(grpc::CallbackServerContext* context,
                                      const v1::ListBlobsRequest* request,
                                      v1::ListBlobsResponse* response) override;
  grpc::Status UploadBlobs(grpc::ServerContext* context,
                           grpc::ServerReader<v1::UploadBlobsRequest>* reader,
                           v1::UploadBlobsResponse* response) override;
  grpc::Status GetBlob(grpc::ServerContext* context, const v1::GetBlobRequest* request,
                       grpc::ServerWriter<v1::GetBlobResponse>* writer) override;

  grpc::ServerUnaryReactor* GetTimeline(grpc::CallbackServerContext* context,
                                        const v1::GetTimelineRequest* request,
                                        v1::Timeline* response) override;
  grpc::ServerUnaryReactor* GetTable(grpc::CallbackServerContext* context,
                                     const v1::GetTableRequest* request,
                                     v1::GetTableResponse* response) override;
  grpc::ServerUnaryReactor* GetOccupancy(grpc::CallbackServerContext* context,
                                         const v1::GetOccupancyRequest* request,
                                         v1::OccupancyOverTime* response) override;
  grpc::ServerUnaryReactor* GetVariation(grpc::CallbackServerContext* context,
                                         const v1::GetVariationRequest* request,
                                         v1::Variation* response) override;
  grpc::ServerUnaryReactor* GetCriticalPath(grpc::CallbackServerContext* context,
                                            const v1::GetCriticalPathRequest* request,
                                            v1::CriticalPath* response) override;
  grpc::ServerUnaryReactor* GetRegionCosts(grpc::CallbackServerContext* context,
                                           const v1::GetRegionCostsRequest* request, v1::RegionCosts* response) override;
  grpc::ServerUnaryReactor* GetHotspots(grpc::CallbackServerContext* context,
                                        const v1::GetHotspotsRequest* request, v1::Hotspots* response) override;
  grpc::ServerUnaryReactor* GetRegisters(grpc::CallbackServerContext* context,
                                         const v1::GetRegistersRequest* request, v1::Registers* response) override;
  grpc::ServerUnaryReactor* GetRoofline(grpc::CallbackServerContext* context,
                                        const v1::GetRooflineRequest* request, v1::Roofline* response) override;
  grpc::ServerUnaryReactor* GetDiagnosis(grpc::CallbackServerContext* context,
                                         const v1::GetDiagnosisRequest* request,
                                         v1::Diagnosis* response) override;
  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const v1::GetReportRequest* request,
                                      v1::Report* response) override;
  grpc::ServerUnaryReactor* CompareJobs(grpc::CallbackServerContext* context,
                                        const v1::CompareJobsRequest* request,
                                        v1::Comparison* response) override;
  grpc::ServerUnaryReactor* Query(grpc::CallbackServerContext* context,
                                  const v1::QueryRequest* request,
                                  v1::QueryResponse* response) override;
  grpc::Status ExportTrace(grpc::ServerContext* context, const v1::ExportTraceRequest* request,
                           grpc::ServerWriter<v1::ExportTraceResponse>* writer) override;
  grpc::ServerUnaryReactor* DescribeService(grpc::CallbackServerContext* context,
                                            const v1::DescribeServiceRequest* request,
                                            v1::ServiceDescription* response) override;

  grpc::ServerUnaryReactor* CreateToken(grpc::CallbackServerContext* context,
                                        const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RevokeToken(grpc::CallbackServerContext* context,
                                        const v1::RevokeTokenRequest* request,
                                        v1::Token* response) override;
  grpc::ServerUnaryReactor* SetQuota(grpc::CallbackServerContext* context,
                                     const v1::SetQuotaRequest* request,
                                     v1::QuotaUse* response) override;
  grpc::ServerUnaryReactor* GetQuota(grpc::CallbackServerContext* context,
                                     const v1::GetQuotaRequest* request,
                                     v1::QuotaUse* response) override;
  grpc::ServerUnaryReactor* ListAudit(grpc::CallbackServerContext* context,
                                      const v1::ListAuditRequest* request,
                                      v1::ListAuditResponse* response) override;

 private:
  const v1::ServiceLimits& limits() const { return description_.limits(); }

  const Behind<Rooms> rooms_;
  const Behind<WatchCall::Rooms> watch_rooms_;
  const Door door_;
  Executor* const quick_;
  Executor* const slow_;
  Streams* const streams_;
  const v1::ServiceDescription description_;
  absl::Mutex mutex_;
  std::map<std::string, std::string> addresses_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::rpc
