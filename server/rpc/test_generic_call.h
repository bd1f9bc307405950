// A call of any method, known by its descriptor.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "tests/catch.h"

namespace sextant::rpc {

// With one message, whatever streams the method has. `authorization` is the header, "": none. `answers` has the
// bytes of each answer; returns the status the call ends with.
inline grpc::Status CallGeneric(const std::shared_ptr<grpc::Channel>& channel,
                                const google::protobuf::MethodDescriptor& method, const std::string& request,
                                const std::string& authorization, std::vector<std::string>* answers) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  if (!authorization.empty()) context.AddMetadata("authorization", authorization);
  grpc::CompletionQueue events;
  const auto wait = [&events] {
    void* tag = nullptr;
    bool ok = false;
    REQUIRE(events.Next(&tag, &ok));
    return ok;
  };
  const auto call = stub.PrepareCall(
      &context, absl::StrCat("/", method.service()->full_name(), "/", method.name()), &events);
  call->StartCall(nullptr);
  wait();
  const grpc::Slice slice(request);
  const grpc::ByteBuffer buffer(&slice, 1);
  call->WriteLast(buffer, {}, nullptr);
  wait();
  grpc::ByteBuffer answer;
  for (call->Read(&answer, nullptr); wait(); call->Read(&answer, nullptr)) {
    std::vector<grpc::Slice> slices;
    REQUIRE(answer.Dump(&slices).ok());
    std::string& bytes = answers->emplace_back();
    for (const auto& part : slices) bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status;
}

}  // namespace sextant::rpc
