// What it takes to call each method, as the .proto files say.
#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "sextant/v1/access.pb.h"

namespace sextant::access {

struct MethodRule {
  v1::TokenScope scope = v1::TOKEN_SCOPE_UNSPECIFIED;   // unspecified: nobody may
  bool workers_too = false;   // fetching what passes need, and leaving what they made
  bool audited = false;       // what changes something, asks for what is an administrator's, or attaches
  bool audits_itself = false; // writes its entry with its change
};

MethodRule RuleOf(const google::protobuf::MethodDescriptor& method);

// Of the clients' and the workers' port, by the method's name, which is unique among both.
class MethodRules {
 public:
  MethodRules();
  // A method that is not there is nobody's.
  const MethodRule& Of(absl::string_view method) const;

 private:
  std::map<std::string, MethodRule, std::less<>> rules_;
};

}  // namespace sextant::access
