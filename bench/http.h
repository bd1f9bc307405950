// One keep-alive connection to an HTTP server of this machine, for load: blocking, no frills.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace sextant::bench {

class Http {
 public:
  // `headers` go with every request: "Name: value\r\n".
  explicit Http(int port, std::string headers = "")
      : headers_(std::move(headers)), fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) Die("connect");
  }
  ~Http() {
    if (fd_ >= 0) close(fd_);
  }
  Http(Http&& other) noexcept
      : headers_(std::move(other.headers_)), fd_(std::exchange(other.fd_, -1)), read_(std::move(other.read_)) {}
  Http(const Http&) = delete;

  int fd() const { return fd_; }

  void Send(const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t n = send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) Die("send");
      at += static_cast<size_t>(n);
    }
  }
  // Posts a body and returns the answer's; ends the program when it is not 200.
  std::string Post(const std::string& path, const std::string& headers, const std::string& body) {
    Send("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers_ + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    size_t head = 0;
    while ((head = read_.find("\r\n\r\n")) == std::string::npos) Receive();
    if (read_.compare(9, 3, "200") != 0) Die(read_.c_str());
    const size_t at = read_.find("Content-Length: ");
    const size_t length = std::strtoul(read_.c_str() + at + 16, nullptr, 10);
    while (read_.size() < head + 4 + length) Receive();
    std::string answer = read_.substr(head + 4, length);
    read_.erase(0, head + 4 + length);
    return answer;
  }

 private:
  [[noreturn]] static void Die(const char* what) {
    std::fprintf(stderr, "HTTP: %s\n", what);
    std::exit(1);
  }
  void Receive() {
    char buffer[16 << 10];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    if (n <= 0) Die("the server closed the connection");
    read_.append(buffer, static_cast<size_t>(n));
  }

  std::string headers_;
  int fd_;
  std::string read_;
};

}  // namespace sextant::bench
