#include "server/http/peer_owner.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>

namespace sextant::http {
namespace {

void Fill(const sockaddr* address, uint32_t* host, uint16_t* port) {
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    std::memcpy(host, &v6->sin6_addr, 16);
    *port = v6->sin6_port;
  } else {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    host[0] = v4->sin_addr.s_addr;
    *port = v4->sin_port;
  }
}

}  // namespace

int64_t PeerOwner(const sockaddr* local, const sockaddr* remote) {
  const int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return -1;
  struct {
    nlmsghdr header;
    inet_diag_req_v2 ask;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.ask.sdiag_family = local->sa_family;
  request.ask.sdiag_protocol = IPPROTO_TCP;
  request.ask.idiag_states = ~0u;
  // The other end's socket: its source is our remote address.
  Fill(remote, request.ask.id.idiag_src, &request.ask.id.idiag_sport);
  Fill(local, request.ask.id.idiag_dst, &request.ask.id.idiag_dport);
  request.ask.id.idiag_cookie[0] = request.ask.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  int64_t owner = -1;
  alignas(nlmsghdr) char answer[4096];
  const timeval patience = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (send(fd, &request, sizeof(request), 0) == static_cast<ssize_t>(sizeof(request))) {
    const ssize_t n = recv(fd, answer, sizeof(answer), 0);
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
    if (n >= static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg))) &&
        header->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
      owner = reinterpret_cast<const inet_diag_msg*>(NLMSG_DATA(header))->idiag_uid;
    }
  }
  close(fd);
  return owner;
}

}  // namespace sextant::http
