// The handlers of SextantService that join what passes saw of one kernel.
#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/sextant_service.h"

namespace sextant::rpc {

grpc::ServerUnaryReactor* SextantService::GetCriticalPath(grpc::CallbackServerContext* context,
                                                          const v1::GetCriticalPathRequest* request,
                                                          v1::CriticalPath* response) {
  return Answer(context, "GetCriticalPath", rooms_.slow, rooms_.metrics, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_.analysis->CriticalPath(*request));
    return absl::OkStatus();
  });
}

}  // namespace sextant::rpc
