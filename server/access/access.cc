#include "server/access/access.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/access/secret.h"
#include "server/access/subjects.h"
#include "server/store/quotas.h"

namespace sextant::access {
namespace {

// The same for a secret that does not fit and for an id that is not there.
absl::Status NotKnown() {
  return absl::UnauthenticatedError(
      "the token is not valid here; check it, or ask an administrator for another (`sextant token create`)");
}

absl::Status CheckTimes(const v1::Token& token, absl::Time now) {
  if (token.revoked_unix_ns() != 0)
    return absl::UnauthenticatedError(
        "the token was revoked; ask an administrator for another (`sextant token create`)");
  if (token.expires_unix_ns() != 0 &&
      static_cast<int64_t>(token.expires_unix_ns()) <= absl::ToUnixNanos(now))
    return absl::UnauthenticatedError(
        "the token has expired; ask an administrator for another (`sextant token create`)");
  return absl::OkStatus();
}

}  // namespace

Access::Access(Rooms rooms, Options options) : rooms_(rooms), options_(std::move(options)) {}

bool Access::Knows(const Credentials& credentials) {
  if (!options_.require_tokens || credentials.from == Credentials::From::kOwnSocket) return true;
  const auto text = FromAuthorization(credentials.authorization);
  if (!text) return true;
  absl::MutexLock lock(&mutex_);
  const auto found = known_.find(text->id);
  return found != known_.end() && absl::Now() - found->second.read < options_.fresh;
}

absl::StatusOr<std::shared_ptr<const store::StoredToken>> Access::Find(const std::string& id) {
  const absl::Time now = absl::Now();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = known_.find(id);
    if (found != known_.end() && now - found->second.read < options_.fresh) return found->second.token;
  }
  ASSIGN_OR_RETURN(auto read, rooms_.tokens->Find(id));
  std::shared_ptr<const store::StoredToken> token;   // outlives its place in `known_`
  if (read) token = std::make_shared<const store::StoredToken>(*std::move(read));
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= options_.max_known && !known_.contains(id)) known_.clear();
  Known& known = known_[id];
  // One that was revoked here meanwhile stays so.
  if (known.token != nullptr && known.token->token.revoked_unix_ns() != 0 && known.read > now)
    return known.token;
  known.token = token;
  known.read = now;
  return token;
}

absl::StatusOr<Caller> Access::Identify(const Credentials& credentials) {
  Caller caller;
  caller.peer_ = credentials.peer;
  caller.own_socket_ = credentials.from == Credentials::From::kOwnSocket;
  if (!options_.require_tokens) {
    caller.tenant_ = job::kDefaultTenant;
    caller.scopes_ = {v1::READ, v1::SUBMIT, v1::ADMIN, v1::WORKER};
    caller.by_ = "open";
    return caller;
  }
  if (credentials.authorization.empty() && caller.own_socket_) {
    caller.scopes_ = {v1::ADMIN, v1::WORKER};
    caller.by_ = "socket";
    return caller;
  }
  if (credentials.authorization.empty())
    return absl::UnauthenticatedError(
        "a token is required: send `authorization: Bearer sx_…`; an administrator makes one with "
        "`sextant token create`");
  const auto text = FromAuthorization(credentials.authorization);
  if (!text) return NotKnown();
  ASSIGN_OR_RETURN(const auto stored, Find(text->id), "looking up the token");
  if (!Fits(text->secret, stored == nullptr ? std::string(32, '\0') : stored->secret_sha256) || stored == nullptr)
    return NotKnown();
  const absl::Time now = absl::Now();
  RETURN_IF_ERROR(CheckTimes(stored->token, now));
  {
    absl::MutexLock lock(&mutex_);
    Known& known = known_[text->id];
    if (known.token == nullptr) known = {stored, now};
    if (now - known.noted_used >= absl::Minutes(1)) {
      known.noted_used = now;
      rooms_.ledger->Used(text->id);
    }
  }
  caller.tenant_ = stored->token.tenant();
  for (const int scope : stored->token.scopes()) caller.scopes_.push_back(static_cast<v1::TokenScope>(scope));
  caller.token_id_ = stored->token.id();
  caller.token_name_ = stored->token.name();
  caller.by_ = "token";
  caller.calls_per_s_ = store::InForce(stored->quota, options_.limits).calls_per_s();
  return caller;
}

absl::Status Access::CheckScope(const Caller& caller, absl::string_view method) const {
  const MethodRule& rule = rules_.Of(method);
  if (rule.scope != v1::TOKEN_SCOPE_UNSPECIFIED && caller.Has(rule.scope)) return absl::OkStatus();
  if (rule.workers_too && caller.Has(v1::WORKER)) return absl::OkStatus();
  if (rule.scope == v1::TOKEN_SCOPE_UNSPECIFIED)
    return absl::PermissionDeniedError(absl::StrCat(method, " is answered to nobody: it has no scope"));
  return absl::PermissionDeniedError(
      absl::StrCat(method, " takes a token with scope ", v1::TokenScope_Name(rule.scope), "; this one has ",
                   ScopeWords(caller.scopes_), ". An administrator makes another with `sextant token create`"));
}

absl::Status Access::CheckRate(const Caller& caller) {
  if (caller.calls_per_s_ <= 0 || caller.tenant_.empty()) return absl::OkStatus();
  if (rates_.Take(caller.tenant_, caller.calls_per_s_, absl::Now())) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("calls_per_s: tenant ", caller.tenant_, " makes more than its ", caller.calls_per_s_,
                   " calls a second (max_calls_per_s_per_tenant, or its quota); call less often, or ask an "
                   "administrator for more (`sextant tenant quota`)"));
}

absl::Status Access::CheckSubjects(const Caller& caller, const google::protobuf::Message& request) {
  // Workers name passes of all tenants, on their own port.
  if (caller.SeesAll() || caller.Has(v1::WORKER)) return absl::OkStatus();
  for (const Subject& subject : SubjectsOf(request)) {
    switch (subject.what) {
      case Names::kJob: {
        ASSIGN_OR_RETURN(const std::string tenant, rooms_.tenants->OfJob(subject.id));
        if (tenant != caller.tenant())
          return absl::NotFoundError(absl::StrCat(subject.field, ": there is no job ", subject.id,
                                                  "; `sextant jobs` lists those there are"));
        break;
      }
      case Names::kPass: {
        ASSIGN_OR_RETURN(const std::string tenant, rooms_.tenants->OfPass(subject.id));
        if (tenant != caller.tenant())
          return absl::NotFoundError(absl::StrCat(subject.field, ": there is no pass ", subject.id));
        break;
      }
      case Names::kTenant:
        if (subject.tenant != caller.tenant())
          return absl::PermissionDeniedError(
              absl::StrCat(subject.field, ": another tenant's is an administrator's to ask for; this token is of "
                           "tenant ", caller.tenant()));
        break;
      case Names::kNothing: break;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Caller> Access::Admit(const Credentials& credentials, absl::string_view method,
                                     const google::protobuf::Message* request,
                                     std::optional<Caller>* who) {
  ASSIGN_OR_RETURN(const Caller caller, Identify(credentials));
  *who = caller;
  // Before all that can be refused, so that refusals are of the rate, too.
  RETURN_IF_ERROR(CheckRate(caller));
  RETURN_IF_ERROR(CheckScope(caller, method));
  if (request != nullptr) RETURN_IF_ERROR(CheckSubjects(caller, *request));
  return caller;
}

absl::Status Access::AdmitReader(const Credentials& credentials) {
  ASSIGN_OR_RETURN(const Caller caller, Identify(credentials));
  RETURN_IF_ERROR(CheckRate(caller));
  return caller.Has(v1::READ) ? absl::OkStatus()
                              : absl::PermissionDeniedError("this takes a token with scope READ");
}

std::string Access::TurnOf(const Credentials& credentials) {
  if (!options_.require_tokens) return "";
  if (credentials.authorization.empty() && credentials.from == Credentials::From::kOwnSocket) return "";
  const auto text = FromAuthorization(credentials.authorization);
  if (!text) return "?";
  absl::MutexLock lock(&mutex_);
  const auto found = known_.find(text->id);
  if (found == known_.end() || found->second.token == nullptr) return "?";
  return found->second.token->token.tenant();
}

bool Access::NotesRefusal(const Caller* who) {
  const std::string of = who == nullptr            ? ""
                         : who->tenant_.empty()    ? absl::StrCat("token ", who->token_id_)
                                                   : absl::StrCat("tenant ", who->tenant_);
  return refusals_.Take(of, kRefusalsNotedPerS, absl::Now());
}

absl::Status Access::StillHolds(const Caller& caller) {
  if (caller.token_id_.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto stored, Find(caller.token_id_), "looking up the token");
  if (stored == nullptr) return NotKnown();
  return CheckTimes(stored->token, absl::Now());
}

v1::AuditEntry Access::Entry(const Caller& caller, absl::string_view method, std::string subject) const {
  v1::AuditEntry entry;
  entry.set_at_unix_ns(absl::ToUnixNanos(absl::Now()));
  entry.set_tenant(caller.tenant_);
  entry.set_token_id(caller.token_id_);
  entry.set_method(std::string(method));
  entry.set_subject(std::move(subject));
  entry.set_outcome("OK");
  entry.set_peer(caller.peer_);
  return entry;
}

absl::StatusOr<Access::Created> Access::CreateToken(const Caller& caller,
                                                    const v1::CreateTokenRequest& request) {
  // Whoever reaches an open service may do everything there, but not hold on to that once it is closed.
  if (caller.open() && !caller.own_socket())
    return absl::PermissionDeniedError(
        "while this service takes everybody (no --require-tokens), tokens are made over its own Unix socket alone: run "
        "`sextant token create` on its machine, as its user, without --server");
  const TokenText text = NewToken();
  store::StoredToken stored;
  v1::Token& token = stored.token;
  token.set_id(text.id);
  token.set_name(request.name());
  *token.mutable_scopes() = request.scopes();
  bool of_all = false;
  for (const int scope : request.scopes()) of_all |= scope == v1::ADMIN || scope == v1::WORKER;
  if (!of_all) token.set_tenant(request.tenant().empty() ? job::kDefaultTenant : request.tenant());
  // The database keeps microseconds.
  const int64_t now_us = absl::ToUnixMicros(absl::Now());
  token.set_created_unix_ns(now_us * 1000);
  if (request.lifetime_s() > 0)
    token.set_expires_unix_ns((now_us + static_cast<int64_t>(request.lifetime_s() * 1e6)) * 1000);
  stored.secret_sha256 = HashOf(text.secret);
  RETURN_IF_ERROR(
      rooms_.tokens->Create(stored, Entry(caller, "CreateToken", absl::StrCat("token ", text.id))));
  return Created{std::move(token), text.Whole()};
}

absl::StatusOr<v1::Token> Access::RevokeToken(const Caller& caller, const std::string& id) {
  ASSIGN_OR_RETURN(v1::Token token,
                   rooms_.tokens->Revoke(id, Entry(caller, "RevokeToken", absl::StrCat("token ", id))));
  absl::MutexLock lock(&mutex_);
  const auto found = known_.find(id);
  if (found == known_.end() || found->second.token == nullptr) return token;
  auto revoked = std::make_shared<store::StoredToken>(*found->second.token);
  revoked->token = token;
  found->second.token = std::move(revoked);
  found->second.read = absl::Now();
  return token;
}

}  // namespace sextant::access
