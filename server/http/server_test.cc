// The server over real sockets, spoken to byte by byte.
#include "server/http/server.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/http/files.h"
#include "server/http/router.h"
#include "server/http/test_client.h"
#include "tests/catch.h"

namespace sextant::http {
namespace {

std::unique_ptr<Server> Started(Handler handler, Server::Options options = {}) {
  auto server = Server::Start("127.0.0.1", 0, std::move(handler), std::move(options));
  REQUIRE(server.ok());
  return *std::move(server);
}

void Echo(std::shared_ptr<Exchange> exchange) {
  const Request& request = exchange->request();
  exchange->Answer(Response::Text(200, absl::StrCat(request.method, " ", request.path, " ", request.body)));
}

}  // namespace

TEST_CASE("requests of one connection are answered one after the other") {
  const auto server = Started(Echo);
  Client client(server->port());
  client.Send("POST /a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
              "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string all = client.ReadAll();
  CHECK(absl::StrContains(all, "POST /a b hello"));
  CHECK(absl::StrContains(all, "GET /next "));
  CHECK(absl::StrContains(all, "X-Content-Type-Options: nosniff"));
}

TEST_CASE("whose a connection from this machine is is known") {
  const auto server = Started([](std::shared_ptr<Exchange> exchange) {
    const Request& request = exchange->request();
    exchange->Answer(Response::Text(200, absl::StrCat(request.loopback, " uid ", request.peer_uid)));
  });
  CHECK(absl::EndsWith(Client(server->port()).Get("/"), absl::StrCat("1 uid ", geteuid())));
}

TEST_CASE("HEAD is answered like GET, without the body") {
  const auto server = Started(Echo);
  Client client(server->port());
  client.Send("HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = client.ReadAll();
  CHECK(absl::StrContains(answer, "Content-Length: 8"));
  CHECK(absl::EndsWith(answer, "\r\n\r\n"));
}

TEST_CASE("a header or body beyond its limit is refused, and what is no HTTP too") {
  const auto server = Started(Echo, {.max_header_bytes = 1000, .max_body_bytes = 10});
  Client header(server->port());
  CHECK(absl::StrContains(header.Get("/", absl::StrCat("X: ", std::string(2000, 'x'), "\r\n")), " 431 "));
  Client body(server->port());
  body.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
  CHECK(absl::StrContains(body.ReadAll(), " 413 "));
  Client chunked(server->port());
  chunked.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n");
  CHECK(absl::StrContains(chunked.ReadAll(), " 413 "));
  Client other(server->port());
  other.Send("\x16\x03\x01 hello\r\n\r\n");
  CHECK(absl::StrContains(other.ReadAll(), " 400 "));
  Client escape(server->port());
  CHECK(absl::StrContains(escape.Get("/%2e%2e/passwd"), " 400 "));
}

TEST_CASE("what is not admitted never reaches a handler, and its body is not read") {
  std::atomic<bool> called = false;
  const auto server = Started([&](std::shared_ptr<Exchange>) { called = true; },
                              {.admit = [](const Request& head) {
                                 return Response::Text(401, absl::StrCat("no ", head.path));
                               }});
  Client client(server->port());
  client.Send("POST /secret HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  const std::string answer = client.ReadAll();
  CHECK(absl::StrContains(answer, " 401 "));
  CHECK(absl::StrContains(answer, "no /secret"));
  CHECK_FALSE(called);
}

TEST_CASE("a connection that says nothing is closed when its time is up") {
  const auto server = Started(Echo, {.header_s = 0.05});
  Client client(server->port());
  client.Send("GET / HT");
  CHECK(client.ReadAll().empty());
}

TEST_CASE("a streamed answer arrives in pieces, with heartbeats while nothing is sent") {
  absl::Mutex mutex;
  std::shared_ptr<Exchange> open;
  const auto server = Started(
      [&](std::shared_ptr<Exchange> exchange) {
        absl::MutexLock lock(&mutex);
        open = exchange;
        open->Begin(Response{200, {{"Content-Type", "text/event-stream"}}, ""}, ":\n\n");
      },
      {.heartbeat_s = 0.01});
  Client client(server->port());
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(absl::StrContains(client.ReadTo("3\r\n:\n\n\r\n"), "Transfer-Encoding: chunked"));
  absl::Notification written;
  bool sent = false;
  {
    absl::MutexLock lock(&mutex);
    open->Write("data: 1\n\n", [&](bool ok) {
      sent = ok;
      written.Notify();
    });
  }
  written.WaitForNotification();
  CHECK(sent);
  CHECK(absl::StrContains(client.ReadTo("9\r\ndata: 1\n\n\r\n"), "data: 1"));
  const auto end = [&](bool whole) {
    absl::MutexLock lock(&mutex);
    std::exchange(open, nullptr)->End(whole);
  };
  end(true);
  CHECK(absl::StrContains(client.ReadTo("0\r\n\r\n"), "0\r\n\r\n"));
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");   // the connection goes on
  CHECK(absl::StrContains(client.ReadTo("chunked"), "200 OK"));
  end(false);   // cut: no last chunk
  CHECK_FALSE(absl::StrContains(client.ReadAll(), "0\r\n\r\n"));
}

TEST_CASE("a client that goes away is told to the handler, also while nothing is written") {
  absl::Notification gone, begun;
  std::shared_ptr<Exchange> open;
  const auto server = Started([&](std::shared_ptr<Exchange> exchange) {
    open = exchange;
    exchange->OnGone([&] { gone.Notify(); });
    begun.Notify();
  });
  Client client(server->port());
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  begun.WaitForNotification();
  client.Close();
  gone.WaitForNotification();
  absl::Notification refused;
  bool sent = true;
  open->Write("x", [&](bool ok) {
    sent = ok;
    refused.Notify();
  });
  refused.WaitForNotification();
  CHECK_FALSE(sent);
  open.reset();
}

TEST_CASE("an exchange that is dropped without an answer closes its connection") {
  const auto server = Started([](std::shared_ptr<Exchange>) {});
  Client client(server->port());
  CHECK(client.Get("/").empty());
}

TEST_CASE("a stopping server lets an answer end, and cuts what does not") {
  absl::Notification begun, two;
  std::shared_ptr<Exchange> first, endless;
  auto server = Started([&](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/first") {
      first = exchange;
      begun.Notify();
    } else {
      endless = exchange;
      exchange->Begin(Response{}, "");
      two.Notify();
    }
  });
  Client client(server->port()), other(server->port()), idle(server->port());
  client.Send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
  other.Send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  begun.WaitForNotification();
  two.WaitForNotification();
  server->Drain();
  first->Answer(Response::Text(200, "done"));
  const std::string answer = client.ReadAll();
  CHECK(absl::StrContains(answer, "done"));
  CHECK(absl::StrContains(answer, "Connection: close"));
  first.reset();
  server->Stop(0.05);
  CHECK_FALSE(absl::StrContains(other.ReadAll(), "0\r\n\r\n"));
  CHECK(idle.ReadAll().empty());
  endless.reset();
}

namespace {

// A context with a key and a certificate of its own, made now.
SSL_CTX* SelfSigned() {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

}  // namespace

TEST_CASE("with a TLS context requests are answered under TLS, and plain ones are not") {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SelfSigned(), SSL_CTX_free);
  const auto server = Started(
      [](std::shared_ptr<Exchange> exchange) {
        exchange->Answer(Response::Text(200, absl::StrCat("tls ", exchange->request().tls,
                                                          std::string(100'000, '.'))));
      },
      {.tls = [&] {
        SSL_CTX_up_ref(context.get());
        return context.get();
      }});
  Client client(server->port());
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> ours(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(ours.get()), SSL_free);
  SSL_set_fd(ssl.get(), client.fd());
  REQUIRE(SSL_connect(ssl.get()) == 1);
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  REQUIRE(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) > 0);
  std::string answer;
  char buffer[4096];
  for (int n = 0; (n = SSL_read(ssl.get(), buffer, sizeof(buffer))) > 0;) answer.append(buffer, n);
  CHECK(absl::StrContains(answer, "tls 1"));
  CHECK(absl::EndsWith(answer, "..."));
  CHECK(SSL_get_shutdown(ssl.get()) == SSL_RECEIVED_SHUTDOWN);
  Client plain(server->port());
  const std::string told = plain.Get("/");
  CHECK(absl::StartsWith(told, "HTTP/1.1 400 "));
  CHECK(absl::EndsWith(told, "write https:// in the address.\n"));
}

TEST_CASE("a client that says farewell under TLS is told to the handler") {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SelfSigned(), SSL_CTX_free);
  absl::Notification gone, begun;
  std::shared_ptr<Exchange> open;
  const auto server = Started(
      [&](std::shared_ptr<Exchange> exchange) {
        open = exchange;
        exchange->OnGone([&] { gone.Notify(); });
        begun.Notify();
      },
      {.tls = [&] {
        SSL_CTX_up_ref(context.get());
        return context.get();
      }});
  Client client(server->port());
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> ours(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(ours.get()), SSL_free);
  SSL_set_fd(ssl.get(), client.fd());
  REQUIRE(SSL_connect(ssl.get()) == 1);
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  REQUIRE(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) > 0);
  begun.WaitForNotification();
  SSL_shutdown(ssl.get());
  client.Close();
  gone.WaitForNotification();
  open.reset();
}

TEST_CASE("the longest path answers, and a wrong method is told the right ones") {
  Router router;
  router.Add("GET", "/", [](auto exchange) { exchange->Answer(Response::Text(200, "page")); });
  router.Add("POST", "/api/", [](auto exchange) { exchange->Answer(Response::Text(200, "api")); });
  router.Add("GET", "/api/x", [](auto exchange) { exchange->Answer(Response::Text(200, "x")); });
  const auto server = Started([&](std::shared_ptr<Exchange> exchange) { router.Route(exchange); });
  CHECK(absl::EndsWith(Client(server->port()).Get("/any"), "page"));
  CHECK(absl::EndsWith(Client(server->port()).Get("/api/x"), "x"));
  const std::string wrong = Client(server->port()).Get("/api/y");
  CHECK(absl::StrContains(wrong, " 405 "));
  CHECK(absl::StrContains(wrong, "Allow: POST"));
}

TEST_CASE("files are served from their folder and from nowhere else") {
  std::string folder = "/tmp/sextant-files-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  std::filesystem::create_directories(folder + "/assets");
  std::ofstream(folder + "/index.html") << "<p>page</p>";
  std::ofstream(folder + "/assets/app.1234.js") << "go()";
  std::ofstream(folder + "/.hidden") << "hidden";
  std::filesystem::create_symlink("/etc/passwd", folder + "/link.txt");
  auto files = Files::Read(folder);
  REQUIRE(files.ok());
  const auto get = [&](const std::string& path, const std::string& name = "", const std::string& value = "") {
    Request request;
    request.path = path;
    if (!name.empty()) request.headers.emplace_back(name, value);
    return files->Answer(request);
  };
  const auto header = [](const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers)
      if (key == name) return value;
    return std::string();
  };
  const Response page = get("/");
  CHECK(page.body == "<p>page</p>");
  CHECK(header(page, "Content-Type") == "text/html; charset=utf-8");
  CHECK(absl::StrContains(header(page, "Content-Security-Policy"), "default-src 'none'"));
  CHECK(header(page, "Cache-Control") == "no-cache");
  CHECK(get("/", "If-None-Match", header(page, "ETag")).status == 304);
  CHECK(get("/jobs/7", "Accept", "text/html,*/*").body == "<p>page</p>");
  CHECK(get("/jobs/7").status == 404);
  const Response script = get("/assets/app.1234.js");
  CHECK(header(script, "Content-Type") == "text/javascript; charset=utf-8");
  CHECK(absl::StrContains(header(script, "Cache-Control"), "immutable"));
  for (const char* path : {"/.hidden", "/link.txt", "/../etc/passwd", "/assets", "/missing.js"}) {
    INFO(path);
    CHECK(get(path).status == 404);
  }
  CHECK(absl::IsFailedPrecondition(Files::Read(folder + "/index.html").status()));
  std::filesystem::remove_all(folder);
}

}  // namespace sextant::http
