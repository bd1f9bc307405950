// Messages and errors as JSON.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "proto/status/problem.h"

namespace sextant::gateway {

// ProtoJSON with the fields' names as in the .proto: 64-bit integers and NaN are strings, bytes are
// base64, fields at their default are left out. One line.
std::string ToJson(const google::protobuf::Message& message);

// Takes names as in the .proto and in lowerCamelCase. INVALID_ARGUMENT: not JSON, or a field is unknown
// or of another type; the message names it.
absl::Status FromJson(absl::string_view json, google::protobuf::Message* message);

// Sets one field of a request from a query parameter: numbers, booleans, enum names, text, bytes in
// hexadecimal. Repeated fields are added to. A dotted name reaches into messages: "subject.job_id".
absl::Status SetField(absl::string_view name, const std::string& value,
                      google::protobuf::Message* message);

// {"code":…,"message":…,"field":…,"remedy":…}
std::string ErrorJson(const absl::Status& status);
// As HTTP maps gRPC's codes: 400 for INVALID_ARGUMENT …
int HttpStatus(absl::StatusCode code);

}  // namespace sextant::gateway
