#include "server/http/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include <chrono>
#include <deque>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/http/peer_owner.h"
#include "server/http/url.h"

namespace sextant::http {

namespace net = boost::asio;
namespace beast = boost::beast;
using beast::error_code;
using net::ip::tcp;

namespace {

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

std::string Date() {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone());
}

std::string Chunk(absl::string_view piece) {
  return absl::StrCat(absl::Hex(piece.size()), "\r\n", piece, "\r\n");
}

// `Stream` is beast::tcp_stream or beast::ssl_stream<beast::tcp_stream>. Alive as long as an operation
// on it is pending, or an exchange refers to it.
template <typename Stream>
class ConnectionOf final : public Connection,
                           public std::enable_shared_from_this<ConnectionOf<Stream>> {
 public:
  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;

  template <typename... Args>
  explicit ConnectionOf(ConnectionContext* context, Args&&... args)
      : context_(context),
        stream_(std::forward<Args>(args)...),
        timer_(stream_.get_executor()),
        watch_(stream_.get_executor()) {
    error_code error;
    Socket().set_option(tcp::no_delay(true), error);
    const auto remote = Socket().remote_endpoint(error);
    const auto local = error ? remote : Socket().local_endpoint(error);
    if (error) return;   // gone already
    peer_ = absl::StrCat(remote.address().to_string(), ":", remote.port());
    loopback_ = remote.address().is_loopback();
    if (loopback_) peer_uid_ = PeerOwner(local.data(), remote.data());
  }
  ~ConnectionOf() override { context_->connections.Remove(this); }

  void Begin() {
    context_->connections.Add(this->shared_from_this());
    if constexpr (kTls) {
      Lowest().expires_after(Seconds(context_->options.header_s));
      beast::async_detect_ssl(Lowest(), buffer_,
                              [self = this->shared_from_this()](error_code error, bool tls) {
                                if (!error) tls ? self->Handshake() : self->TellPlain();
                              });
    } else {
      ReadHead();
    }
  }

  void Drain() override {
    Post([this] {
      drained_ = true;
      if (turn_ == 0 && !reading_body_) Close();
    });
  }
  void Cut() override {
    Post([this] { Close(); });
  }

 private:
  // One request's exchange. Its calls arrive from any thread and go to the connection's strand, where
  // those of a turn that is over are ignored.
  class Turn final : public Exchange {
   public:
    Turn(std::shared_ptr<ConnectionOf> connection, uint64_t number, Request request)
        : connection_(std::move(connection)), number_(number), request_(std::move(request)) {}
    ~Turn() override {
      On([](ConnectionOf& c) {
        if (!c.answered_) c.Close();
      });
    }
    const Request& request() const override { return request_; }
    void Answer(Response response) override {
      On([response = std::make_shared<Response>(std::move(response))](ConnectionOf& c) {
        c.AnswerWhole(std::move(*response));
      });
    }
    void Begin(Response head, std::string heartbeat) override {
      On([head = std::make_shared<Response>(std::move(head)), heartbeat](ConnectionOf& c) {
        c.BeginStream(*head, heartbeat);
      });
    }
    void Write(std::string piece, Written written) override {
      net::post(connection_->stream_.get_executor(),
                [connection = connection_, number = number_,
                 piece = std::make_shared<std::string>(std::move(piece)),
                 written = std::move(written)]() mutable {
                  if (connection->turn_ != number || connection->ending_) return written(false);
                  connection->WritePiece(*piece, std::move(written));
                });
    }
    void End(bool whole) override {
      On([whole](ConnectionOf& c) { c.EndStream(whole); });
    }
    void OnGone(std::function<void()> gone) override {
      net::post(connection_->stream_.get_executor(),
                [connection = connection_, number = number_, gone = std::move(gone)]() mutable {
                  if (connection->turn_ == number) {
                    connection->on_gone_.push_back(std::move(gone));
                  } else if (connection->gone_turn_ == number) {
                    gone();
                  }
                });
    }

   private:
    template <typename Work>
    void On(Work work) {
      net::post(connection_->stream_.get_executor(),
                [connection = connection_, number = number_, work = std::move(work)]() mutable {
                  if (connection->turn_ == number) work(*connection);
                });
    }

    const std::shared_ptr<ConnectionOf> connection_;   // shared with pending operations
    const uint64_t number_;
    const Request request_;
  };

  struct Piece {
    std::string bytes;
    Exchange::Written written;
  };

  auto& Lowest() { return beast::get_lowest_layer(stream_); }
  tcp::socket& Socket() { return Lowest().socket(); }

  template <typename Work>
  void Post(Work work) {
    net::post(stream_.get_executor(), [self = this->shared_from_this(), work] { work(); });
  }

  // ---- TLS ----
  void Handshake() {
    if constexpr (kTls) {
      stream_.async_handshake(net::ssl::stream_base::server, buffer_.data(),
                              [self = this->shared_from_this()](error_code error, size_t used) {
                                self->buffer_.consume(used);
                                if (!error) self->ReadHead();
                              });
    }
  }

  // Who speaks HTTP to a port of HTTPS is told so, in HTTP.
  void TellPlain() {
    static constexpr absl::string_view kAnswer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        "Content-Length: 53\r\n\r\nThis port speaks TLS: write https:// in the address.\n";
    net::async_write(Lowest(), net::buffer(kAnswer.data(), kAnswer.size()),
                     [self = this->shared_from_this()](error_code, size_t) { self->EndSocket(); });
  }

  // ---- reading ----
  void ReadHead() {
    if (drained_ || closed_) return Close();
    parser_.emplace();
    parser_->header_limit(context_->options.max_header_bytes);
    parser_->body_limit(context_->options.max_body_bytes);
    Lowest().expires_after(Seconds(first_ ? context_->options.header_s : context_->options.idle_s));
    beast::http::async_read_header(stream_, buffer_, *parser_,
                                   [self = this->shared_from_this()](error_code error, size_t) {
                                     self->HeadRead(error);
                                   });
  }

  void HeadRead(error_code error) {
    if (closed_) return;
    if (error) return Unreadable(error);
    first_ = false;
    ++number_;
    const auto& head = parser_->get();
    request_ = {};
    request_.method = std::string(head.method_string());
    request_.peer = peer_;
    request_.loopback = loopback_;
    request_.peer_uid = peer_uid_;
    request_.tls = kTls;
    for (const auto& field : head)
      request_.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    http10_ = head.version() < 11;
    keep_alive_ = head.keep_alive();
    const absl::Status target = ParseTarget(
        {head.target().data(), head.target().size()}, &request_.path, &request_.query);
    if (!target.ok()) return Refuse(Response::Text(400, absl::StrCat(target.message(), "\n")));
    if (context_->options.admit) {
      Response refusal = context_->options.admit(request_);
      if (refusal.status != 0) return Refuse(std::move(refusal));
    }
    Lowest().expires_after(Seconds(context_->options.body_s));
    reading_body_ = true;
    if (!absl::EqualsIgnoreCase(request_.Header("Expect"), "100-continue")) return ReadBody();
    static constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    net::async_write(stream_, net::buffer(kContinue.data(), kContinue.size()),
                     [self = this->shared_from_this()](error_code failed, size_t) {
                       if (!failed) self->ReadBody();
                     });
  }

  void ReadBody() {
    beast::http::async_read(stream_, buffer_, *parser_,
                            [self = this->shared_from_this()](error_code error, size_t) {
                              self->reading_body_ = false;
                              if (self->closed_) return;
                              if (error) return self->Unreadable(error);
                              self->request_.body = std::move(self->parser_->get().body());
                              self->StartTurn();
                              self->context_->handler(std::make_shared<Turn>(
                                  self, self->turn_, std::move(self->request_)));
                            });
  }

  void Unreadable(error_code code) {
    using beast::http::error;
    if (code == error::header_limit)
      return Refuse(Response::Text(431, absl::StrCat("the request's header is longer than ",
                                                     context_->options.max_header_bytes, " bytes\n")));
    if (code == error::body_limit)
      return Refuse(Response::Text(413, absl::StrCat("the request's body is longer than ",
                                                     context_->options.max_body_bytes, " bytes\n")));
    if (code.category() == beast::http::make_error_code(error::bad_method).category() &&
        code != error::end_of_stream && code != error::partial_message)
      return Refuse(Response::Text(400, absl::StrCat("not an HTTP request: ", code.message(), "\n")));
    Close();
  }

  void StartTurn() {
    turn_ = number_;
    answered_ = ending_ = false;
    Lowest().expires_never();
    WatchForEnd();
  }

  // Answers without a handler, then closes: the rest of the request was not read.
  void Refuse(Response response) {
    turn_ = ++number_;
    answered_ = ending_ = false;
    keep_alive_ = false;
    AnswerWhole(std::move(response));
  }

  // While a handler works nobody reads: a client that has gone is seen by the socket being readable with
  // nothing to read.
  void WatchForEnd() {
    Socket().async_wait(tcp::socket::wait_read,
                        [self = this->shared_from_this(), turn = turn_](error_code error) {
                          if (error || self->turn_ != turn || self->ending_) return;
                          char byte = 0;
                          const int fd = self->Socket().native_handle();
                          const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
                          if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return self->Close();
                          // What is there to read may be TLS's own farewell.
                          if (kTls && n > 0) self->LookForEnd();
                        });
  }

  void LookForEnd() {
    pollfd socket = {Socket().native_handle(), POLLRDHUP, 0};
    if (poll(&socket, 1, 0) > 0) return Close();
    watch_.expires_after(std::chrono::seconds(1));
    watch_.async_wait([self = this->shared_from_this(), turn = turn_](error_code error) {
      if (!error && self->turn_ == turn && !self->ending_) self->LookForEnd();
    });
  }

  // ---- writing ----
  std::string Head(const Response& response) const {
    std::string head = absl::StrCat("HTTP/1.1 ", response.status, " ",
                                    std::string(beast::http::obsolete_reason(
                                        static_cast<beast::http::status>(response.status))),
                                    "\r\nDate: ", Date(), "\r\nX-Content-Type-Options: nosniff\r\n");
    bool cache = false;
    for (const auto& [name, value] : response.headers) {
      cache = cache || absl::EqualsIgnoreCase(name, "Cache-Control");
      absl::StrAppend(&head, name, ": ", value, "\r\n");
    }
    if (!cache) absl::StrAppend(&head, "Cache-Control: no-store\r\n");
    absl::StrAppend(&head, "Connection: ", keep_alive_ ? "keep-alive" : "close", "\r\n");
    return head;
  }

  void AnswerWhole(Response response) {
    if (answered_) return;
    answered_ = ending_ = true;
    if (drained_) keep_alive_ = false;
    std::string bytes = Head(response);
    if (response.status != 204 && response.status != 304)
      absl::StrAppend(&bytes, "Content-Length: ", response.body.size(), "\r\n");
    absl::StrAppend(&bytes, "\r\n");
    const bool head = parser_->is_header_done() && parser_->get().method() == beast::http::verb::head;
    if (!head) bytes.append(response.body);
    Send({std::move(bytes), {}});
  }

  void BeginStream(const Response& head, std::string heartbeat) {
    if (answered_) return;
    answered_ = true;
    if (http10_ || drained_) keep_alive_ = false;
    heartbeat_ = std::move(heartbeat);
    std::string bytes = Head(head);
    absl::StrAppend(&bytes, http10_ ? "" : "Transfer-Encoding: chunked\r\n", "\r\n");
    Send({std::move(bytes), {}});
    Beat();
  }

  void WritePiece(const std::string& piece, Exchange::Written written) {
    if (piece.empty()) return written(true);
    Send({http10_ ? piece : Chunk(piece), std::move(written)});
  }

  void EndStream(bool whole) {
    if (ending_) return;
    if (!whole || !answered_) return Close();
    ending_ = true;
    if (!http10_) return Send({"0\r\n\r\n", {}});
    if (!writing_) EndTurn();
  }

  void Beat() {
    if (heartbeat_.empty()) return;
    timer_.expires_after(Seconds(context_->options.heartbeat_s));
    timer_.async_wait([self = this->shared_from_this(), turn = turn_](error_code error) {
      if (error || self->turn_ != turn || self->ending_) return;
      if (!self->writing_) self->WritePiece(self->heartbeat_, [](bool) {});
      self->Beat();
    });
  }

  void Send(Piece piece) {
    pieces_.push_back(std::move(piece));
    if (!writing_) SendNext();
  }

  void SendNext() {
    writing_ = true;
    // The operation's, which may outlast the turn.
    const auto piece = std::make_shared<Piece>(std::move(pieces_.front()));
    pieces_.pop_front();
    // Longer for a long piece: a client may be slow, but not that slow.
    const double bytes_s = static_cast<double>(piece->bytes.size()) / (128 << 10);
    Lowest().expires_after(Seconds(context_->options.write_s + bytes_s));
    net::async_write(stream_, net::buffer(piece->bytes),
                     [self = this->shared_from_this(), piece](error_code error, size_t) {
                       self->writing_ = false;
                       if (error) self->Close();
                       if (piece->written) piece->written(!error);
                       if (error || self->closed_) return;
                       if (!self->pieces_.empty()) return self->SendNext();
                       self->Lowest().expires_never();
                       if (self->ending_) self->EndTurn();
                     });
  }

  void EndTurn() {
    if (closed_) return;
    turn_ = 0;
    on_gone_.clear();
    timer_.cancel();
    watch_.cancel();
    heartbeat_.clear();
    error_code ignored;
    Socket().cancel(ignored);   // the watch for the client's end
    if (keep_alive_ && !drained_) return ReadHead();
    if constexpr (kTls) {   // an end that nobody can forge
      Lowest().expires_after(std::chrono::seconds(2));
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->EndSocket(); });
    } else {
      EndSocket();
    }
  }

  void EndSocket() {
    error_code ignored;
    Socket().shutdown(tcp::socket::shutdown_send, ignored);
    Linger();
  }

  // Reads away what the client still sends, so that its kernel does not throw our answer away.
  void Linger() {
    Lowest().expires_after(std::chrono::seconds(2));
    scratch_.resize(16 << 10);
    Lowest().async_read_some(net::buffer(scratch_),
                             [self = this->shared_from_this()](error_code error, size_t n) {
                               self->lingered_ += n;
                               if (error || self->lingered_ > (1 << 20)) return self->Close();
                               self->Linger();
                             });
  }

  void Close() {
    closed_ = true;
    if (turn_ != 0) gone_turn_ = turn_;
    turn_ = 0;
    ending_ = true;
    timer_.cancel();
    watch_.cancel();
    error_code ignored;
    Socket().close(ignored);
    for (Piece& piece : std::exchange(pieces_, {}))
      if (piece.written) piece.written(false);
    for (const auto& gone : std::exchange(on_gone_, {})) gone();
  }

  ConnectionContext* const context_;
  Stream stream_;
  net::steady_timer timer_;   // heartbeats
  net::steady_timer watch_;   // of a TLS client's end
  std::string peer_;
  bool loopback_ = false;
  int64_t peer_uid_ = -1;
  beast::flat_buffer buffer_;
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  Request request_;           // being read
  std::deque<Piece> pieces_;  // not yet being written
  std::vector<std::function<void()>> on_gone_;
  std::string heartbeat_;
  std::vector<char> scratch_;
  size_t lingered_ = 0;
  uint64_t number_ = 0;       // of requests read
  uint64_t turn_ = 0;         // of the request being answered; 0: none
  uint64_t gone_turn_ = 0;    // of the request during which the client went
  bool first_ = true;
  bool reading_body_ = false;
  bool http10_ = false;
  bool keep_alive_ = true;
  bool drained_ = false;
  bool answered_ = false;     // the answer has begun
  bool ending_ = false;       // its last piece is queued
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace

void Serve(ConnectionContext* context, tcp::socket socket) {
  if (!context->options.tls) {
    std::make_shared<ConnectionOf<beast::tcp_stream>>(context, std::move(socket))->Begin();
    return;
  }
  net::ssl::context tls(context->options.tls());   // owns the reference; the stream takes one of its own
  std::make_shared<ConnectionOf<beast::ssl_stream<beast::tcp_stream>>>(context, std::move(socket), tls)
      ->Begin();
}

}  // namespace sextant::http
