#include "server/http/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/http/connection.h"

namespace sextant::http {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

class Server::Listener {
 public:
  Listener(Handler handler, Options options)
      : context_{std::move(options), std::move(handler), {}},
        io_(context_.options.threads),
        acceptor_(net::make_strand(io_)),
        retry_(acceptor_.get_executor()) {}

  absl::Status Listen(const std::string& host, int port) {
    error_code error;
    const auto address = net::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
    if (error)
      return absl::FailedPreconditionError(
          absl::StrCat(host, " is not an IP address; name one, such as 127.0.0.1"));
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(net::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
    if (error)
      return absl::FailedPreconditionError(
          absl::StrCat("cannot listen on ", host, ":", port, ": ", error.message()));
    port_ = acceptor_.local_endpoint().port();
    Accept();
    for (int i = 0; i < context_.options.threads; ++i) threads_.emplace_back([this] { io_.run(); });
    return absl::OkStatus();
  }

  int port() const { return port_; }

  void Drain() {
    if (drained_.exchange(true)) return;
    net::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
    });
    for (const auto& connection : context_.connections.all()) connection->Drain();
  }

  void Stop(double grace_s) {
    Drain();
    context_.connections.AwaitNone(grace_s);
    for (const auto& connection : context_.connections.all()) connection->Cut();
    context_.connections.AwaitNone(1);
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void Accept() {
    acceptor_.async_accept(net::make_strand(io_), [this](error_code error, tcp::socket socket) {
      if (error == net::error::operation_aborted || !acceptor_.is_open()) return;
      if (error) {   // out of descriptors, most likely: look again a little later
        retry_.expires_after(std::chrono::milliseconds(50));
        return retry_.async_wait([this](error_code stopped) {
          if (!stopped) Accept();
        });
      }
      if (context_.connections.size() < context_.options.max_connections && !drained_)
        Serve(&context_, std::move(socket));
      Accept();
    });
  }

  ConnectionContext context_;
  net::io_context io_;
  tcp::acceptor acceptor_;
  net::steady_timer retry_;
  std::vector<std::thread> threads_;
  std::atomic<bool> drained_ = false;
  int port_ = 0;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const std::string& host, int port,
                                                      Handler handler, Options options) {
  std::unique_ptr<Server> server(new Server());   // private constructor
  server->listener_ = std::make_unique<Listener>(std::move(handler), std::move(options));
  if (absl::Status status = server->listener_->Listen(host, port); !status.ok()) return status;
  return server;
}

Server::Server() = default;
Server::~Server() {
  if (listener_ != nullptr) Stop();
}

int Server::port() const { return listener_->port(); }
void Server::Drain() { listener_->Drain(); }
void Server::Stop(double grace_s) { listener_->Stop(grace_s); }

}  // namespace sextant::http
