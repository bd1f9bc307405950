// A client that speaks HTTP byte by byte.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/catch.h"

namespace sextant::http {

class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  }
  ~Client() { Close(); }
  int fd() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Send(const std::string& bytes) {
    REQUIRE(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  // What arrives until `text` has, or the server closes.
  std::string ReadTo(const std::string& text) {
    while (!absl::StrContains(read_, text)) {
      char buffer[4096];
      const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      read_.append(buffer, n);
    }
    return std::exchange(read_, "");
  }
  std::string ReadAll() { return ReadTo("\1never\1"); }
  std::string Get(const std::string& path, const std::string& more = "") {
    Send(absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", more, "\r\n"));
    return ReadAll();
  }
  std::string Post(const std::string& path, const std::string& body,
                   const std::string& more = "Content-Type: application/json\r\n") {
    Send(absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", more,
                      "Content-Length: ", body.size(), "\r\n\r\n", body));
    return ReadAll();
  }

 private:
  int fd_;
  std::string read_;
};

}  // namespace sextant::http
