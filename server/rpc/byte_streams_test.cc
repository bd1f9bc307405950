// How many streams of bytes one tenant may hold, and what ends them.
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/rpc/test_service.h"

namespace sextant::rpc {
namespace {

using S = v1::Sextant::Stub;

// An upload that its test leaves open.
class OpenUpload {
 public:
  OpenUpload(S* stub, const std::string& token) {
    context_.AddMetadata("authorization", "Bearer " + token);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    writer_ = stub->UploadBlobs(&context_, &response_);
  }
  ~OpenUpload() {
    context_.TryCancel();
    if (!finished_) writer_->Finish();
  }
  // `bytes` of a blob of `size` bytes; the whole ends it.
  void Send(const std::string& bytes, const std::string& whole) {
    v1::UploadBlobsRequest message;
    message.set_digest(chunk::Digest(whole));
    message.set_size_bytes(whole.size());
    message.set_data(bytes);
    message.set_last(bytes.size() == whole.size());
    writer_->Write(message);
  }
  grpc::Status Finish() {
    finished_ = true;
    return writer_->Finish();
  }
  grpc::Status End() {
    writer_->WritesDone();
    return Finish();
  }
  const v1::UploadBlobsResponse& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  v1::UploadBlobsResponse response_;
  std::unique_ptr<grpc::ClientWriter<v1::UploadBlobsRequest>> writer_;
  bool finished_ = false;
};

grpc::Status Get(TestService& service, const std::string& token, const std::string& of) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token);
  v1::GetBlobRequest request;
  request.set_digest(chunk::Digest(of));
  auto reader = service.client->GetBlob(&context, request);
  for (v1::GetBlobResponse piece; reader->Read(&piece);) {
  }
  return reader->Finish();
}

int Missing(TestService& service, const std::string& token, const std::string& of) {
  v1::FindMissingBlobsRequest find;
  find.add_digests(chunk::Digest(of));
  v1::FindMissingBlobsResponse missing;
  REQUIRE(service.CallAs("Bearer " + token, &S::FindMissingBlobs, find, &missing).ok());
  return missing.missing_size();
}

void Revoke(TestService& service, const std::string& token) {
  v1::RevokeTokenRequest revoke;
  revoke.set_id(token.substr(0, token.rfind('_')));
  v1::Token gone;
  REQUIRE(service.CallAs(service.AdminHeader(), &S::RevokeToken, revoke, &gone).ok());
}

// As the metrics say.
bool EndedUnauthenticated(TestService& service, const std::string& method) {
  for (const absl::string_view line : absl::StrSplit(service.server().metrics()->Page(), '\n'))
    if (absl::StrContains(line, "calls_total") && absl::StrContains(line, "UNAUTHENTICATED") &&
        absl::StrContains(line, method))
      return true;
  return false;
}

}  // namespace

TEST_CASE("idle uploads of one tenant leave room for the others and for workers") {
  TestService service(job::DefaultLimits(), true);
  const std::string a = service.Token({v1::SUBMIT}, "a"), b = service.Token({v1::SUBMIT}, "b"),
                    worker = service.Token({v1::WORKER});
  const std::string bytes = "of b";
  OpenUpload first(service.client.get(), b);
  first.Send(bytes, bytes);
  REQUIRE(first.End().ok());
  std::vector<std::unique_ptr<OpenUpload>> idle;
  for (int i = 0; i < 100; ++i) {
    idle.push_back(std::make_unique<OpenUpload>(service.client.get(), a));
    idle.back()->Send("x", "xy");
  }
  grpc::Status refused;   // once the uploads have arrived
  do refused = Get(service, a, "nothing");
  while (refused.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (const std::string& token : {b, worker}) {
    CHECK(Get(service, token, bytes).ok());
    OpenUpload more(service.client.get(), token);
    more.Send(token, token);
    CHECK(more.End().ok());
    CHECK(more.response().stored() == 1);
  }
  idle.clear();
  grpc::Status again;   // once they have gone
  do again = Get(service, a, "nothing");
  while (again.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(again.error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("the bound of open streams is named, and administrators are not counted") {
  TestService service(job::DefaultLimits(), true);
  const std::string a = service.Token({v1::SUBMIT}, "a"), admin = service.Token({v1::ADMIN});
  std::vector<std::unique_ptr<OpenUpload>> idle;
  for (int i = 0; i < 32; ++i) idle.push_back(std::make_unique<OpenUpload>(service.client.get(), a));
  grpc::Status refused;
  do {
    refused = Get(service, a, "nothing");
    // A look that took an upload's place: that one was refused, so there is room for another.
    if (refused.error_code() == grpc::StatusCode::NOT_FOUND)
      idle.push_back(std::make_unique<OpenUpload>(service.client.get(), a));
  } while (refused.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  INFO(refused.error_message());
  CHECK(absl::StrContains(refused.error_message(), "tenant a has 32 uploads and downloads open"));
  CHECK(Get(service, admin, "nothing").error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("an upload that brings nothing is ended, and its file is not there") {
  TestService service(job::DefaultLimits(), true, absl::Milliseconds(50));
  const std::string token = service.Token({v1::SUBMIT}, "a");
  OpenUpload upload(service.client.get(), token);
  upload.Send("half of", "half of it");
  const grpc::Status status = upload.Finish();
  INFO(status.error_message());
  CHECK(status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(absl::StrContains(status.error_message(), "brought no message for 50ms"));
  CHECK(Missing(service, token, "half of it") == 1);

  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + service.Token({v1::WORKER}));
  v1::TraceReceipt receipt;
  CHECK(service.worker->UploadTrace(&context, &receipt)->Finish().error_code() ==
        grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_CASE("an upload ends when its token is revoked, and what was not finished is not stored") {
  TestService service(job::DefaultLimits(), true);
  const std::string token = service.Token({v1::SUBMIT}, "a"), other = service.Token({v1::SUBMIT}, "a");
  OpenUpload upload(service.client.get(), token);
  upload.Send("whole", "whole");
  while (Missing(service, other, "whole") == 1) {
  }
  upload.Send("half of", "half of it");
  Revoke(service, token);
  const grpc::Status status = upload.Finish();
  INFO(status.error_message());
  CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
  CHECK(absl::StrContains(status.error_message(), "revoked"));
  CHECK(Missing(service, other, "half of it") == 1);
}

TEST_CASE("an upload of a trace and a download end when their tokens are revoked") {
  TestService service(job::DefaultLimits(), true);
  const std::string worker = service.Token({v1::WORKER}), token = service.Token({v1::SUBMIT}, "a"),
                    other = service.Token({v1::SUBMIT}, "a");
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + worker);
  v1::TraceReceipt receipt;
  auto upload = service.worker->UploadTrace(&context, &receipt);
  Revoke(service, worker);
  CHECK(upload->Finish().error_code() == grpc::StatusCode::UNAUTHENTICATED);

  const std::string large(64 << 20, 'x');   // more than waits on the way to who does not read
  {
    grpc::ClientContext sending;
    sending.AddMetadata("authorization", "Bearer " + other);
    v1::UploadBlobsResponse stored;
    auto writer = service.client->UploadBlobs(&sending, &stored);
    v1::UploadBlobsRequest message;
    for (size_t at = 0; at < large.size(); at += 1 << 20) {
      message.Clear();
      if (at == 0) message.set_digest(chunk::Digest(large));
      if (at == 0) message.set_size_bytes(large.size());
      message.set_data(large.substr(at, 1 << 20));
      message.set_last(at + (1 << 20) == large.size());
      REQUIRE(writer->Write(message));
    }
    writer->WritesDone();
    REQUIRE(writer->Finish().ok());
  }
  grpc::ClientContext reading;
  reading.AddMetadata("authorization", "Bearer " + token);
  v1::GetBlobRequest get;
  get.set_digest(chunk::Digest(large));
  auto reader = service.client->GetBlob(&reading, get);
  v1::GetBlobResponse piece;
  REQUIRE(reader->Read(&piece));
  Revoke(service, token);
  while (!EndedUnauthenticated(service, "GetBlob")) {   // although nobody reads
  }
  size_t got = piece.data().size();
  while (reader->Read(&piece)) got += piece.data().size();
  CHECK(reader->Finish().error_code() == grpc::StatusCode::UNAUTHENTICATED);
  CHECK(got < large.size());
}

}  // namespace sextant::rpc
