#include "client/endpoint/endpoint.h"

#include <arpa/inet.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/certificate/pem.h"
#include "proto/status/status.h"

namespace sextant::endpoint {
namespace {

// Whether what is sent to the host stays on this machine.
bool IsThisMachine(const std::string& host) {
  in_addr v4 = {};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return host == "localhost" || host == "::1";
}

absl::Status WrongAddress(absl::string_view address, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the address \"", address.substr(0, 200), "\" ", why,
                   "; write HOST:PORT, https://HOST:PORT for TLS, or unix:///PATH"));
}

}  // namespace

Options WithEnvironment(Options options,
                        const std::function<std::optional<std::string>(const std::string&)>& environment) {
  const auto fill = [&](Given& given, const char* name) {
    if (!given.empty()) return;
    if (auto value = environment(name)) given = {*std::move(value), name};
  };
  if (options.token.empty() && options.token_file.empty()) {
    fill(options.token_file, "SEXTANT_TOKEN_FILE");
    fill(options.token, "SEXTANT_TOKEN");
  }
  fill(options.ca, "SEXTANT_CA");
  fill(options.cert, "SEXTANT_CERT");
  fill(options.key, "SEXTANT_KEY");
  return options;
}

absl::StatusOr<Endpoint> Endpoint::Make(const Options& options) {
  Endpoint endpoint;
  RETURN_IF_ERROR(endpoint.ParseAddress(options.address));
  RETURN_IF_ERROR(endpoint.ReadFiles(options));
  if (endpoint.token_ != nullptr && endpoint.tcp() && !endpoint.encrypted_ && !options.insecure_token &&
      !IsThisMachine(endpoint.host_)) {
    const Given& token = options.token_file.empty() ? options.token : options.token_file;
    return absl::InvalidArgumentError(absl::StrCat(
        token.by, ": the token would be sent unencrypted to ", endpoint.address_,
        "; give --ca FILE (SEXTANT_CA) or write the address as https://", endpoint.target_,
        ", or say --insecure-token where the network is trusted"));
  }
  return endpoint;
}

absl::Status Endpoint::ParseAddress(const std::string& address) {
  address_ = address;
  absl::string_view rest = address;
  if (absl::StartsWith(rest, "/") || absl::StartsWith(rest, "unix:")) {
    absl::ConsumePrefix(&rest, "unix:");
    target_ = absl::StrCat("unix:", absl::StartsWith(rest, "///") ? rest.substr(2) : rest);
    return absl::OkStatus();
  }
  encrypted_ = absl::ConsumePrefix(&rest, "https://") || absl::ConsumePrefix(&rest, "tls://");
  if (encrypted_) absl::ConsumeSuffix(&rest, "/");
  if (absl::StrContains(rest, "/"))
    return WrongAddress(address, absl::StartsWith(rest, "http://") ? "is one of a page" : "holds a /");
  const size_t colon = rest.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(colon + 1), &port) || port == 0 ||
      port > 65535)
    return WrongAddress(address, "has no port");
  absl::string_view host = rest.substr(0, colon);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (host.empty()) return WrongAddress(address, "has no host");
  if (!bracketed && absl::StrContains(host, ":")) return WrongAddress(address, "is IPv6 without brackets");
  host_ = std::string(host);
  port_ = absl::StrCat(port);
  target_ = std::string(rest);
  return absl::OkStatus();
}

absl::Status Endpoint::ReadFiles(const Options& options) {
  if (!options.token_file.empty()) {
    ASSIGN_OR_RETURN(token_, Token::FromFile(options.token_file.by, options.token_file.value));
  } else if (!options.token.empty()) {
    ASSIGN_OR_RETURN(token_, Token::FromText(options.token.by, options.token.value));
  }
  if (options.cert.empty() != options.key.empty())
    return absl::InvalidArgumentError(
        absl::StrCat(options.cert.empty() ? options.key.by : options.cert.by, " stands alone; --cert and --key "
                     "(SEXTANT_CERT, SEXTANT_KEY) belong together: a certificate and its private key, PEM files"));
  if (!tcp()) return absl::OkStatus();   // a socket of this machine is never encrypted
  if (!options.ca.empty()) {
    ASSIGN_OR_RETURN(ca_, certificate::ReadFile(options.ca.by, options.ca.value));
    RETURN_IF_ERROR(certificate::ParseCertificates(options.ca.by, options.ca.value, ca_).status());
  }
  if (!options.cert.empty()) {
    ASSIGN_OR_RETURN(cert_, certificate::ReadFile(options.cert.by, options.cert.value));
    RETURN_IF_ERROR(certificate::ParseCertificates(options.cert.by, options.cert.value, cert_).status());
    ASSIGN_OR_RETURN(key_, certificate::ReadSecretFile(options.key.by, options.key.value));
    RETURN_IF_ERROR(certificate::CheckKey(options.key.by, options.key.value, key_, cert_));
  }
  encrypted_ = encrypted_ || !ca_.empty() || !cert_.empty();
  return absl::OkStatus();
}

}  // namespace sextant::endpoint
