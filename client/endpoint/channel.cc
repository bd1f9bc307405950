#include "client/endpoint/channel.h"

#include <grpcpp/support/client_interceptor.h>

#include <vector>

#include "absl/strings/str_cat.h"

namespace sextant::endpoint {
namespace {

namespace ex = grpc::experimental;

// gRPC's name for it is the least time between attempts; it is how long one may take. TLS over a slow line
// or by a busy machine takes more than the tenths of a second after which a refused attempt is repeated.
constexpr int kConnectTimeoutMs = 10'000;

class SendToken final : public ex::Interceptor {
 public:
  explicit SendToken(Token* token) : token_(token) {}
  void Intercept(ex::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(ex::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA))
      methods->GetSendInitialMetadata()->insert({"authorization", absl::StrCat("Bearer ", token_->Text())});
    methods->Proceed();
  }

 private:
  Token* const token_;
};

class SendTokenFactory final : public ex::ClientInterceptorFactoryInterface {
 public:
  explicit SendTokenFactory(std::shared_ptr<Token> token) : token_(std::move(token)) {}
  ex::Interceptor* CreateClientInterceptor(ex::ClientRpcInfo*) override { return new SendToken(token_.get()); }

 private:
  const std::shared_ptr<Token> token_;   // as long as the channel
};

}  // namespace

std::shared_ptr<grpc::Channel> OpenChannel(const Endpoint& endpoint, const grpc::ChannelArguments& arguments) {
  const auto credentials = endpoint.encrypted()
                               ? grpc::SslCredentials({endpoint.ca(), endpoint.key(), endpoint.cert()})
                               : grpc::InsecureChannelCredentials();
  // Call credentials would do on encrypted channels alone; a token may go over a Unix socket too.
  std::vector<std::unique_ptr<ex::ClientInterceptorFactoryInterface>> interceptors;
  if (endpoint.token() != nullptr) interceptors.push_back(std::make_unique<SendTokenFactory>(endpoint.token()));
  grpc::ChannelArguments with_patience = arguments;
  with_patience.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  return ex::CreateCustomChannelWithInterceptors(endpoint.target(), credentials, with_patience,
                                                 std::move(interceptors));
}

}  // namespace sextant::endpoint
