#include "server/http/guard.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sextant::http {
namespace {

// "[::1]:80" → "::1", "Host:80" → "host".
std::string HostName(absl::string_view authority) {
  if (absl::ConsumePrefix(&authority, "["))
    return absl::AsciiStrToLower(authority.substr(0, authority.find(']')));
  return absl::AsciiStrToLower(authority.substr(0, authority.find(':')));
}

bool IsAddress(const std::string& name) {
  in6_addr address;
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

bool Has(const std::vector<std::string>& list, absl::string_view item) {
  return std::any_of(list.begin(), list.end(),
                     [item](const std::string& each) { return absl::EqualsIgnoreCase(each, item); });
}

bool IsHost(const std::vector<std::string>& hosts, absl::string_view name) {
  const absl::string_view after = name.substr(std::min(name.find('.'), name.size()));
  return std::any_of(hosts.begin(), hosts.end(), [&](absl::string_view host) {
    if (absl::ConsumePrefix(&host, "*")) return host.size() > 1 && absl::EqualsIgnoreCase(host, after);
    return absl::EqualsIgnoreCase(host, name);
  });
}

std::string Shown(absl::string_view text) { return absl::CHexEscape(text.substr(0, 100)); }

}  // namespace

absl::Status Guard::Check(const Request& request) const {
  const absl::string_view host = request.Header("Host");
  const std::string name = HostName(host);
  if (name.empty()) return absl::PermissionDeniedError("Host: the header is missing");
  if (!IsAddress(name) && name != "localhost" && !IsHost(hosts, name))
    return absl::PermissionDeniedError(absl::StrCat(
        "Host: ", Shown(name), " is not a name of this service; start sextantd with --http-host ",
        Shown(name), " if it is"));
  const absl::string_view origin = request.Header("Origin");
  if (origin.empty() || Has(origins, origin)) return absl::OkStatus();
  absl::string_view rest = origin;
  if (absl::ConsumePrefix(&rest, request.tls ? "https://" : "http://") &&
      absl::EqualsIgnoreCase(rest, host))
    return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "Origin: pages of ", Shown(origin), " may not call this service; start sextantd with "
      "--http-origin ", Shown(origin), " if they may"));
}

}  // namespace sextant::http
