// One request over HTTP and the answer to it, without the transport's headers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace sextant::http {

struct Request {
  std::string method;                                       // "GET"
  std::string path;                                         // decoded, begins with "/"
  std::multimap<std::string, std::string> query;            // decoded
  std::vector<std::pair<std::string, std::string>> headers; // as sent
  std::string body;
  std::string peer;                                         // "127.0.0.1:4711"
  bool loopback = false;                                    // the peer is on this machine
  int64_t peer_uid = -1;                                    // of a loopback peer; −1: not known
  bool tls = false;

  // The first value of a header, whatever its case; empty when it is absent.
  absl::string_view Header(absl::string_view name) const;
  // The first value of a query parameter; null when it is absent.
  const std::string* Parameter(const std::string& name) const;
};

// Content-Length and Connection are the server's to set; Cache-Control is "no-store" unless said.
struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  static Response Text(int status, std::string body);
  static Response Json(int status, std::string body);
};

// A request under way. Thread-safe; answered once, by Answer or by Begin … End. An exchange that is
// dropped without an answer closes its connection. After the client has gone every call does nothing.
// It must be dropped before the server is.
class Exchange {
 public:
  using Written = std::function<void(bool ok)>;

  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;

  virtual void Answer(Response response) = 0;

  // Begins an answer of unknown length. `heartbeat`, when not empty, is sent when nothing else was for
  // Options::heartbeat_s: it keeps proxies from closing, and finds clients that are gone.
  virtual void Begin(Response head, std::string heartbeat) = 0;
  // Sends a piece of it. `written` is called once, on a thread of the server, when the next piece may
  // be sent; false: the client is gone.
  virtual void Write(std::string piece, Written written) = 0;
  // Ends it. Not `whole`: the connection is cut, so that the client sees that something is missing.
  virtual void End(bool whole) = 0;

  // Calls back once, on a thread of the server, when the client goes away before the answer has ended.
  virtual void OnGone(std::function<void()> gone) = 0;
};

using Handler = std::function<void(std::shared_ptr<Exchange>)>;   // shared: connection and handler

}  // namespace sextant::http
