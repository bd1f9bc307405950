// Every path of the gateway and every tool and resource of MCP, without a token, with one that does not hold,
// with one of too small a scope, and with another tenant's.
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/mcp/resources.h"
#include "client/mcp/tool.h"
#include "server/gateway/gateway.h"
#include "server/gateway/mcp_endpoint.h"
#include "server/http/server.h"
#include "server/http/test_client.h"
#include "server/rpc/test_service.h"

namespace sextant::gateway {
namespace {

using nlohmann::json;
using google::protobuf::MethodDescriptor;

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

struct Fixture {
  Fixture() : service(job::DefaultLimits(), true) {
    gateway = std::make_unique<Gateway>(service.server().InProcess(), [this](const auto& request, auto method, auto done) {
      service.server().Identify(std::string(request.Header("Authorization")), request.peer, method, std::move(done));
    });
    gateway->Register(&router);
    mcp = std::make_unique<McpEndpoint>(service.server().InProcess(), [this](const auto& request, auto done) {
      service.server().AdmitReader(std::string(request.Header("Authorization")), request.peer, std::move(done));
    });
    mcp->Register(&router);
    auto started = http::Server::Start(
        "127.0.0.1", 0, [this](auto exchange) { router.Route(std::move(exchange)); }, {});
    REQUIRE(started.ok());
    http = *std::move(started);
    a = service.Token({v1::SUBMIT}, "a");
    b = service.Token({v1::SUBMIT}, "b");
    reader = service.Token({v1::READ}, "a");
    worker = service.Token({v1::WORKER});
    expired = service.Token({v1::ADMIN}, "", 0.000'001);
    revoked = service.Token({v1::ADMIN});
    v1::RevokeTokenRequest revoke;
    revoke.set_id(revoked.substr(0, revoked.rfind('_')));
    v1::Token gone;
    REQUIRE(service.CallAs(service.AdminHeader(), &v1::Sextant::Stub::RevokeToken, revoke, &gone).ok());
    wrong = a;
    wrong.back() = wrong.back() == '0' ? '1' : '0';
    const Answer submitted = Call("SubmitJob", json{
        {"request_id", "x"},
        {"graph", {{"name", "secretjob"}, {"open", true},
                   {"tasks", {{{"name", "ask"}, {"external", json::object()}}}}}}}.dump(), a);
    INFO(submitted.body);
    REQUIRE(submitted.status == 200);
    job_id = std::stoll(json::parse(submitted.body)["job_id"].get<std::string>());
  }
  ~Fixture() {
    http->Drain();
    service.server().Stop();
    http->Stop();
    mcp.reset();
    gateway.reset();
  }

  static std::string Header(const std::string& token) {
    return token.empty() ? "" : absl::StrCat("Authorization: Bearer ", token, "\r\n");
  }
  static Answer Parsed(const std::string& text) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits("\r\n\r\n", 1));
    return {std::stoi(parts.first.substr(9, 3)), parts.first, parts.second};
  }
  Answer Call(const std::string& method, const std::string& body, const std::string& token) {
    return Parsed(http::Client(http->port()).Post("/api/sextant.v1.Sextant/" + method, body,
                                                  "Content-Type: application/json\r\n" + Header(token)));
  }
  Answer Get(const std::string& method, const std::string& query, const std::string& token) {
    return Parsed(http::Client(http->port()).Get(absl::StrCat("/api/sextant.v1.Sextant/", method, query),
                                                 Header(token)));
  }
  Answer Ask(const MethodDescriptor& method, const std::string& token) {
    return method.server_streaming() ? Get(method.name(), "", token) : Call(method.name(), "{}", token);
  }
  // One stateless request of MCP; `name` is that of the tool or resource.
  Answer Mcp(const std::string& method, const std::string& name, json params, const std::string& token) {
    params["_meta"] = {{mcp::kVersionKey, "2026-07-28"}, {mcp::kCapabilitiesKey, json::object()}};
    const json message = {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}};
    return Parsed(http::Client(http->port()).Post(
        "/mcp", message.dump(),
        absl::StrCat("Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
                     "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: ", method, "\r\nMcp-Name: ", name, "\r\n",
                     Header(token))));
  }
  // What the tool requires, about this job.
  static json Arguments(const mcp::Tool& tool, int64_t job) {
    json arguments = json::object();
    const json schema = json::parse(tool.input);
    for (const auto& required : schema.value("required", json::array())) {
      const std::string name = required;
      if (absl::StartsWith(name, "job_")) arguments[name] = job;
      else if (name == "sql") arguments[name] = "SELECT name FROM jobs";
      else arguments[name] = "ask";
    }
    if (std::string(tool.name) == "compare_jobs") arguments["job_b"] = job + 1;
    if (std::string(tool.name) == "submit_job") arguments = {{"argv", {"true"}}, {"passes", {"host"}}};
    return arguments;
  }

  rpc::TestService service;
  http::Router router;
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<McpEndpoint> mcp;
  std::unique_ptr<http::Server> http;
  std::string a, b, reader, worker, expired, revoked, wrong;
  int64_t job_id = 0;
};

std::vector<const MethodDescriptor*> Methods() {
  const auto* service = v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant");
  std::vector<const MethodDescriptor*> methods;
  for (int i = 0; i < service->method_count(); ++i)
    if (!service->method(i)->client_streaming()) methods.push_back(service->method(i));
  return methods;
}

}  // namespace

TEST_CASE("no path of the gateway answers without a valid token of its scope") {
  Fixture f;
  for (const MethodDescriptor* method : Methods()) {
    for (const std::string& token : {std::string(), f.wrong, f.expired, f.revoked, std::string("sx_nothing")}) {
      const Answer answer = f.Ask(*method, token);
      INFO(method->name() << " with " << token << ": " << answer.body);
      CHECK(answer.status == 401);
      CHECK(absl::StrContains(answer.head, "WWW-Authenticate: Bearer"));
      CHECK(json::parse(answer.body)["code"] == "UNAUTHENTICATED");
    }
    const v1::TokenScope takes = method->options().GetExtension(v1::scope);
    const Answer of_reader = f.Ask(*method, f.reader), of_submitter = f.Ask(*method, f.a);
    INFO(method->name());
    CHECK((of_reader.status == 403) == (takes != v1::READ));
    CHECK((of_submitter.status == 403) == (takes == v1::ADMIN));
    const bool moves_files = method->name() == "GetBlob" || method->name() == "FindMissingBlobs";
    CHECK((f.Ask(*method, f.worker).status == 403) == !moves_files);
  }
}

TEST_CASE("what strangers send is not read") {
  Fixture f;
  const std::string large(200 << 10, '{');
  for (const std::string& body : {std::string("{"), large}) {
    for (const std::string& token : {std::string(), f.wrong, f.expired, f.revoked}) {
      const Answer answer = f.Call("PlanJob", body, token);
      INFO(token << ": " << answer.body);
      CHECK(answer.status == 401);
      CHECK(absl::StrContains(answer.head, "WWW-Authenticate: Bearer"));
    }
    CHECK(f.Call("PlanJob", body, f.a).status == 400);
  }
  // Noted like any refused call.
  CHECK(f.Call("CancelJob", "{", "").status == 401);
  REQUIRE(f.service.ledger().Flush(absl::Seconds(60)));
  v1::ListAuditResponse trail;
  REQUIRE(f.service.CallAs(f.service.AdminHeader(), &v1::Sextant::Stub::ListAudit, v1::ListAuditRequest(), &trail).ok());
  int cancels = 0;
  for (const auto& entry : trail.entries())
    cancels += entry.method() == "CancelJob" && entry.outcome() == "UNAUTHENTICATED" &&
               absl::StartsWith(entry.peer(), "http:127.0.0.1:");
  CHECK(cancels == 1);
}

TEST_CASE("another tenant's job is no job over HTTP, also as events and as a download") {
  Fixture f;
  for (const MethodDescriptor* method : Methods()) {
    if (method->options().GetExtension(v1::scope) == v1::ADMIN) continue;
    const auto* subject = method->input_type()->FindFieldByName("subject");
    if (subject == nullptr && method->input_type()->FindFieldByName("job_id") == nullptr) continue;
    const auto ask = [&](int64_t job) {
      if (method->server_streaming()) return f.Get(method->name(), absl::StrCat("?job_id=", job), f.b);
      json body = subject == nullptr ? json{{"job_id", job}} : json{{"subject", {{"job_id", job}}}};
      return f.Call(method->name(), body.dump(), f.b);
    };
    INFO(method->name());
    const Answer theirs = ask(f.job_id), nobodys = ask(999'999);
    CHECK(theirs.status == 404);
    CHECK(absl::StrReplaceAll(theirs.body, {{absl::StrCat(" job ", f.job_id), " job #"}}) ==
          absl::StrReplaceAll(nobodys.body, {{" job 999999", " job #"}}));
    CHECK_FALSE(absl::StrContains(theirs.body, "secretjob"));
  }
  CHECK_FALSE(absl::StrContains(f.Call("ListJobs", "{}", f.b).body, "secretjob"));
  CHECK(absl::StrContains(f.Call("ListJobs", "{}", f.a).body, "secretjob"));
}

TEST_CASE("MCP answers nobody without a valid token that may read") {
  Fixture f;
  for (const std::string& token : {std::string(), f.wrong, f.expired, f.revoked, std::string("sx_nothing")}) {
    INFO(token);
    for (const char* method : {"server/discover", "tools/list", "resources/list", "resources/templates/list"})
      CHECK(f.Mcp(method, "", json::object(), token).status == 401);
    for (const auto& tool : mcp::Tools()) {
      const Answer answer = f.Mcp("tools/call", tool.name,
                                  {{"name", tool.name}, {"arguments", Fixture::Arguments(tool, f.job_id)}}, token);
      INFO(tool.name << ": " << answer.body);
      CHECK(answer.status == 401);
      CHECK_FALSE(absl::StrContains(answer.body, "secretjob"));
    }
    for (const std::string& uri : {std::string("sextant://guide"), std::string("sextant://schema"),
                                   absl::StrCat("sextant://job/", f.job_id, "/report"),
                                   "sextant://blob/" + std::string(64, '0')})
      CHECK(f.Mcp("resources/read", uri, {{"uri", uri}}, token).status == 401);
    // Clients of earlier revisions, too.
    const Answer begins = Fixture::Parsed(http::Client(f.http->port()).Post(
        "/mcp", R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}})",
        "Content-Type: application/json\r\n" + Fixture::Header(token)));
    CHECK(begins.status == 401);
    CHECK_FALSE(absl::StrContains(begins.head, "Mcp-Session-Id"));
  }
  CHECK(f.Mcp("tools/list", "", json::object(), f.worker).status == 403);
  CHECK(f.Mcp("tools/list", "", json::object(), f.reader).status == 200);
}

TEST_CASE("tools that change something take more than a reader's token, and say what") {
  Fixture f;
  for (const auto& tool : mcp::Tools()) {
    const std::string name = tool.name;
    if (name != "submit_job" && name != "cancel_job" && name != "complete_task") continue;
    const Answer answer = f.Mcp("tools/call", name,
                                {{"name", name}, {"arguments", Fixture::Arguments(tool, f.job_id)}}, f.reader);
    INFO(name << ": " << answer.body);
    CHECK(answer.status == 200);
    CHECK(json::parse(answer.body)["result"]["isError"] == true);
    CHECK(absl::StrContains(answer.body, "SUBMIT"));
  }
}

TEST_CASE("no tool and no resource tells of another tenant's job") {
  Fixture f;
  for (const auto& tool : mcp::Tools()) {
    const std::string name = tool.name;
    const auto ask = [&](int64_t job, const std::string& token) {
      return f.Mcp("tools/call", name, {{"name", name}, {"arguments", Fixture::Arguments(tool, job)}}, token);
    };
    const Answer theirs = ask(f.job_id, f.b);
    INFO(name << ": " << theirs.body);
    CHECK(theirs.status == 200);
    CHECK_FALSE(absl::StrContains(theirs.body, "secretjob"));
    if (!json::parse(tool.input).value("properties", json::object()).contains("job_id")) continue;
    const Answer nobodys = ask(999'999, f.b);
    CHECK(json::parse(theirs.body)["result"]["isError"] == true);
    CHECK(absl::StrReplaceAll(theirs.body, {{absl::StrCat("job ", f.job_id), "job #"}}) ==
          absl::StrReplaceAll(nobodys.body, {{"job 999999", "job #"}}));
  }
  const std::string uri = absl::StrCat("sextant://job/", f.job_id, "/report");
  const Answer report = f.Mcp("resources/read", uri, {{"uri", uri}}, f.b);
  INFO(report.body);
  CHECK(json::parse(report.body).contains("error"));
  CHECK_FALSE(absl::StrContains(report.body, "secretjob"));
}

TEST_CASE("the audit trail names the address that came over HTTP, whatever the caller claims") {
  Fixture f;
  v1::CancelJobRequest cancel;
  cancel.set_job_id(f.job_id);
  v1::JobInfo job;
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + f.a);
  context.AddMetadata(rpc::kPeerMetadata, "10.0.0.1:1");
  REQUIRE(f.service.client->CancelJob(&context, cancel, &job).ok());
  REQUIRE(f.service.ledger().Flush(absl::Seconds(60)));
  v1::ListAuditResponse trail;
  REQUIRE(f.service.CallAs(f.service.AdminHeader(), &v1::Sextant::Stub::ListAudit, v1::ListAuditRequest(), &trail).ok());
  int submits = 0, cancels = 0;
  for (const auto& entry : trail.entries()) {
    if (entry.method() == "SubmitJob") submits += absl::StartsWith(entry.peer(), "http:127.0.0.1:");
    if (entry.method() == "CancelJob") cancels += absl::StartsWith(entry.peer(), "ipv4:127.0.0.1:");
  }
  INFO(trail.DebugString());
  CHECK(submits == 1);
  CHECK(cancels == 1);
}

}  // namespace sextant::gateway
