// What a client without our .proto files asks first. The messages of grpc.reflection.v1alpha are
// written by hand: their classes are not installed with gRPC.
#include <grpcpp/generic/generic_stub.h>

#include <chrono>

#include "server/rpc/test_service.h"

namespace sextant::rpc {
namespace {

// The answer to one message on a bidirectional stream, as it came.
std::string Ask(const std::string& address, const std::string& method, const std::string& message) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  grpc::CompletionQueue events;
  const auto wait = [&events] {
    void* tag = nullptr;
    bool ok = false;
    REQUIRE(events.Next(&tag, &ok));
    REQUIRE(ok);
  };
  const auto call = stub.PrepareCall(&context, method, &events);
  call->StartCall(nullptr);
  wait();
  const grpc::Slice slice(message);
  const grpc::ByteBuffer request(&slice, 1);
  call->WriteLast(request, {}, nullptr);
  wait();
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  wait();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  INFO(status.error_message());
  REQUIRE(status.ok());
  std::vector<grpc::Slice> slices;
  REQUIRE(answer.Dump(&slices).ok());
  std::string bytes;
  for (const auto& part : slices)
    bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  return bytes;
}

TEST_CASE("server reflection lists the services") {
  TestService service;
  const std::string answer =
      Ask(service.address(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          "\x3a\x01*");   // ServerReflectionRequest { list_services: "*" }
  // ListServiceResponse.service: ServiceResponse { name }, each a length and its bytes.
  for (const std::string name :
       {"sextant.v1.Sextant", "sextant.v1.Workers", "grpc.health.v1.Health"}) {
    INFO(name);
    const std::string entry = "\x0a" + std::string(1, static_cast<char>(name.size())) + name;
    CHECK(answer.find(entry) != std::string::npos);
  }
}

}  // namespace
}  // namespace sextant::rpc
