// The handlers of SextantService that concern who may call.
#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/sextant_service.h"

namespace sextant::rpc {

grpc::ServerUnaryReactor* SextantService::CreateToken(grpc::CallbackServerContext* context,
                                                      const v1::CreateTokenRequest* request,
                                                      v1::CreateTokenResponse* response) {
  return Answer(door_, context, "CreateToken", quick_, request, response,
                [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(auto created, door_.access->CreateToken(caller, *request));
    *response->mutable_token() = std::move(created.token);
    response->set_secret(std::move(created.secret));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ListTokens(grpc::CallbackServerContext* context,
                                                     const v1::ListTokensRequest* request,
                                                     v1::ListTokensResponse* response) {
  return Answer(door_, context, "ListTokens", quick_, request, response,
                [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(auto tokens, rooms_(caller).tokens->List(request->tenant()));
    for (v1::Token& token : tokens) *response->add_tokens() = std::move(token);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::RevokeToken(grpc::CallbackServerContext* context,
                                                      const v1::RevokeTokenRequest* request,
                                                      v1::Token* response) {
  return Answer(door_, context, "RevokeToken", quick_, request, response,
                [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, door_.access->RevokeToken(caller, request->id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::SetQuota(grpc::CallbackServerContext* context,
                                                   const v1::SetQuotaRequest* request,
                                                   v1::QuotaUse* response) {
  return Answer(door_, context, "SetQuota", quick_, request, response,
                [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    const v1::TenantQuota& quota = request->quota();
    RETURN_IF_ERROR(rooms_(caller).quotas->Set(
        quota, door_.access->Entry(caller, "SetQuota", "tenant " + quota.tenant())));
    ASSIGN_OR_RETURN(*response, rooms_(caller).quotas->Use(quota.tenant()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::GetQuota(grpc::CallbackServerContext* context,
                                                   const v1::GetQuotaRequest* request,
                                                   v1::QuotaUse* response) {
  return Answer(door_, context, "GetQuota", quick_, request, response,
                [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).quotas->Use(
                                    request->tenant().empty() ? caller.tenant() : request->tenant()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ListAudit(grpc::CallbackServerContext* context,
                                                    const v1::ListAuditRequest* request,
                                                    v1::ListAuditResponse* response) {
  return Answer(door_, context, "ListAudit", quick_, request, response,
                [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).audit->List(*request));
    return absl::OkStatus();
  });
}

}  // namespace sextant::rpc
