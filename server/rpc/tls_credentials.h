// TLS of one gRPC port.
#pragma once

#include <memory>

#include <grpcpp/grpcpp.h>

#include "server/tls/certificates.h"

namespace sextant::rpc {

// Credentials for one port, which shows what `certificates` holds when a connection is made. They borrow
// it. gRPC does not keep them: both outlive the server. A port needs its own: each remembers which reading
// it has.
std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(tls::Certificates* certificates);

}  // namespace sextant::rpc
