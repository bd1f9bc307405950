// Whose a connection from this machine is.
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace sextant::http {

// The user id of the other end of a TCP connection within this machine, from the kernel's own table; −1
// when it cannot be told. `local` and `remote` are as our end sees them.
int64_t PeerOwner(const sockaddr* local, const sockaddr* remote);

}  // namespace sextant::http
