#include "server/rpc/tls_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <atomic>

namespace sextant::rpc {
namespace {

// gRPC's C++ classes know certificates that never change, or ones that gRPC reads from files by itself,
// without checking that they fit each other. Its C interface asks for them at every connection.
class Credentials final : public grpc::ServerCredentials {
 public:
  explicit Credentials(tls::Certificates* certificates)
      : certificates_(certificates),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                certificates->asks_clients() ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                Fetch, this))) {}
  ~Credentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(void* self,
                                                         grpc_ssl_server_certificate_config** config) {
    auto* credentials = static_cast<Credentials*>(self);
    const auto reading = credentials->certificates_->Current();
    if (credentials->taken_.exchange(reading->number) == reading->number)
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {reading->key.c_str(), reading->certificate.c_str()};
    // Authorities must be given, also where no client is asked for a certificate.
    const std::string& authority =
        reading->client_authority.empty() ? reading->certificate : reading->client_authority;
    *config = grpc_ssl_server_certificate_config_create(authority.c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  tls::Certificates* const certificates_;
  std::atomic<uint64_t> taken_ = 0;   // number of the reading last handed over
  grpc_server_credentials* const credentials_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(tls::Certificates* certificates) {
  return std::make_shared<Credentials>(certificates);
}

}  // namespace sextant::rpc
