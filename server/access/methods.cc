#include "server/access/methods.h"

#include <algorithm>
#include <iterator>

#include "sextant/v1/sextant.pb.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::access {
namespace {
constexpr absl::string_view kWorkersToo[] = {"FindMissingBlobs", "UploadBlobs", "GetBlob"};
constexpr absl::string_view kAuditThemselves[] = {"CreateToken", "RevokeToken", "SetQuota"};

template <size_t n>
bool IsIn(const absl::string_view (&list)[n], absl::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}
}  // namespace

MethodRule RuleOf(const google::protobuf::MethodDescriptor& method) {
  MethodRule rule;
  rule.scope = method.options().GetExtension(v1::scope);
  rule.workers_too = IsIn(kWorkersToo, method.name());
  rule.audits_itself = IsIn(kAuditThemselves, method.name());
  rule.audited = rule.scope == v1::SUBMIT || rule.scope == v1::ADMIN || method.name() == "Attach";
  return rule;
}

MethodRules::MethodRules() {
  const google::protobuf::ServiceDescriptor* const services[] = {
      v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant"),
      v1::WorkerState::descriptor()->file()->FindServiceByName("Workers")};
  for (const auto* service : services)
    for (int i = 0; i < service->method_count(); ++i)
      rules_[service->method(i)->name()] = RuleOf(*service->method(i));
}

const MethodRule& MethodRules::Of(absl::string_view method) const {
  static const MethodRule nobody;
  const auto found = rules_.find(method);
  return found == rules_.end() ? nobody : found->second;
}

}  // namespace sextant::access
