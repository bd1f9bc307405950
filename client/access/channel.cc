#include "client/access/channel.h"

#include <grpcpp/support/client_interceptor.h>

#include <vector>

#include "absl/strings/str_cat.h"

namespace sextant::access {
namespace {

namespace ex = grpc::experimental;

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

std::shared_ptr<grpc::Channel> OpenChannel(const Access& access, const grpc::ChannelArguments& arguments) {
  const auto credentials = access.encrypted()
                               ? grpc::SslCredentials({access.ca(), access.key(), access.cert()})
                               : grpc::InsecureChannelCredentials();
  // Call credentials would do on encrypted channels alone; a token may go over a Unix socket too.
  std::vector<std::unique_ptr<ex::ClientInterceptorFactoryInterface>> interceptors;
  if (access.token() != nullptr) interceptors.push_back(std::make_unique<SendTokenFactory>(access.token()));
  return ex::CreateCustomChannelWithInterceptors(access.target(), credentials, arguments,
                                                 std::move(interceptors));
}

}  // namespace sextant::access
