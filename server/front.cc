#include "server/front.h"

#include <openssl/ssl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/gateway/json.h"
#include "server/rpc/addresses.h"

namespace sextant {
namespace {

int PortOf(absl::string_view address) {
  int port = 0;
  (void)absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port);
  return port;
}

int RememberedPort(const std::string& path) {
  std::ifstream file(path);
  int port = 0;
  return file >> port && port > 0 && port < 65536 ? port : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Front>> Front::Start(rpc::Server* service, const Flags& flags,
                                                    tls::Certificates* certificates) {
  std::unique_ptr<Front> front(new Front(service, flags, certificates));   // private constructor
  std::error_code error;
  if (!flags.web.empty() && std::filesystem::is_directory(flags.web, error)) {
    ASSIGN_OR_RETURN(front->page_, http::Files::Read(flags.web), "--web");
  }
  front->AddRoutes(service);
  RETURN_IF_ERROR(front->Listen(flags));
  service->Announce("http", front->address_);
  service->Announce("mcp", front->address_ + "/mcp");
  service->Announce("metrics", front->address_ + "/metrics");
  service->Announce("openapi", front->address_ + "/api/openapi.json");
  if (!front->page_.empty()) service->Announce("web", front->address_ + "/");
  return front;
}

Front::Front(rpc::Server* service, const Flags& flags, tls::Certificates* certificates)
    : certificates_(certificates),
      guard_{flags.http_hosts, flags.http_origins},
      anyone_(flags.anywhere || flags.require_tokens),
      gateway_(std::make_unique<gateway::Gateway>(
          service->InProcess(), [service](const http::Request& request, absl::string_view method, auto done) {
            service->Identify(std::string(request.Header("Authorization")), request.peer, method, std::move(done));
          })),
      mcp_(std::make_unique<gateway::McpEndpoint>(
          service->InProcess(), [service](const http::Request& request, auto done) {
            service->AdmitReader(std::string(request.Header("Authorization")), request.peer, std::move(done));
          })) {}

Front::~Front() {
  if (http_ != nullptr) http_->Stop();
  // Their calls have ended with the service; the exchanges they held are the server's, which goes last.
  mcp_.reset();
  gateway_.reset();
}

void Front::AddRoutes(rpc::Server* service) {
  gateway_->Register(&router_);
  mcp_->Register(&router_);
  router_.Add("GET", "/metrics", [service](auto exchange) {
    const http::Request& request = exchange->request();
    service->AdmitReader(
        std::string(request.Header("Authorization")), request.peer,
        [metrics = service->metrics(), exchange](const absl::Status& status) {
          if (!status.ok()) return exchange->Answer(gateway::Refusal(status));
          http::Response page{200, {{"Content-Type", "text/plain; version=0.0.4"}}, metrics->Page()};
          exchange->Answer(std::move(page));
        });
  });
  router_.Add("GET", "/", [this](auto exchange) {
    if (!page_.empty()) return exchange->Answer(page_.Answer(exchange->request()));
    exchange->Answer(http::Response::Text(
        exchange->request().path == "/" ? 200 : 404,
        "Sextant. This build holds no web page.\n/api/openapi.json\n/metrics\n"));
  });
}

absl::Status Front::Listen(const Flags& flags) {
  ASSIGN_OR_RETURN(const rpc::Address address, rpc::ParseAddress(flags.http), "--http");
  if (!address.unix_path.empty()) return absl::InvalidArgumentError("--http: expected host:port");
  RETURN_IF_ERROR(rpc::CheckReach("--http", address, {certificates_ != nullptr, flags.anywhere}));
  http::Server::Options options;
  if (certificates_ != nullptr) {
    options.tls = [certificates = certificates_] {
      const auto reading = certificates->Current();
      SSL_CTX_up_ref(reading->context);
      return reading->context;
    };
  }
  options.max_body_bytes = flags.limits.max_message_bytes();
  options.admit = [this](const http::Request& request) { return Admit(request); };
  const auto handler = [this](std::shared_ptr<http::Exchange> exchange) {
    router_.Route(std::move(exchange));
  };
  const std::string memory = flags.state + "/http_port";
  const int wanted = PortOf(address.text);
  if (const int last = RememberedPort(memory); wanted == 0 && last != 0) {
    if (auto again = http::Server::Start(address.host, last, handler, options); again.ok())
      http_ = *std::move(again);
  }
  if (http_ == nullptr) {
    ASSIGN_OR_RETURN(http_, http::Server::Start(address.host, wanted, handler, options));
  }
  if (wanted == 0)
    RETURN_IF_ERROR(rpc::WriteFileAtomically(memory, absl::StrCat(http_->port(), "\n")));
  const absl::string_view text = address.text;
  const absl::string_view host = text.substr(0, text.rfind(':'));
  address_ = absl::StrCat(certificates_ != nullptr ? "https://" : "http://", host, ":", http_->port());
  // Where all addresses of the machine are listened on, its certificate knows its name.
  if (certificates_ != nullptr && (host == "0.0.0.0" || host == "[::]")) {
    if (const auto names = certificates_->Current()->names; !names.empty())
      address_ = absl::StrCat("https://", names.front(), ":", http_->port());
  }
  return absl::OkStatus();
}

http::Response Front::Admit(const http::Request& request) const {
  absl::Status status;
  if (certificates_ == nullptr) {
    status = guard_.Check(request);
  } else {   // the names of the certificate are names of this service
    http::Guard guard = guard_;
    for (const std::string& name : certificates_->Current()->names) guard.hosts.push_back(name);
    status = guard.Check(request);
  }
  // A port of this machine is open to all its users, and who may call may run programs.
  if (status.ok() && request.loopback && !anyone_ && request.peer_uid != geteuid() &&
      request.peer_uid != 0)
    status = absl::PermissionDeniedError(
        "this service answers the user it runs as; run one of your own with `sextant up`");
  if (status.ok()) return {0, {}, ""};
  spdlog::warn("refused peer={} path=\"{}\" why=\"{}\"", request.peer, request.path,
               std::string(status.message()));
  return http::Response::Json(gateway::HttpStatus(status.code()), gateway::ErrorJson(status));
}

}  // namespace sextant
