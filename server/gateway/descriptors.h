// The .proto files as they were written, comments too.
#pragma once

#include "absl/strings/string_view.h"

namespace sextant::gateway {

// A serialized google.protobuf.FileDescriptorSet with source locations.
absl::string_view DescriptorSet();

}  // namespace sextant::gateway
