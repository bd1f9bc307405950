#include "client/cli/service.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/endpoint/channel.h"
#include "client/endpoint/look.h"
#include "client/cli/text.h"
#include "client/mcp/server.h"
#include "sextant/v1/sextant.grpc.pb.h"

namespace sextant::cli {
namespace {

// A unary call is short; a long poll adds its own wait. Beyond this something is wrong.
constexpr double kUnaryTimeoutS = 60;
constexpr double kQueryTimeoutS = 600;
constexpr int kMaxMessageBytes = 256 << 20;
constexpr double kLookTimeoutS = 3;

std::chrono::system_clock::time_point After(double seconds) {
  return std::chrono::system_clock::now() +
         std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
}

// The health service's messages are so small that they are written here by hand: request
// {string service = 1}, response {enum status = 1}, SERVING is 1.
constexpr char kHealthMethod[] = "/grpc.health.v1.Health/Check";

bool SaysServing(const grpc::ByteBuffer& response) {
  std::vector<grpc::Slice> slices;
  if (!response.Dump(&slices).ok()) return false;
  std::string bytes;
  for (const grpc::Slice& s : slices) {
    bytes.append(reinterpret_cast<const char*>(s.begin()), s.size());
  }
  return bytes == std::string("\x08\x01", 2);
}

}  // namespace

struct Canceller::State {
  absl::Mutex mutex;
  bool cancelled ABSL_GUARDED_BY(mutex) = false;
  grpc::ClientContext* context ABSL_GUARDED_BY(mutex) = nullptr;
};

Canceller::Canceller() : state_(std::make_unique<State>()) {}
Canceller::~Canceller() = default;

void Canceller::Cancel() {
  absl::MutexLock lock(&state_->mutex);
  state_->cancelled = true;
  if (state_->context != nullptr) state_->context->TryCancel();
}

struct Service::Channel {
  explicit Channel(const endpoint::Endpoint& endpoint) : endpoint(endpoint) {}

  const endpoint::Endpoint& endpoint;
  std::shared_ptr<grpc::Channel> channel;  // gRPC's own type: stubs share it
  std::unique_ptr<v1::Sextant::Stub> stub;
  std::atomic<bool> answered = false;   // by whoever can be trusted

  absl::Status Translate(const grpc::Status& status) {
    if (status.ok() || (status.error_code() != grpc::StatusCode::UNAVAILABLE &&
                        status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED &&
                        status.error_code() != grpc::StatusCode::CANCELLED))
      answered = true;
    if (status.ok()) return absl::OkStatus();
    const auto code = static_cast<absl::StatusCode>(status.error_code());
    std::string message = Escape(status.error_message(), 2000);
    if (code == absl::StatusCode::kUnavailable) {
      // Whether it is away, or will never do: a service that answered once was the right one.
      if (endpoint.tcp() && !answered) {
        const absl::Status looked = endpoint::Look(endpoint, kLookTimeoutS).status;
        if (absl::IsFailedPrecondition(looked)) return absl::Status(looked.code(), Escape(looked.message(), 2000));
      }
      message = absl::StrCat("the service at ", Escape(endpoint.address()), " does not answer: ", message);
    }
    return absl::Status(code, message);
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Sextant::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                                const Request& request, double timeout_s = kUnaryTimeoutS) {
    grpc::ClientContext context;
    context.set_deadline(After(timeout_s));
    Response response;
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    if (!status.ok()) return Translate(status);
    return response;
  }
};

Service::Service(endpoint::Endpoint endpoint)
    : endpoint_(std::move(endpoint)), channel_(std::make_unique<Channel>(endpoint_)) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetUserAgentPrefix("sextant-cli/" SEXTANT_VERSION);
  channel_->channel = endpoint::OpenChannel(endpoint_, arguments);
  channel_->stub = v1::Sextant::NewStub(channel_->channel);
}

Service::~Service() = default;

absl::Status Service::Healthy(double timeout_s) {
  grpc::GenericStub stub(channel_->channel);
  grpc::ClientContext context;
  context.set_deadline(After(timeout_s));
  grpc::CompletionQueue queue;
  grpc::ByteBuffer request, response;
  const grpc::Slice empty("", 0);
  request = grpc::ByteBuffer(&empty, 1);
  auto call = stub.PrepareUnaryCall(&context, kHealthMethod, request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok()) return channel_->Translate(status);
  if (!SaysServing(response)) {
    return absl::UnavailableError(absl::StrCat("the service at ", address(), " is not serving yet"));
  }
  return absl::OkStatus();
}

#define SEXTANT_CLI_CALL(Method)                                                              \
  absl::StatusOr<v1::Method##Response> Service::Method(const v1::Method##Request& request) { \
    return channel_->Call(&v1::Sextant::Stub::Method, request);                               \
  }
SEXTANT_CLI_CALL(SubmitJob)
SEXTANT_CLI_CALL(AddTasks)
SEXTANT_CLI_CALL(ListJobs)
SEXTANT_CLI_CALL(ExplainJob)
SEXTANT_CLI_CALL(PlanJob)
SEXTANT_CLI_CALL(ListPasses)
SEXTANT_CLI_CALL(FindMissingBlobs)
SEXTANT_CLI_CALL(ListBlobs)
SEXTANT_CLI_CALL(CreateToken)
SEXTANT_CLI_CALL(ListTokens)
SEXTANT_CLI_CALL(ListAudit)
#undef SEXTANT_CLI_CALL

absl::StatusOr<v1::GetJobResponse> Service::GetJob(const v1::GetJobRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetJob, request, kUnaryTimeoutS + request.wait_s());
}
absl::StatusOr<v1::JobInfo> Service::SealJob(const v1::SealJobRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::SealJob, request);
}
absl::StatusOr<v1::JobInfo> Service::CancelJob(const v1::CancelJobRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::CancelJob, request);
}
absl::StatusOr<v1::TaskInfo> Service::CompleteTask(const v1::CompleteTaskRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::CompleteTask, request);
}
absl::StatusOr<v1::Token> Service::RevokeToken(const v1::RevokeTokenRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::RevokeToken, request);
}
absl::StatusOr<v1::QuotaUse> Service::SetQuota(const v1::SetQuotaRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::SetQuota, request);
}
absl::StatusOr<v1::QuotaUse> Service::GetQuota(const v1::GetQuotaRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetQuota, request);
}
absl::StatusOr<v1::GetTableResponse> Service::GetTable(const v1::GetTableRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetTable, request, kQueryTimeoutS);
}

absl::StatusOr<v1::Timeline> Service::GetTimeline(const v1::GetTimelineRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetTimeline, request, kQueryTimeoutS);
}
absl::StatusOr<v1::OccupancyOverTime> Service::GetOccupancy(const v1::GetOccupancyRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetOccupancy, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Variation> Service::GetVariation(const v1::GetVariationRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetVariation, request, kQueryTimeoutS);
}
absl::StatusOr<v1::CriticalPath> Service::GetCriticalPath(const v1::GetCriticalPathRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetCriticalPath, request, kQueryTimeoutS);
}
absl::StatusOr<v1::RegionCosts> Service::GetRegionCosts(const v1::GetRegionCostsRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetRegionCosts, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Hotspots> Service::GetHotspots(const v1::GetHotspotsRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetHotspots, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Registers> Service::GetRegisters(const v1::GetRegistersRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetRegisters, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Roofline> Service::GetRoofline(const v1::GetRooflineRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetRoofline, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Diagnosis> Service::GetDiagnosis(const v1::GetDiagnosisRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetDiagnosis, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Report> Service::GetReport(const v1::GetReportRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::GetReport, request, kQueryTimeoutS);
}
absl::StatusOr<v1::Comparison> Service::CompareJobs(const v1::CompareJobsRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::CompareJobs, request, kQueryTimeoutS);
}
absl::StatusOr<v1::QueryResponse> Service::Query(const v1::QueryRequest& request) {
  return channel_->Call(&v1::Sextant::Stub::Query, request, kQueryTimeoutS);
}
absl::StatusOr<v1::ServiceDescription> Service::Describe() {
  return channel_->Call(&v1::Sextant::Stub::DescribeService, v1::DescribeServiceRequest());
}

std::unique_ptr<mcp::Server> Service::Mcp() {
  return std::make_unique<mcp::Server>(
      channel_->channel, mcp::Server::Options{.version = SEXTANT_VERSION, .local = true, .threads = 4});
}

absl::Status Service::WatchJob(const v1::WatchJobRequest& request, Canceller& canceller,
                               const std::function<void(const v1::Event&)>& on_event) {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&canceller.state_->mutex);
    if (canceller.state_->cancelled) return absl::CancelledError("watching was ended");
    canceller.state_->context = &context;
  }
  auto reader = channel_->stub->WatchJob(&context, request);
  v1::Event event;
  while (reader->Read(&event)) on_event(event);
  const grpc::Status status = reader->Finish();
  absl::MutexLock lock(&canceller.state_->mutex);
  canceller.state_->context = nullptr;
  return channel_->Translate(status);
}

absl::StatusOr<v1::UploadBlobsResponse> Service::UploadBlobs(
    const std::function<absl::StatusOr<bool>(v1::UploadBlobsRequest&)>& next) {
  grpc::ClientContext context;
  v1::UploadBlobsResponse response;
  auto writer = channel_->stub->UploadBlobs(&context, &response);
  while (true) {
    v1::UploadBlobsRequest request;
    absl::StatusOr<bool> more = next(request);
    if (!more.ok()) {
      context.TryCancel();
      (void)writer->Finish();
      return more.status();
    }
    if (!*more || !writer->Write(request)) break;
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return channel_->Translate(status);
  return response;
}

absl::Status Service::GetBlob(
    const v1::GetBlobRequest& request,
    const std::function<absl::Status(const v1::GetBlobResponse&)>& on_data) {
  grpc::ClientContext context;
  auto reader = channel_->stub->GetBlob(&context, request);
  v1::GetBlobResponse response;
  absl::Status wrong;
  while (wrong.ok() && reader->Read(&response)) wrong = on_data(response);
  if (!wrong.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return wrong.ok() ? channel_->Translate(status) : wrong;
}

absl::Status Service::ExportTrace(const v1::ExportTraceRequest& request,
                                  const std::function<absl::Status(const std::string&)>& on_data) {
  grpc::ClientContext context;
  auto reader = channel_->stub->ExportTrace(&context, request);
  v1::ExportTraceResponse response;
  absl::Status wrong;
  while (wrong.ok() && reader->Read(&response)) wrong = on_data(response.data());
  if (!wrong.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return wrong.ok() ? channel_->Translate(status) : wrong;
}

}  // namespace sextant::cli
