#include "server/access/caller.h"

#include <algorithm>

#include "absl/strings/str_join.h"

namespace sextant::access {

bool Caller::Has(v1::TokenScope scope) const {
  return std::any_of(scopes_.begin(), scopes_.end(), [scope](v1::TokenScope held) {
    switch (scope) {
      case v1::READ: return held == v1::READ || held == v1::SUBMIT || held == v1::ADMIN;
      case v1::SUBMIT: return held == v1::SUBMIT || held == v1::ADMIN;
      case v1::ADMIN: return held == v1::ADMIN;
      case v1::WORKER: return held == v1::WORKER;
      default: return false;
    }
  });
}

v1::Caller Caller::ToProto() const {
  v1::Caller caller;
  caller.set_tenant(tenant_);
  for (const v1::TokenScope scope : scopes_) caller.add_scopes(scope);
  caller.set_token_id(token_id_);
  caller.set_token_name(token_name_);
  caller.set_by(by_);
  return caller;
}

std::string ScopeWords(const std::vector<v1::TokenScope>& scopes) {
  return absl::StrJoin(scopes, ", ", [](std::string* out, v1::TokenScope scope) {
    out->append(v1::TokenScope_Name(scope));
  });
}

}  // namespace sextant::access
