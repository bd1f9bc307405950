// Who may call. The one maker of Callers: tokens and their scopes, the names of other tenants' things,
// rates. docs/security.md.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "sextant/v1/types.pb.h"
#include "server/access/caller.h"
#include "server/access/ledger.h"
#include "server/access/methods.h"
#include "server/access/rates.h"
#include "server/store/tenants.h"
#include "server/store/tokens.h"

namespace sextant::access {

// What a call brings with it.
struct Credentials {
  // kOwnSocket: the service's Unix socket, which its own user and root alone can open. kWithin: this
  // process, on behalf of somebody who came over HTTP.
  enum class From { kNetwork, kOwnSocket, kWithin };
  From from = From::kNetwork;
  std::string authorization;   // the header's value
  std::string peer;            // for the audit trail
};

// Thread-safe. A token is looked up in the database when it was not for `fresh`, which is how long one
// that was revoked elsewhere goes on.
class Access {
 public:
  struct Rooms {
    store::TokenStore* tokens;
    store::TenantStore* tenants;
    Ledger* ledger;
  };
  struct Options {
    bool require_tokens = false;   // false: whoever reaches the service may do everything
    v1::ServiceLimits limits;
    absl::Duration fresh = absl::Milliseconds(500);
    size_t max_known = 10'000;     // tokens in memory
  };
  Access(Rooms rooms, Options options);

  bool require_tokens() const { return options_.require_tokens; }

  // The caller, if he may make this call with this request; null: of a stream, whose messages are not
  // there yet. May ask the database. UNAUTHENTICATED: no token, or one that does not hold;
  // PERMISSION_DENIED names the scope that it takes; NOT_FOUND what is not there or another tenant's;
  // RESOURCE_EXHAUSTED names the quota.
  // `who` is set once it is known who calls, also where he may not.
  absl::StatusOr<Caller> Admit(const Credentials& credentials, absl::string_view method,
                               const google::protobuf::Message* request, std::optional<Caller>* who);
  // Whether the caller may go on with what was begun: its token still holds.
  absl::Status StillHolds(const Caller& caller);
  // The caller alone, for what is no method of the service.
  absl::StatusOr<Caller> Identify(const Credentials& credentials);
  // For what only looks, and is no method: OK where the caller may READ, within its tenant's rate.
  absl::Status AdmitReader(const Credentials& credentials);
  // Under what name the call waits its turn among others', before it is known who calls: the tenant that the token
  // is of, as far as it was seen before. "": of none; "?": not known.
  std::string TurnOf(const Credentials& credentials);
  // Admit would answer without asking the database who calls.
  bool Knows(const Credentials& credentials);

  struct Created {
    v1::Token token;
    std::string secret;   // "sx_ID_SECRET"
  };
  // For CreateToken, whose request was checked. Holds from now on.
  absl::StatusOr<Created> CreateToken(const Caller& caller, const v1::CreateTokenRequest& request);
  absl::StatusOr<v1::Token> RevokeToken(const Caller& caller, const std::string& id);

  const MethodRules& rules() const { return rules_; }
  // Whether one more call that came to nothing is noted in the trail: a bounded number a second of each tenant,
  // of each token of no tenant, and of all strangers together (`who` is null), so that they do not fill the
  // database. All are counted in the metrics.
  bool NotesRefusal(const Caller* who);
  // An entry of the trail about what this caller does now.
  v1::AuditEntry Entry(const Caller& caller, absl::string_view method, std::string subject) const;

 private:
  static constexpr double kRefusalsNotedPerS = 20;

  struct Known {
    std::shared_ptr<const store::StoredToken> token;   // null: there is none
    absl::Time read;
    absl::Time noted_used = absl::InfinitePast();
  };
  // The token as the database says, or said a moment ago; null: there is none.
  absl::StatusOr<std::shared_ptr<const store::StoredToken>> Find(const std::string& id);
  absl::Status CheckScope(const Caller& caller, absl::string_view method) const;
  absl::Status CheckRate(const Caller& caller);
  // What the request names is the caller's tenant's. A job of another is answered like none.
  absl::Status CheckSubjects(const Caller& caller, const google::protobuf::Message& request);

  const Rooms rooms_;
  const Options options_;
  const MethodRules rules_;
  Rates rates_;      // of calls, by tenant
  Rates refusals_;   // that are noted
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Known> known_ ABSL_GUARDED_BY(mutex_);   // by id
};

}  // namespace sextant::access
