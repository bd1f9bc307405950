// The gateway in front of a whole coordinator: real HTTP, real gRPC, real PostgreSQL.
#include "server/gateway/gateway.h"

#include <openssl/sha.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "server/http/server.h"
#include "server/http/test_client.h"
#include "server/rpc/test_service.h"

namespace sextant::gateway {
namespace {

using nlohmann::json;

struct Fixture {
  explicit Fixture(v1::ServiceLimits limits = job::DefaultLimits()) : service(limits) {
    gateway = std::make_unique<Gateway>(service.server().InProcess(), [this](const auto& request, auto method, auto done) {
      service.server().Identify(std::string(request.Header("Authorization")), request.peer, method, std::move(done));
    });
    gateway->Register(&router);
    auto started = http::Server::Start(
        "127.0.0.1", 0, [this](auto exchange) { router.Route(std::move(exchange)); }, {});
    REQUIRE(started.ok());
    http = *std::move(started);
  }
  ~Fixture() {
    http->Drain();
    service.server().Stop();
    http->Stop();
    gateway.reset();
  }

  struct Answer {
    int status;
    std::string head;
    std::string body;
    json as_json() const { return json::parse(body); }
  };
  static Answer Parsed(const std::string& text) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits("\r\n\r\n", 1));
    return {std::stoi(parts.first.substr(9, 3)), parts.first, parts.second};
  }
  Answer Call(const std::string& method, const std::string& body) {
    return Parsed(http::Client(http->port()).Post("/api/sextant.v1.Sextant/" + method, body));
  }
  Answer Get(const std::string& path, const std::string& more = "") {
    return Parsed(http::Client(http->port()).Get(path, more));
  }
  int64_t Submit(const std::string& request_id) {
    const Answer answer = Call("SubmitJob", json{
        {"request_id", request_id},
        {"graph", {{"name", "j"}, {"open", true},
                   {"tasks", {{{"name", "ask"}, {"external", json::object()}}}}}}}.dump());
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return std::stoll(answer.as_json()["job_id"].get<std::string>());
  }

  rpc::TestService service;
  http::Router router;
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<http::Server> http;
};

// The body of a chunked answer.
std::string Unchunked(absl::string_view body) {
  std::string whole;
  while (!body.empty()) {
    const size_t size = std::stoul(std::string(body.substr(0, body.find("\r\n"))), nullptr, 16);
    absl::ConsumePrefix(&body, body.substr(0, body.find("\r\n") + 2));
    absl::StrAppend(&whole, body.substr(0, size));
    body.remove_prefix(size + 2);
    if (size == 0) break;
  }
  return whole;
}

}  // namespace

TEST_CASE("jobs are submitted, read and ended as JSON") {
  Fixture f;
  const int64_t job = f.Submit("a");
  CHECK(f.Submit("a") == job);
  const auto got = f.Call("GetJob", json{{"job_id", job}, {"with_tasks", true}}.dump());
  CHECK(got.status == 200);
  CHECK(got.as_json()["job"]["state"] == "RUNNING");
  CHECK(got.as_json()["tasks"][0]["path"] == "ask");
  CHECK(f.Call("CompleteTask", json{{"job_id", job}, {"task", "ask"}}.dump()).status == 200);
  CHECK(f.Call("SealJob", json{{"job_id", job}}.dump()).as_json()["state"] == "DONE");
  const auto listed = f.Call("ListJobs", "{}");
  CHECK(listed.as_json()["jobs"][0]["job_id"] == std::to_string(job));
}

TEST_CASE("an error has a code, a message, the field and the remedy, and HTTP's status") {
  Fixture f;
  const auto missing = f.Call("GetJob", R"({"job_id": 4711})");
  CHECK(missing.status == 404);
  CHECK(missing.as_json()["code"] == "NOT_FOUND");
  const auto wrong = f.Call("SubmitJob", "{}");
  CHECK(wrong.status == 400);
  CHECK(wrong.as_json()["field"] == "graph");
  CHECK(f.Call("GetJob", "{").status == 400);
  CHECK(f.Call("NoSuchMethod", "{}").status == 404);
  CHECK(f.Get("/api/sextant.v1.Sextant/GetJob").status == 405);
  // What another site's page can send without asking.
  const auto form = Fixture::Parsed(http::Client(f.http->port()).Post(
      "/api/sextant.v1.Sextant/ListJobs", "{}", "Content-Type: text/plain\r\n"));
  CHECK(form.status == 415);
}

TEST_CASE("every unary method of the service is there") {
  Fixture f;
  const auto* service = v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant");
  int unary = 0;
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    if (method->client_streaming() || method->server_streaming()) continue;
    ++unary;
    INFO(method->name());
    const auto answer = f.Call(method->name(), "{}");
    CHECK(answer.status != 404 + (answer.as_json().value("code", "") == "NOT_FOUND" ? 1000 : 0));
    CHECK(answer.status != 405);
  }
  CHECK(unary > 20);
}

TEST_CASE("a large request is answered as a small one is") {
  Fixture f;
  json graph = {{"name", "large"}, {"open", true}};
  for (int i = 0; i < 2000; ++i)
    graph["tasks"].push_back({{"name", "task-with-a-long-name-" + std::to_string(i)},
                              {"external", {{"instructions", "look at it"}}}});
  const auto answer = f.Call("SubmitJob", json{{"request_id", "large"}, {"graph", graph}}.dump());
  INFO(answer.body);
  CHECK(answer.status == 200);
}

TEST_CASE("events arrive as they happen, from where the watcher was, and the end is told") {
  Fixture f;
  const int64_t job = f.Submit("watched");
  http::Client watcher(f.http->port());
  watcher.Send(absl::StrCat("GET /api/sextant.v1.Sextant/WatchJob?job_id=", job,
                            " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  const std::string begun = watcher.ReadTo("\"accepted\"");
  CHECK(absl::StrContains(begun, "Content-Type: text/event-stream"));
  CHECK(absl::StrContains(begun, "X-Accel-Buffering: no"));
  f.Call("CompleteTask", json{{"job_id", job}, {"task", "ask"}}.dump());
  f.Call("SealJob", json{{"job_id", job}}.dump());
  const std::string rest = watcher.ReadAll();
  CHECK(absl::StrContains(rest, "event: end\ndata: {\"code\":\"OK\""));

  const auto all = f.Get(absl::StrCat("/api/sextant.v1.Sextant/WatchJob?job_id=", job));
  std::vector<std::string> ids;
  for (const absl::string_view line : absl::StrSplit(Unchunked(all.body), '\n'))
    if (absl::StartsWith(line, "id: ")) ids.emplace_back(line.substr(4));
  REQUIRE(ids.size() >= 3);
  const auto later = f.Get(absl::StrCat("/api/sextant.v1.Sextant/WatchJob?job_id=", job),
                           absl::StrCat("Last-Event-ID: ", ids[1], "\r\n"));
  CHECK_FALSE(absl::StrContains(later.body, absl::StrCat("id: ", ids[1], "\n")));
  CHECK(absl::StrContains(later.body, absl::StrCat("id: ", ids[2], "\n")));
  CHECK(f.Get("/api/sextant.v1.Sextant/WatchJob?job_id=4711").status == 404);
  CHECK(f.Get("/api/sextant.v1.Sextant/WatchJob?job=1").as_json()["field"] == "job");
}

TEST_CASE("a watcher that goes away is taken off the service's list") {
  Fixture f;
  const int64_t job = f.Submit("left");
  http::Client watcher(f.http->port());
  watcher.Send(absl::StrCat("GET /api/sextant.v1.Sextant/WatchJob?job_id=", job,
                            " HTTP/1.1\r\nHost: x\r\n\r\n"));
  watcher.ReadTo("\"accepted\"");
  CHECK(f.service.watches().watchers() == 1);
  watcher.Close();
  while (f.service.watches().watchers() != 0) absl::SleepFor(absl::Milliseconds(1));
}

TEST_CASE("a stopping service tells its watchers") {
  Fixture f;
  const int64_t job = f.Submit("stopped");
  http::Client watcher(f.http->port());
  watcher.Send(absl::StrCat("GET /api/sextant.v1.Sextant/WatchJob?job_id=", job,
                            " HTTP/1.1\r\nHost: x\r\n\r\n"));
  watcher.ReadTo("\"accepted\"");
  f.http->Drain();
  f.service.server().Stop();
  CHECK(absl::StrContains(watcher.ReadAll(), "event: end\ndata: {\"code\":\"UNAVAILABLE\""));
}

TEST_CASE("blobs are downloads") {
  Fixture f;
  const std::string data(3'000'000, 'x');
  unsigned char raw[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), raw);
  const std::string digest(reinterpret_cast<char*>(raw), sizeof(raw));
  grpc::ClientContext context;
  v1::UploadBlobsResponse response;
  auto writer = f.service.client->UploadBlobs(&context, &response);
  for (size_t at = 0; at < data.size(); at += 1'000'000) {
    v1::UploadBlobsRequest part;
    if (at == 0) part.set_digest(digest);
    if (at == 0) part.set_size_bytes(data.size());
    part.set_data(data.substr(at, 1'000'000));
    part.set_last(at + 1'000'000 >= data.size());
    writer->Write(part);
  }
  writer->WritesDone();
  REQUIRE(writer->Finish().ok());
  const std::string path = "/api/sextant.v1.Sextant/GetBlob?digest=";
  const auto got = f.Get(path + absl::BytesToHexString(digest) + "&name=..%2Fa%0A%22b.json");
  CHECK(got.status == 200);
  CHECK(absl::StrContains(got.head, "Content-Disposition: attachment; filename=\"_a__b.json\""));
  CHECK(absl::StrContains(got.head, "Content-Type: application/json"));
  CHECK(Unchunked(got.body) == data);
  CHECK(f.Get(path + std::string(64, '0')).status == 404);
  CHECK(f.Get(path + "xyz").as_json()["field"] == "digest");
}

TEST_CASE("the description names every path, and says what the .proto files say") {
  Fixture f;
  const auto answer = f.Get("/api/openapi.json");
  REQUIRE(answer.status == 200);
  const json openapi = answer.as_json();
  CHECK(openapi["openapi"] == "3.1.0");
  const json& submit = openapi["paths"]["/api/sextant.v1.Sextant/SubmitJob"]["post"];
  CHECK(submit["description"].get<std::string>().find("Accepts a graph durably") == 0);
  CHECK(openapi["paths"]["/api/sextant.v1.Sextant/WatchJob"].contains("get"));
  const json& schemas = openapi["components"]["schemas"];
  // Every reference leads somewhere.
  std::function<void(const json&)> follow = [&](const json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const std::string name = node["$ref"].get<std::string>().substr(21);
      INFO(name);
      CHECK(schemas.contains(name));
    }
    if (node.is_structured())
      for (const json& child : node) follow(child);
  };
  follow(openapi);
  CHECK(schemas["JobInfo"]["properties"]["job_id"]["format"] == "int64");
  CHECK(schemas["State"]["enum"].size() == 7);
}

}  // namespace sextant::gateway
