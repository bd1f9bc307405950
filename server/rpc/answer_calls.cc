// The handlers of SextantService that answer from what passes left.
#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/sextant_service.h"

namespace sextant::rpc {

SextantService::SextantService(Rooms rooms, v1::ServiceDescription description)
    : rooms_(rooms), description_(std::move(description)) {}

grpc::ServerUnaryReactor* SextantService::GetTimeline(grpc::CallbackServerContext* context,
                                                      const v1::GetTimelineRequest* request,
                                                      v1::Timeline* response) {
  return Answer(context, "GetTimeline", rooms_.slow, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.analysis->Timeline(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetTable(grpc::CallbackServerContext* context,
                                                   const v1::GetTableRequest* request,
                                                   v1::GetTableResponse* response) {
  return Answer(context, "GetTable", rooms_.slow, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.analysis->Table(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetReport(grpc::CallbackServerContext* context,
                                                    const v1::GetReportRequest* request,
                                                    v1::Report* response) {
  return Answer(context, "GetReport", rooms_.slow, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.analysis->Report(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::CompareJobs(grpc::CallbackServerContext* context,
                                                      const v1::CompareJobsRequest* request,
                                                      v1::Comparison* response) {
  return Answer(context, "CompareJobs", rooms_.slow, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.analysis->Compare(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::Query(grpc::CallbackServerContext* context,
                                                const v1::QueryRequest* request,
                                                v1::QueryResponse* response) {
  return Answer(context, "Query", rooms_.slow, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.query->Run(*request));
    return absl::OkStatus();
  });
}

grpc::Status SextantService::ExportTrace(grpc::ServerContext* context,
                                         const v1::ExportTraceRequest* request,
                                         grpc::ServerWriter<v1::ExportTraceResponse>* writer) {
  return Timed("ExportTrace", rooms_.metrics, [&]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    return rooms_.analysis->Export(*request, [&](absl::string_view text) -> absl::Status {
      v1::ExportTraceResponse message;
      message.set_data(text.data(), text.size());
      if (writer->Write(message)) return absl::OkStatus();
      return absl::CancelledError("the caller went away");
    });
  });
}

grpc::ServerUnaryReactor* SextantService::DescribeService(
    grpc::CallbackServerContext* context, const v1::DescribeServiceRequest* request,
    v1::ServiceDescription* response) {
  return Answer(context, "DescribeService", rooms_.quick, rooms_.metrics,
                [=, this]() -> absl::Status {
    *response = description_;
    {
      absl::MutexLock lock(&mutex_);
      response->mutable_addresses()->insert(addresses_.begin(), addresses_.end());
    }
    return rooms_.reads->Describe(response);
  });
}

}  // namespace sextant::rpc
