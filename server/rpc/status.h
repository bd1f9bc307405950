// Our Status as gRPC's, and back. The codes are the same numbers.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace sextant::rpc {

// A message longer than kMaxMessageBytes is cut: it travels in the trailers, and gRPC drops the
// whole call when these grow beyond 8 KiB.
inline constexpr size_t kMaxMessageBytes = 2048;

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace sextant::rpc
