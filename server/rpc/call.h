// One call, from its arrival to its answer: who makes it, how long it took, what the audit trail says.
#pragma once

#include <optional>

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "server/access/access.h"
#include "server/access/ledger.h"
#include "server/rpc/byte_streams.h"
#include "server/rpc/metrics.h"

namespace sextant::rpc {

// The metadata under which the address of whoever came over HTTP travels from the gateway to the service.
// Believed of calls from within this process alone.
inline constexpr char kPeerMetadata[] = "sextant-peer";

// Where calls are let in, and counted.
struct Door {
  access::Access* access;
  access::Ledger* ledger;
  Metrics* metrics;
  ByteStreams* bytes;
};

// What handlers reach once they hold a Caller, which Access alone makes: a handler that lets somebody in
// unseen does not compile.
template <typename Rooms>
class Behind {
 public:
  explicit Behind(Rooms rooms) : rooms_(rooms) {}
  const Rooms& operator()(const access::Caller&) const { return rooms_; }

 private:
  Rooms rooms_;
};

access::Credentials CredentialsOf(const grpc::ServerContextBase& context);

class Call {
 public:
  // `method` lives as long as the program.
  Call(const Door& door, access::Credentials credentials, absl::string_view method);
  Call(const Door& door, const grpc::ServerContextBase& context, absl::string_view method)
      : Call(door, CredentialsOf(context), method) {}

  // The one way in; see Access::Admit. `request` is null where it comes in pieces.
  absl::StatusOr<access::Caller> Admit(const google::protobuf::Message* request);
  // Who calls, before there is a request to judge; a refusal is still to be ended.
  absl::Status Identify() { return door_.access->Identify(credentials_).status(); }
  // Admit does not ask the database who calls.
  bool Knows() const { return door_.access->Knows(credentials_); }

  // See Access::TurnOf.
  std::string Turn() const { return door_.access->TurnOf(credentials_); }

  // Counts the call, and notes it in the audit trail where its method asks for that. Each may be null.
  void End(const absl::Status& status, const google::protobuf::Message* request,
           const google::protobuf::Message* response);

 private:
  bool IsAudited(const absl::Status& status) const;

  const Door door_;
  const access::Credentials credentials_;
  const absl::string_view method_;
  const absl::Time began_;
  std::optional<access::Caller> caller_;   // once it is known, also of one who may not
};

}  // namespace sextant::rpc
