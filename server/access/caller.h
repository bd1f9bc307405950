// Who calls, once it is known. Made by Access alone: whoever holds one was let in.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sextant/v1/access.pb.h"
#include "server/job/keys.h"
#include "server/store/reach.h"

namespace sextant::access {

class Caller {
 public:
  // What it submits and uploads is this tenant's.
  const std::string& tenant() const { return tenant_.empty() ? default_ : tenant_; }
  // ADMIN includes SUBMIT and READ, SUBMIT includes READ; WORKER stands alone.
  bool Has(v1::TokenScope scope) const;
  // Rows of every tenant are its to see.
  bool SeesAll() const { return Has(v1::ADMIN); }
  // What it may read.
  store::Reach reach() const { return SeesAll() ? store::Reach::All() : store::Reach::Of(tenant()); }
  // Which files it may fetch and refer to. Workers' are those of any pass.
  store::Reach files() const { return Has(v1::WORKER) ? store::Reach::All() : reach(); }
  // It runs passes, and nothing else.
  bool IsWorker() const { return scopes_.size() == 1 && scopes_[0] == v1::WORKER; }
  const std::string& token_id() const { return token_id_; }   // empty: let in without one
  bool open() const { return by_ == "open"; }
  bool own_socket() const { return own_socket_; }             // it came by the service's Unix socket
  const std::string& peer() const { return peer_; }           // its address

  v1::Caller ToProto() const;

 private:
  friend class Access;
  Caller() = default;

  inline static const std::string default_ = job::kDefaultTenant;
  std::string tenant_;                   // "": of all
  std::vector<v1::TokenScope> scopes_;
  std::string token_id_, token_name_;
  std::string by_;                       // v1::Caller.by
  std::string peer_;
  bool own_socket_ = false;
  double calls_per_s_ = 0;               // its tenant's; 0: no bound
};

// "READ, SUBMIT".
std::string ScopeWords(const std::vector<v1::TokenScope>& scopes);

}  // namespace sextant::access
