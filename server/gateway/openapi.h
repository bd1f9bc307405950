// What the JSON gateway offers, described for machines.
#pragma once

#include <string>

#include "google/protobuf/descriptor.h"

namespace sextant::gateway {

// OpenAPI 3.1 as JSON: one path for every method, one schema for every message they reach, with the
// comments of the .proto files as descriptions. Always the same text.
std::string OpenApi(const google::protobuf::ServiceDescriptor* service);

}  // namespace sextant::gateway
