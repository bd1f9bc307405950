// Cache keys: the same content, configuration, tool and kind of machine give the same key.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::job {

// The name space of whoever has none of its own.
inline constexpr char kDefaultTenant[] = "default";

// A key and what it was made of, component by component, so that a miss can be explained.
struct CacheKey {
  std::string digest;                          // SHA-256 over the components in order
  std::string subject;                         // what is compared with what: program and backend
  std::vector<v1::KeyComponent> components;    // `nearest` unset
};

// What of a run decides its result.
struct KeyInputs {
  const v1::Workload& workload;                // inputs resolved into files
  const v1::PassSpec& spec;
  absl::string_view kind;                       // task kind
  absl::string_view tool_digest;
  absl::string_view machine_class;
  absl::string_view salt;
  const google::protobuf::RepeatedPtrField<v1::Output>* outputs = nullptr;
  absl::string_view tenant = kDefaultTenant;   // whose results: keys of two tenants are never the same
};
// CacheKey.subject of this program's passes.
std::string KeySubject(absl::string_view tenant, absl::string_view program, absl::string_view backend,
                       absl::string_view kind);

CacheKey MakeCacheKey(const KeyInputs& inputs);

// SHA-256 of `bytes`, raw.
std::string Sha256(absl::string_view bytes);

}  // namespace sextant::job
