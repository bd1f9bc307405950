// gRPC to a service, with what endpoint asks for.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "client/endpoint/endpoint.h"

namespace sextant::endpoint {

// Nothing is contacted yet. An attempt to connect may take 10 s. Every call carries the token as it is at that moment.
std::shared_ptr<grpc::Channel> OpenChannel(const Endpoint& endpoint, const grpc::ChannelArguments& arguments);

}  // namespace sextant::endpoint
