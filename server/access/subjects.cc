#include "server/access/subjects.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "sextant/v1/sextant.pb.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::access {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxShownBytes = 100;

bool IsWork(const google::protobuf::Descriptor* type) {
  return type == v1::JobGraph::descriptor() || type == v1::TaskSpec::descriptor();
}

void Walk(const Message& message, const std::string& prefix, std::vector<Subject>* found) {
  const auto* reflection = message.GetReflection();
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field->is_map() || IsWork(field->message_type())) continue;
      if (!field->is_repeated()) {
        if (reflection->HasField(message, field))
          Walk(reflection->GetMessage(message, field), absl::StrCat(prefix, field->name(), "."), found);
        continue;
      }
      for (int n = 0; n < reflection->FieldSize(message, field); ++n)
        Walk(reflection->GetRepeatedMessage(message, field, n), absl::StrCat(prefix, field->name(), "[", n, "]."),
             found);
      continue;
    }
    const Names what = WhatNames(*field);
    if (what == Names::kNothing) continue;
    const std::string path = absl::StrCat(prefix, field->name());
    if (what == Names::kTenant) {
      const std::string tenant = reflection->GetString(message, field);
      if (!tenant.empty()) found->push_back({what, path, 0, tenant});
    } else if (!field->is_repeated()) {
      const int64_t id = reflection->GetInt64(message, field);
      if (id != 0) found->push_back({what, path, id, ""});
    } else {
      for (int n = 0; n < reflection->FieldSize(message, field); ++n)
        if (const int64_t id = reflection->GetRepeatedInt64(message, field, n); id != 0)
          found->push_back({what, absl::StrCat(path, "[", n, "]"), id, ""});
    }
  }
}

std::string Shown(const std::string& text) { return absl::CHexEscape(text.substr(0, kMaxShownBytes)); }

std::string TextField(const Message* message, const char* name) {
  if (message == nullptr) return "";
  const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return "";
  return message->GetReflection()->GetString(*message, field);
}

}  // namespace

Names WhatNames(const FieldDescriptor& field) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && field.name() == "tenant" && !field.is_repeated())
    return Names::kTenant;
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_INT64) return Names::kNothing;
  if (field.name() == "job_id" || field.name() == "job_a" || field.name() == "job_b") return Names::kJob;
  if (field.name() == "pass_id" || field.name() == "pass_ids") return Names::kPass;
  return Names::kNothing;
}

std::vector<Subject> SubjectsOf(const Message& request) {
  std::vector<Subject> found;
  Walk(request, "", &found);
  return found;
}

std::string AuditSubject(const Message* request, const Message* response) {
  if (const auto* revoke = dynamic_cast<const v1::RevokeTokenRequest*>(request))
    return absl::StrCat("token ", Shown(revoke->id()));
  if (const auto* created = dynamic_cast<const v1::CreateTokenResponse*>(response);
      created != nullptr && created->has_token())
    return absl::StrCat("token ", created->token().id());
  if (const auto* state = dynamic_cast<const v1::WorkerState*>(request))
    return absl::StrCat("worker ", Shown(state->info().name()));
  if (dynamic_cast<const v1::CommitPassesRequest*>(request) != nullptr)
    return absl::StrCat("worker ", Shown(TextField(request, "worker")));
  // Other answers may hold jobs and tenants that the call was not about, as lists do.
  if (dynamic_cast<const v1::SubmitJobResponse*>(response) == nullptr) response = nullptr;
  for (const Message* message : {request, response}) {
    if (message == nullptr) continue;
    for (const Subject& subject : SubjectsOf(*message)) {
      switch (subject.what) {
        case Names::kJob: return absl::StrCat("job ", subject.id);
        case Names::kPass: return absl::StrCat("pass ", subject.id);
        case Names::kTenant: return absl::StrCat("tenant ", Shown(subject.tenant));
        case Names::kNothing: break;
      }
    }
  }
  return "";
}

}  // namespace sextant::access
