// The handlers of SextantService that join what passes saw of one kernel.
#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/sextant_service.h"

namespace sextant::rpc {

grpc::ServerUnaryReactor* SextantService::GetOccupancy(grpc::CallbackServerContext* context,
                                                       const v1::GetOccupancyRequest* request,
                                                       v1::OccupancyOverTime* response) {
  return Answer(door_, context, "GetOccupancy", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Occupancy(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetVariation(grpc::CallbackServerContext* context,
                                                       const v1::GetVariationRequest* request,
                                                       v1::Variation* response) {
  return Answer(door_, context, "GetVariation", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Variation(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetCriticalPath(grpc::CallbackServerContext* context,
                                                          const v1::GetCriticalPathRequest* request,
                                                          v1::CriticalPath* response) {
  return Answer(door_, context, "GetCriticalPath", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->CriticalPath(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetRegionCosts(grpc::CallbackServerContext* context,
                                                         const v1::GetRegionCostsRequest* request, v1::RegionCosts* response) {
  return Answer(door_, context, "GetRegionCosts", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->RegionCosts(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetHotspots(grpc::CallbackServerContext* context,
                                                      const v1::GetHotspotsRequest* request, v1::Hotspots* response) {
  return Answer(door_, context, "GetHotspots", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Hotspots(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetRegisters(grpc::CallbackServerContext* context,
                                                       const v1::GetRegistersRequest* request, v1::Registers* response) {
  return Answer(door_, context, "GetRegisters", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Registers(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetRoofline(grpc::CallbackServerContext* context,
                                                      const v1::GetRooflineRequest* request, v1::Roofline* response) {
  return Answer(door_, context, "GetRoofline", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Roofline(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetDiagnosis(grpc::CallbackServerContext* context,
                                                       const v1::GetDiagnosisRequest* request,
                                                       v1::Diagnosis* response) {
  return Answer(door_, context, "GetDiagnosis", slow_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).analysis->Diagnosis(*request));
    return absl::OkStatus();
  });
}

}  // namespace sextant::rpc
