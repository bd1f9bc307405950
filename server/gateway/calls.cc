#include "server/gateway/calls.h"

#include <grpcpp/generic/generic_stub.h>

#include <chrono>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/gateway/json.h"
#include "server/http/files.h"
#include "server/rpc/call.h"
#include "sextant/v1/sextant.grpc.pb.h"   // how gRPC serializes messages

namespace sextant::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using GenericStub = grpc::TemplatedGenericStub<Message, Message>;

// Longer than any answer takes: a long poll waits for a minute, SQL is cut by query_max_s.
constexpr std::chrono::seconds kLongestCall{600};

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::string Path(const google::protobuf::MethodDescriptor& method) {
  return absl::StrCat("/", method.service()->full_name(), "/", method.name());
}

std::unique_ptr<Message> NewMessage(const Descriptor* type) {
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<Message>(factory->GetPrototype(type)->New());   // New() gives it away
}

// What the caller showed goes on to the service, which alone judges it.
void Forward(const http::Request& request, grpc::ClientContext* context) {
  const absl::string_view authorization = request.Header("Authorization");
  if (!authorization.empty()) context->AddMetadata("authorization", std::string(authorization));
  context->AddMetadata(rpc::kPeerMetadata, request.peer);
}

// A client that has gone cancels the call of its exchange. The callback may outlive the call.
class Cancellation {
 public:
  explicit Cancellation(grpc::ClientContext* context) : context_(context) {}
  void Cancel() {
    absl::MutexLock lock(&mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }
  void Over() {
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
  }

 private:
  absl::Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_);
};

// What both kinds of call hold. Deletes itself at its end.
struct Begun {
  explicit Begun(Call call)
      : call(std::move(call)), cancellation(std::make_shared<Cancellation>(&context)) {
    this->call.in_flight->Begin();
    Forward(this->call.exchange->request(), &context);
    this->call.exchange->OnGone([cancellation = cancellation] { cancellation->Cancel(); });
  }
  ~Begun() {
    cancellation->Over();
    call.exchange.reset();
    call.in_flight->End();
  }

  Call call;
  grpc::ClientContext context;
  const std::shared_ptr<Cancellation> cancellation;   // shared with the exchange's callback
};

struct UnaryCall : Begun {
  using Begun::Begun;
  std::unique_ptr<Message> response;
};

// A server's stream, read no faster than the client of the exchange takes it.
class StreamCall : public Begun, public grpc::ClientBidiReactor<Message, Message> {
 public:
  using Begun::Begun;

  void Start() {
    message_ = NewMessage(call.method->output_type());
    GenericStub stub(call.channel);
    stub.PrepareBidiStreamingCall(&context, Path(*call.method), {}, this);
    AddHold();   // between a read and the next the stream is the exchange's
    StartWriteLast(call.request.get(), {});
    StartRead(message_.get());
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return RemoveHold();
    if (!begun_) {
      begun_ = true;
      Begin();
    }
    call.exchange->Write(Piece(*message_), [this](bool written) {
      if (!written) {
        context.TryCancel();
        return RemoveHold();
      }
      message_->Clear();
      StartRead(message_.get());
    });
  }

  void OnDone(const grpc::Status& status) override {
    if (begun_ || status.ok()) {
      if (!begun_) Begin();
      End(FromGrpc(status));
    } else {
      call.exchange->Answer(Refusal(FromGrpc(status)));
    }
    delete this;
  }

 protected:
  virtual void Begin() = 0;
  virtual std::string Piece(const Message& message) = 0;
  virtual void End(const absl::Status& status) = 0;

 private:
  std::unique_ptr<Message> message_;
  bool begun_ = false;
};

class EventCall final : public StreamCall {
 public:
  explicit EventCall(Call call)
      : StreamCall(std::move(call)),
        seq_(this->call.method->output_type()->FindFieldByName("seq")) {}

 protected:
  void Begin() override {
    http::Response head;
    head.headers = {{"Content-Type", "text/event-stream"}, {"X-Accel-Buffering", "no"}};
    call.exchange->Begin(std::move(head), ":\n\n");
  }
  std::string Piece(const Message& message) override {
    const int64_t seq = seq_ == nullptr ? 0 : message.GetReflection()->GetInt64(message, seq_);
    return absl::StrCat(seq > 0 ? absl::StrCat("id: ", seq, "\n") : "", "data: ", ToJson(message), "\n\n");
  }
  void End(const absl::Status& status) override {
    call.exchange->Write(absl::StrCat("event: end\ndata: ", ErrorJson(status), "\n\n"), [](bool) {});
    call.exchange->End(true);
  }

 private:
  const FieldDescriptor* const seq_;
};

class DownloadCall final : public StreamCall {
 public:
  DownloadCall(Call call, std::string name)
      : StreamCall(std::move(call)),
        name_(std::move(name)),
        data_(this->call.method->output_type()->FindFieldByName("data")) {}

 protected:
  void Begin() override {
    http::Response head;
    // Whatever it is, a browser saves it and shows nothing of it.
    head.headers = {{"Content-Type", http::ContentType(name_)},
                    {"Content-Disposition", absl::StrCat("attachment; filename=\"", name_, "\"")},
                    {"Content-Security-Policy", "sandbox; default-src 'none'"}};
    call.exchange->Begin(std::move(head), "");
  }
  std::string Piece(const Message& message) override {
    return message.GetReflection()->GetString(message, data_);
  }
  void End(const absl::Status& status) override { call.exchange->End(status.ok()); }

 private:
  const std::string name_;
  const FieldDescriptor* const data_;
};

}  // namespace

void InFlight::Begin() {
  absl::MutexLock lock(&mutex_);
  ++calls_;
}

void InFlight::End() {
  absl::MutexLock lock(&mutex_);
  --calls_;
}

void InFlight::AwaitNone() const {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(+[](const int* calls) { return *calls == 0; }, &calls_));
}

http::Response Refusal(const absl::Status& status) {
  http::Response response = http::Response::Json(HttpStatus(status.code()), ErrorJson(status));
  if (absl::IsUnauthenticated(status)) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

bool StreamsBytes(const google::protobuf::MethodDescriptor& method) {
  const FieldDescriptor* data = method.output_type()->FindFieldByName("data");
  return method.server_streaming() && data != nullptr && data->type() == FieldDescriptor::TYPE_BYTES;
}

void AnswerUnary(Call call) {
  auto* const unary = std::make_unique<UnaryCall>(std::move(call)).release();   // the callback's
  unary->response = NewMessage(unary->call.method->output_type());
  unary->context.set_deadline(std::chrono::system_clock::now() + kLongestCall);
  GenericStub stub(unary->call.channel);
  stub.UnaryCall(&unary->context, Path(*unary->call.method), {}, unary->call.request.get(),
                 unary->response.get(), [unary](const grpc::Status& status) {
                   unary->call.exchange->Answer(
                       status.ok() ? http::Response::Json(200, ToJson(*unary->response))
                                   : Refusal(FromGrpc(status)));
                   std::unique_ptr<UnaryCall>{unary}.reset();
                 });
}

void AnswerEvents(Call call) {
  std::make_unique<EventCall>(std::move(call)).release()->Start();   // OnDone deletes it
}

void AnswerDownload(Call call, const std::string& name) {
  std::make_unique<DownloadCall>(std::move(call), name).release()->Start();
}

}  // namespace sextant::gateway
