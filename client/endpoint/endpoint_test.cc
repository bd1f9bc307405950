#include "client/endpoint/endpoint.h"

#include <grpcpp/grpcpp.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/endpoint/channel.h"
#include "client/endpoint/look.h"
#include "proto/certificate/test_certificates.h"
#include "sextant/v1/sextant.grpc.pb.h"
#include "tests/catch.h"

namespace sextant::endpoint {
namespace {

using certificate::TestAuthority;
using certificate::TestDirectory;
using certificate::TestPair;

std::string ErrorOf(const Options& options) {
  const auto endpoint = Endpoint::Make(options);
  if (endpoint.ok()) return "";
  CHECK(absl::IsInvalidArgument(endpoint.status()));
  return std::string(endpoint.status().message());
}

TEST_CASE("addresses say where, and whether it is encrypted") {
  struct Case {
    const char *address, *target, *host;
    bool encrypted;
  };
  for (const Case& c : {Case{"127.0.0.1:7070", "127.0.0.1:7070", "127.0.0.1", false},
                        {"https://gpu7.example.org:7070", "gpu7.example.org:7070", "gpu7.example.org", true},
                        {"https://gpu7:7070/", "gpu7:7070", "gpu7", true},
                        {"tls://[::1]:7070", "[::1]:7070", "::1", true},
                        {"unix:///run/s.sock", "unix:/run/s.sock", "", false},
                        {"unix:/run/s.sock", "unix:/run/s.sock", "", false},
                        {"/run/s.sock", "unix:/run/s.sock", "", false}}) {
    INFO(c.address);
    const auto endpoint = Endpoint::Make({.address = c.address});
    REQUIRE(endpoint.ok());
    CHECK(endpoint->target() == c.target);
    CHECK(endpoint->host() == c.host);
    CHECK(endpoint->encrypted() == c.encrypted);
  }
  for (const char* wrong : {"", "gpu7", "gpu7:", "gpu7:0", "gpu7:99999", ":7070", "::1:7070", "http://gpu7:7070",
                            "https://gpu7", "https://gpu7:7070/jobs"}) {
    INFO(wrong);
    CHECK(absl::StrContains(ErrorOf({.address = wrong}), "write HOST:PORT, https://HOST:PORT"));
  }
}

TEST_CASE("a token leaves this machine encrypted, or in so many words") {
  const Given token = {"sx_1_secret", "SEXTANT_TOKEN"};
  for (const char* here : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:///s", "https://gpu7:1"}) {
    INFO(here);
    CHECK(ErrorOf({.address = here, .token = token}).empty());
  }
  for (const char* there : {"gpu7:1", "10.0.0.1:1", "127.0.0.1.example.org:1", "localhost.example.org:1", "[fe80::1]:1"}) {
    INFO(there);
    const std::string error = ErrorOf({.address = there, .token = token});
    CHECK(absl::StartsWith(error, absl::StrCat("SEXTANT_TOKEN: the token would be sent unencrypted to ", there)));
    CHECK(absl::StrContains(error, "--ca FILE"));
    CHECK_FALSE(absl::StrContains(error, "secret"));
    CHECK(ErrorOf({.address = there, .token = token, .insecure_token = true}).empty());
    CHECK(ErrorOf({.address = there}).empty());
  }
}

TEST_CASE("a token's file holds one token, is nobody else's, and is read again when it changes") {
  const TestDirectory files;
  const std::string path = files.Write("token", "sx_1_one\n");
  const auto endpoint = Endpoint::Make({.address = "/s", .token_file = {path, "--token-file"}});
  REQUIRE(endpoint.ok());
  CHECK(endpoint->token()->Text() == "sx_1_one");
  files.Write("token", "sx_2_another\n");
  CHECK(endpoint->token()->Text() == "sx_2_another");
  files.Write("token", "two words");
  CHECK(endpoint->token()->Text() == "sx_2_another");
  std::filesystem::remove(path);
  CHECK(endpoint->token()->Text() == "sx_2_another");

  const auto error = [&](const std::string& text, mode_t mode = 0600) {
    return ErrorOf({.address = "/s", .token_file = {files.Write("token", text, mode), "--token-file"}});
  };
  CHECK(absl::StrContains(error(" \n"), "holds no token"));
  CHECK(absl::StrContains(error("sx_1_a\nsx_2_b\n"), "not hold one token alone"));
  CHECK(absl::StrContains(error("sx_1_one", 0644), "chmod 600"));
  CHECK(absl::StartsWith(ErrorOf({.address = "/s", .token = {"a\nb", "SEXTANT_TOKEN"}}), "SEXTANT_TOKEN does not hold"));
}

TEST_CASE("flags go before the environment, which is named in errors") {
  const std::map<std::string, std::string> set = {
      {"SEXTANT_TOKEN", "sx_1_env"}, {"SEXTANT_CA", "/none/ca.pem"}, {"SEXTANT_CERT", "/none/c.pem"}};
  const auto environment = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = set.find(name);
    if (found == set.end()) return std::nullopt;
    return found->second;
  };
  const Options filled = WithEnvironment({.address = "gpu7:1", .ca = {"/mine/ca.pem", "--ca"}}, environment);
  CHECK(filled.token.value == "sx_1_env");
  CHECK(filled.ca.value == "/mine/ca.pem");
  CHECK(absl::StartsWith(ErrorOf(filled), "SEXTANT_CERT stands alone"));
  CHECK(WithEnvironment({.token_file = {"/t", "--token-file"}}, environment).token.empty());
  CHECK(absl::StartsWith(ErrorOf(WithEnvironment({.address = "gpu7:1", .key = {"/k", "--key"}}, environment)),
                         "SEXTANT_CA /none/ca.pem cannot be read"));
}

// A real gRPC port that tells the token it was called with.
class Telling : public v1::Sextant::Service {
 public:
  explicit Telling(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  grpc::Status DescribeService(grpc::ServerContext* context, const v1::DescribeServiceRequest*,
                               v1::ServiceDescription* description) override {
    const auto& metadata = context->client_metadata();
    const auto found = metadata.find("authorization");
    if (found != metadata.end()) description->set_version({found->second.data(), found->second.size()});
    return grpc::Status::OK;
  }
  std::string at(const std::string& host) const { return absl::StrCat(host, ":", port_); }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

std::shared_ptr<grpc::ServerCredentials> Tls(const TestPair& pair, const std::string& client_authority = "") {
  grpc::SslServerCredentialsOptions options(client_authority.empty()
                                                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back({pair.key, pair.certificate});
  options.pem_root_certs = client_authority;
  return grpc::SslServerCredentials(options);
}

// What the service says it was called with; the status otherwise.
absl::StatusOr<std::string> Told(const Endpoint& endpoint) {
  const auto stub = v1::Sextant::NewStub(OpenChannel(endpoint, {}));
  grpc::ClientContext context;
  v1::ServiceDescription description;
  const grpc::Status status = stub->DescribeService(&context, {}, &description);
  if (!status.ok()) return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  return description.version();
}

TEST_CASE("every call carries the token, encrypted and not") {
  const TestDirectory files;
  const TestAuthority authority("site");
  const Telling plain(grpc::InsecureServerCredentials());
  const Given token = {"sx_1_secret", "SEXTANT_TOKEN"};
  CHECK(Told(*Endpoint::Make({.address = plain.at("127.0.0.1"), .token = token})).value() == "Bearer sx_1_secret");
  CHECK(Told(*Endpoint::Make({.address = plain.at("127.0.0.1")})).value().empty());
  const Telling tls(Tls(authority.Sign({.dns = "localhost"})));
  const Given ca = {files.Write("ca.pem", authority.pem()), "--ca"};
  const auto endpoint = Endpoint::Make({.address = tls.at("localhost"), .token = token, .ca = ca});
  REQUIRE(endpoint.ok());
  CHECK(Told(*endpoint).value() == "Bearer sx_1_secret");
  CHECK(Look(*endpoint, 10).status.ok());
}

// Both a call and a look, of which the second says why.
std::string Refused(const Endpoint& endpoint) {
  CHECK(absl::IsUnavailable(Told(endpoint).status()));
  const Looked looked = Look(endpoint, 10);
  CHECK(absl::IsFailedPrecondition(looked.status));
  INFO(looked.status.ToString());
  return std::string(looked.status.message());
}

TEST_CASE("a look says why a connection cannot be trusted") {
  const TestDirectory files;
  const TestAuthority authority("the site"), other("another site"), people("people");
  const Given ca = {files.Write("ca.pem", authority.pem()), "--ca"};
  const Telling plain(grpc::InsecureServerCredentials()), tls(Tls(authority.Sign({.dns = "localhost"}))),
      ended(Tls(authority.Sign({.dns = "localhost", .begins_s = -100, .ends_s = -50}))),
      mutual(Tls(authority.Sign({.dns = "localhost"}), people.pem()));
  const auto endpoint = [&](const std::string& address, const Given& authority_file) {
    return Endpoint::Make({.address = address, .ca = authority_file}).value();
  };
  CHECK(absl::StrContains(Refused(endpoint(tls.at("localhost"), {files.Write("other.pem", other.pem()), "--ca"})),
                          "is signed by CN = the site, which is not trusted here"));
  CHECK(absl::StrContains(Refused(endpoint(absl::StrCat("https://", tls.at("localhost")), {})), "give --ca FILE"));
  CHECK(absl::StrContains(Refused(endpoint(tls.at("127.0.0.1"), ca)), "is for localhost, not for 127.0.0.1"));
  CHECK(absl::StrContains(Refused(endpoint(ended.at("localhost"), ca)), "ended on 2"));
  CHECK(absl::StrContains(Refused(endpoint(plain.at("localhost"), ca)), "does not speak TLS"));
  CHECK(absl::StrContains(Refused(endpoint(tls.at("127.0.0.1"), {})), "speaks TLS; give --ca FILE"));
  CHECK(absl::StrContains(Refused(endpoint(mutual.at("localhost"), ca)), "asks for a certificate of yours signed by CN = people; give --cert"));
  const auto with = [&](const TestPair& own) {
    return Endpoint::Make({.address = mutual.at("localhost"),
                         .ca = ca,
                         .cert = {files.Write("own.pem", own.certificate), "--cert"},
                         .key = {files.Write("own.key", own.key), "--key"}})
        .value();
  };
  CHECK(Told(with(people.Sign({.name = "alice"}))).ok());
  CHECK(Look(with(people.Sign({.name = "alice"})), 10).status.ok());
  CHECK(absl::StrContains(Refused(with(other.Sign({.name = "eve"}))), "does not trust your certificate"));
  CHECK(absl::StrContains(Refused(with(people.Sign({.begins_s = -100, .ends_s = -50}))), "your certificate"));
}

TEST_CASE("a look at a port where nobody listens says so") {
  std::string gone;
  {
    const Telling plain(grpc::InsecureServerCredentials());
    gone = plain.at("127.0.0.1");
  }
  CHECK(absl::IsUnavailable(Look(Endpoint::Make({.address = gone}).value(), 10).status));
  CHECK(absl::IsUnavailable(Look(Endpoint::Make({.address = "no.such.name.invalid:1"}).value(), 10).status));
}

}  // namespace
}  // namespace sextant::endpoint
