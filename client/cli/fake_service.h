// A service for tests: real gRPC on a unix socket, answers given by the test. Every method not set
// answers UNIMPLEMENTED.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "client/cli/bundle.h"
#include "sextant/v1/sextant.grpc.pb.h"

namespace sextant::cli {

class FakeService : public v1::Sextant::Service {
 public:
  FakeService() {
    std::string name = (std::filesystem::temp_directory_path() / "sextant-fake-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    Start();
  }
  ~FakeService() override {
    Stop();
    std::filesystem::remove_all(directory_);
  }

  std::string address() const { return "unix://" + directory_ + "/socket"; }
  const std::string& directory() const { return directory_; }

  void Start() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  // Ends every stream at once, as a killed coordinator does.
  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  template <typename Request, typename Response>
  using Answer = std::function<grpc::Status(const Request&, Response&)>;

  Answer<v1::SubmitJobRequest, v1::SubmitJobResponse> submit;
  Answer<v1::GetJobRequest, v1::GetJobResponse> get_job;
  Answer<v1::ListJobsRequest, v1::ListJobsResponse> list_jobs;
  Answer<v1::CancelJobRequest, v1::JobInfo> cancel;
  Answer<v1::GetTimelineRequest, v1::Timeline> timeline;
  Answer<v1::QueryRequest, v1::QueryResponse> query;
  Answer<v1::CompareJobsRequest, v1::Comparison> compare;
  Answer<v1::ListPassesRequest, v1::ListPassesResponse> list_passes;
  Answer<v1::CreateTokenRequest, v1::CreateTokenResponse> create_token;
  Answer<v1::ListTokensRequest, v1::ListTokensResponse> list_tokens;
  Answer<v1::RevokeTokenRequest, v1::Token> revoke_token;
  Answer<v1::GetQuotaRequest, v1::QuotaUse> get_quota;
  Answer<v1::SetQuotaRequest, v1::QuotaUse> set_quota;
  Answer<v1::ListAuditRequest, v1::ListAuditResponse> list_audit;
  Answer<v1::DescribeServiceRequest, v1::ServiceDescription> describe;
  std::function<grpc::Status(grpc::ServerContext&, const v1::WatchJobRequest&, grpc::ServerWriter<v1::Event>&)> watch;

  // What the last DescribeService carried.
  std::string Authorization() {
    absl::MutexLock lock(&mutex_);
    return authorization_;
  }
  // Blobs that were uploaded, by digest.
  std::map<std::string, std::string> Blobs() {
    absl::MutexLock lock(&mutex_);
    return blobs_;
  }
  void Put(const std::string& content) {
    absl::MutexLock lock(&mutex_);
    blobs_[HashBytes(content)] = content;
  }

  grpc::Status SubmitJob(grpc::ServerContext*, const v1::SubmitJobRequest* q, v1::SubmitJobResponse* a) override {
    return Ask(submit, *q, *a);
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* q, v1::GetJobResponse* a) override {
    return Ask(get_job, *q, *a);
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* q, v1::ListJobsResponse* a) override {
    return Ask(list_jobs, *q, *a);
  }
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* q, v1::JobInfo* a) override {
    return Ask(cancel, *q, *a);
  }
  grpc::Status GetTimeline(grpc::ServerContext*, const v1::GetTimelineRequest* q, v1::Timeline* a) override {
    return Ask(timeline, *q, *a);
  }
  grpc::Status Query(grpc::ServerContext*, const v1::QueryRequest* q, v1::QueryResponse* a) override {
    return Ask(query, *q, *a);
  }
  grpc::Status CompareJobs(grpc::ServerContext*, const v1::CompareJobsRequest* q, v1::Comparison* a) override {
    return Ask(compare, *q, *a);
  }
  grpc::Status ListPasses(grpc::ServerContext*, const v1::ListPassesRequest* q, v1::ListPassesResponse* a) override {
    return Ask(list_passes, *q, *a);
  }
  grpc::Status CreateToken(grpc::ServerContext*, const v1::CreateTokenRequest* q, v1::CreateTokenResponse* a) override {
    return Ask(create_token, *q, *a);
  }
  grpc::Status ListTokens(grpc::ServerContext*, const v1::ListTokensRequest* q, v1::ListTokensResponse* a) override {
    return Ask(list_tokens, *q, *a);
  }
  grpc::Status RevokeToken(grpc::ServerContext*, const v1::RevokeTokenRequest* q, v1::Token* a) override {
    return Ask(revoke_token, *q, *a);
  }
  grpc::Status GetQuota(grpc::ServerContext*, const v1::GetQuotaRequest* q, v1::QuotaUse* a) override {
    return Ask(get_quota, *q, *a);
  }
  grpc::Status SetQuota(grpc::ServerContext*, const v1::SetQuotaRequest* q, v1::QuotaUse* a) override {
    return Ask(set_quota, *q, *a);
  }
  grpc::Status ListAudit(grpc::ServerContext*, const v1::ListAuditRequest* q, v1::ListAuditResponse* a) override {
    return Ask(list_audit, *q, *a);
  }
  grpc::Status DescribeService(grpc::ServerContext* context, const v1::DescribeServiceRequest* q,
                               v1::ServiceDescription* a) override {
    const auto sent = context->client_metadata().find("authorization");
    absl::MutexLock lock(&mutex_);
    authorization_ = sent == context->client_metadata().end() ? "" : std::string(sent->second.data(), sent->second.size());
    return Ask(describe, *q, *a);
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* q,
                        grpc::ServerWriter<v1::Event>* writer) override {
    if (!watch) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not set");
    return watch(*context, *q, *writer);
  }
  grpc::Status FindMissingBlobs(grpc::ServerContext*, const v1::FindMissingBlobsRequest* q,
                                v1::FindMissingBlobsResponse* a) override {
    absl::MutexLock lock(&mutex_);
    for (const std::string& digest : q->digests()) {
      if (!blobs_.count(digest)) a->add_missing(digest);
    }
    return grpc::Status::OK;
  }
  grpc::Status UploadBlobs(grpc::ServerContext*, grpc::ServerReader<v1::UploadBlobsRequest>* reader,
                           v1::UploadBlobsResponse* a) override {
    v1::UploadBlobsRequest part;
    std::string digest, content;
    while (reader->Read(&part)) {
      if (part.data().size() > 1 << 20) return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "max_blob_chunk_bytes");
      if (!part.digest().empty()) digest = part.digest();
      content += part.data();
      if (!part.last()) continue;
      if (HashBytes(content) != digest) return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "digest");
      absl::MutexLock lock(&mutex_);
      blobs_[digest] = content;
      a->set_stored(a->stored() + 1);
      a->set_stored_bytes(a->stored_bytes() + content.size());
      content.clear();
    }
    return grpc::Status::OK;
  }
  grpc::Status GetBlob(grpc::ServerContext*, const v1::GetBlobRequest* q,
                       grpc::ServerWriter<v1::GetBlobResponse>* writer) override {
    absl::MutexLock lock(&mutex_);
    const auto at = blobs_.find(q->digest());
    if (at == blobs_.end()) return grpc::Status(grpc::StatusCode::NOT_FOUND, "there is no such blob");
    v1::GetBlobResponse response;
    response.set_data(at->second);
    writer->Write(response);
    return grpc::Status::OK;
  }

 private:
  template <typename Request, typename Response>
  static grpc::Status Ask(const Answer<Request, Response>& answer, const Request& q, Response& a) {
    if (!answer) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not set");
    return answer(q, a);
  }

  std::string directory_;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::string authorization_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::cli
