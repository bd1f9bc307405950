#include "server/rpc/addresses.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sextant::rpc {
namespace {

template <typename... Parts>
absl::Status Wrong(absl::string_view text, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("--listen ", text, ": ", parts...));
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  Address address;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    absl::ConsumePrefix(&rest, "//");
    if (rest.empty() || rest[0] != '/') return Wrong(text, "a socket's path begins with /");
    if (rest.size() >= sizeof(sockaddr_un::sun_path))
      return Wrong(text, "a socket's path has at most ", sizeof(sockaddr_un::sun_path) - 1,
                   " bytes");
    address.unix_path = std::string(rest);
    address.text = absl::StrCat("unix:", rest);
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos)
    return Wrong(text, "expected host:port or unix:///path; port 0 lets the system choose");
  absl::string_view host = text.substr(0, colon);
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535)
    return Wrong(text, "the port is a number from 0 to 65535");
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (!bracketed && absl::StrContains(host, ":"))
    return Wrong(text, "an IPv6 address stands in brackets");
  address.host = host.empty() ? "127.0.0.1" : std::string(host);
  address.text = bracketed ? absl::StrCat("[", address.host, "]:", port)
                           : absl::StrCat(address.host, ":", port);
  in_addr v4 = {};
  const bool loopback_v4 =
      inet_pton(AF_INET, address.host.c_str(), &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
  address.anywhere = !(address.host == "localhost" || address.host == "::1" || loopback_v4);
  return address;
}

absl::Status CheckReach(absl::string_view option, const Address& address, const Reach& reach) {
  if (!address.anywhere || reach.tls || reach.anywhere) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      option, " ", address.text,
      " can be reached from other machines, and whoever may call runs programs here; give --tls-cert FILE and "
      "--tls-key FILE (callers then need tokens; deploy/certificates makes a certificate), or listen on "
      "127.0.0.1 or unix:///path and tunnel, or say --insecure-listen-anywhere where everybody who reaches it "
      "may do everything"));
}

absl::Status ClearStaleSocket(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode))
    return absl::FailedPreconditionError(
        absl::StrCat(path, " exists and is not a socket; name another path"));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.c_str(), path.size() + 1);
  const int connected = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to));
  const int error = errno;
  close(fd);
  if (connected == 0)
    return absl::FailedPreconditionError(
        absl::StrCat("somebody answers on ", path, " already; stop it or name another path"));
  if (error != ECONNREFUSED && error != ENOENT)
    return absl::FailedPreconditionError(
        absl::StrCat("cannot tell whether somebody listens on ", path, ": ", std::strerror(error)));
  unlink(path.c_str());
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, const std::string& text) {
  const std::string temporary = absl::StrCat(path, ".", getpid());
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << text;
    if (!file.flush())
      return absl::FailedPreconditionError(absl::StrCat("cannot write ", temporary));
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return absl::FailedPreconditionError(
        absl::StrCat("cannot rename ", temporary, " to ", path, ": ", std::strerror(errno)));
  return absl::OkStatus();
}

}  // namespace sextant::rpc
