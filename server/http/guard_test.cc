#include "server/http/guard.h"

#include "tests/catch.h"

namespace sextant::http {
namespace {

Request From(const std::string& host, const std::string& origin = "", bool tls = false) {
  Request request;
  request.tls = tls;
  if (!host.empty()) request.headers.emplace_back("host", host);
  if (!origin.empty()) request.headers.emplace_back("Origin", origin);
  return request;
}

}  // namespace

TEST_CASE("addresses and localhost are this service's names, others only when they were given") {
  const Guard guard = {.hosts = {"profiler.example.org"}};
  for (const char* host : {"127.0.0.1", "127.0.0.1:7378", "localhost:1", "LocalHost", "[::1]:80", "10.0.0.5",
                           "Profiler.Example.org:443"}) {
    INFO(host);
    CHECK(guard.Check(From(host)).ok());
  }
  for (const char* host : {"", "evil.example", "evil.example:7378", "localhost.evil.example",
                           "127.0.0.1.evil.example", "profiler.example.org.evil"}) {
    INFO(host);
    const absl::Status status = guard.Check(From(host));
    CHECK(absl::IsPermissionDenied(status));
  }
  CHECK(std::string(guard.Check(From("a.b")).message()).find("--http-host a.b") != std::string::npos);
}

TEST_CASE("a star is one word of a name") {
  const Guard guard = {.hosts = {"*.example.org", "*"}};
  CHECK(guard.Check(From("gpu.example.org:7371")).ok());
  for (const char* host : {"example.org", "a.gpu.example.org", "evil", "gpu.example.org.evil", ".example.org.evil"}) {
    INFO(host);
    CHECK(absl::IsPermissionDenied(guard.Check(From(host))));
  }
}

TEST_CASE("a page may call the service it came from, and no other's may") {
  const Guard guard = {.hosts = {}, .origins = {"https://notebook.example.org"}};
  CHECK(guard.Check(From("127.0.0.1:80", "http://127.0.0.1:80")).ok());
  CHECK(guard.Check(From("127.0.0.1:80", "https://127.0.0.1:80", true)).ok());
  CHECK(guard.Check(From("127.0.0.1:80", "https://notebook.example.org")).ok());
  for (const char* origin : {"null", "http://evil.example", "http://127.0.0.1:81", "http://localhost:80",
                             "https://127.0.0.1:80", "https://notebook.example.org.evil", "127.0.0.1:80"}) {
    INFO(origin);
    CHECK(absl::IsPermissionDenied(guard.Check(From("127.0.0.1:80", origin))));
  }
}

}  // namespace sextant::http
