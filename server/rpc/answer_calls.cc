// The handlers of SextantService that answer from what passes left.
#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/sextant_service.h"

namespace sextant::rpc {

SextantService::SextantService(Rooms rooms, Door door, Threads threads, Streams* streams,
                               v1::ServiceDescription description)
    : rooms_(rooms),
      watch_rooms_({rooms.reads, rooms.watches, rooms.engine}),
      door_(door),
      quick_(threads.quick),
      slow_(threads.slow),
      streams_(streams),
      description_(std::move(description)) {}

grpc::ServerUnaryReactor* SextantService::GetTimeline(grpc::CallbackServerContext* context,
                                                      const v1::GetTimelineRequest* request,
                                                      v1::Timeline* response) {
  return Answer(door_, context, "GetTimeline", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Timeline(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetTable(grpc::CallbackServerContext* context,
                                                   const v1::GetTableRequest* request,
                                                   v1::GetTableResponse* response) {
  return Answer(door_, context, "GetTable", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Table(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetReport(grpc::CallbackServerContext* context,
                                                    const v1::GetReportRequest* request,
                                                    v1::Report* response) {
  return Answer(door_, context, "GetReport", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Report(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::CompareJobs(grpc::CallbackServerContext* context,
                                                      const v1::CompareJobsRequest* request,
                                                      v1::Comparison* response) {
  return Answer(door_, context, "CompareJobs", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Compare(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::Query(grpc::CallbackServerContext* context,
                                                const v1::QueryRequest* request,
                                                v1::QueryResponse* response) {
  return Answer(door_, context, "Query", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).query->Run(*request, caller.reach()));
    return absl::OkStatus();
  });
}

grpc::Status SextantService::ExportTrace(grpc::ServerContext* context,
                                         const v1::ExportTraceRequest* request,
                                         grpc::ServerWriter<v1::ExportTraceResponse>* writer) {
  return Timed(door_, context, "ExportTrace", request, [&](const access::Caller& caller, ByteStream&) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    return rooms_(caller).analysis->Export(*request, [&](absl::string_view text) -> absl::Status {
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
  return Answer(door_, context, "DescribeService", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    *response = description_;
    {
      absl::MutexLock lock(&mutex_);
      response->mutable_addresses()->insert(addresses_.begin(), addresses_.end());
    }
    *response->mutable_caller() = caller.ToProto();
    response->set_needs_token(door_.access->require_tokens());
    return rooms_(caller).reads->Describe(response, caller.reach());
  });
}

}  // namespace sextant::rpc
