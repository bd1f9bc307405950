// One connection of the HTTP server. Everything here runs on its strand unless it says otherwise.
// Included by server.cc and connection.cc alone: it brings Boost's headers.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "server/http/connections.h"
#include "server/http/server.h"

namespace sextant::http {

// What the connections of a server share; outlives them.
struct ConnectionContext {
  Server::Options options;
  Handler handler;
  Connections connections;
};

// Serves a socket until it closes.
void Serve(ConnectionContext* context, boost::asio::ip::tcp::socket socket);

}  // namespace sextant::http
