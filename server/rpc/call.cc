#include "server/rpc/call.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/access/subjects.h"

namespace sextant::rpc {
namespace {

std::string Metadata(const grpc::ServerContextBase& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

}  // namespace

access::Credentials CredentialsOf(const grpc::ServerContextBase& context) {
  access::Credentials credentials;
  credentials.authorization = Metadata(context, "authorization");
  credentials.peer = context.peer();
  if (absl::StartsWith(credentials.peer, "unix:")) {
    credentials.from = access::Credentials::From::kOwnSocket;
  } else if (credentials.peer == "unknown" || absl::StartsWith(credentials.peer, "inproc")) {   // by version of gRPC
    credentials.from = access::Credentials::From::kWithin;
    credentials.peer = absl::StrCat("http:", Metadata(context, kPeerMetadata));
  }
  return credentials;
}

Call::Call(const Door& door, access::Credentials credentials, absl::string_view method)
    : door_(door), credentials_(std::move(credentials)), method_(method), began_(absl::Now()) {}

absl::StatusOr<access::Caller> Call::Admit(const google::protobuf::Message* request) {
  return door_.access->Admit(credentials_, method_, request, &caller_);
}

bool Call::IsAudited(const absl::Status& status) const {
  const access::MethodRule& rule = door_.access->rules().Of(method_);
  if (!rule.audited || (status.ok() && rule.audits_itself)) return false;
  // Workers move files for every pass; without tokens nobody tells theirs from those of clients.
  if (caller_ && rule.workers_too && (caller_->IsWorker() || caller_->open())) return false;
  if (status.ok() || door_.access->NotesRefusal(caller_ ? &*caller_ : nullptr)) return true;
  door_.metrics->LeftOut();
  return false;
}

void Call::End(const absl::Status& status, const google::protobuf::Message* request,
               const google::protobuf::Message* response) {
  door_.metrics->Called(method_, status, absl::Now() - began_);
  if (!IsAudited(status)) return;
  v1::AuditEntry entry;
  if (caller_) entry = door_.access->Entry(*caller_, method_, "");
  entry.set_at_unix_ns(absl::ToUnixNanos(absl::Now()));
  entry.set_method(std::string(method_));
  entry.set_peer(credentials_.peer);
  entry.set_subject(access::AuditSubject(request, status.ok() ? response : nullptr));
  entry.set_outcome(status.ok() ? "OK" : absl::StatusCodeToString(status.code()));
  door_.ledger->Add(std::move(entry));
}

}  // namespace sextant::rpc
