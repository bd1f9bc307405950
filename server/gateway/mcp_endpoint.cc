#include "server/gateway/mcp_endpoint.h"

#include <openssl/rand.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/mcp/values.h"
#include "server/gateway/calls.h"
#include "server/rpc/call.h"

namespace sextant::gateway {
namespace {

using mcp::Json;

constexpr char kSessionHeader[] = "Mcp-Session-Id";
constexpr char kVersionHeader[] = "MCP-Protocol-Version";
constexpr size_t kLargeBodyBytes = 64 << 10;
constexpr size_t kMaxLargeBodies = 64;

http::Response Message(int status, const Json& message) {
  return http::Response::Json(status, mcp::Dump(message));
}

void Refuse(const std::shared_ptr<http::Exchange>& exchange, const Json& message, int code,
            const std::string& what, Json data = nullptr) {
  const Json id = message.is_object() && message.contains("id") ? message["id"] : Json(nullptr);
  exchange->Answer(Message(400, mcp::Error(id, code, what, std::move(data))));
}

// "=?base64?…?=" is how a header carries what is not plain ASCII.
bool Decoded(absl::string_view header, std::string* value) {
  if (absl::ConsumePrefix(&header, "=?base64?") && absl::ConsumeSuffix(&header, "?="))
    return absl::Base64Unescape(header, value);
  *value = std::string(header);
  return true;
}

// The parameter that Mcp-Name repeats; null: the method has none.
const char* NameParameter(const std::string& method) {
  if (method == "tools/call" || method == "prompts/get") return "name";
  if (method == "resources/read") return "uri";
  if (absl::StartsWith(method, "tasks/")) return "taskId";
  return nullptr;
}

// Empty: the headers say what the body says.
std::string Mismatch(const http::Request& request, const Json& message) {
  const std::string version = mcp::Text(mcp::Meta(message), mcp::kVersionKey);
  if (request.Header(kVersionHeader) != version)
    return absl::StrCat(kVersionHeader, " header '", mcp::Clean(request.Header(kVersionHeader)),
                        "' does not match the body's '", mcp::Clean(version), "'");
  if (!message.contains("id")) return "";   // notifications have no rule
  const std::string method = mcp::Text(message, "method");
  if (request.Header("Mcp-Method") != method)
    return absl::StrCat("Mcp-Method header '", mcp::Clean(request.Header("Mcp-Method")),
                        "' does not match the body's '", mcp::Clean(method), "'");
  const char* const parameter = NameParameter(method);
  if (parameter == nullptr) return "";
  std::string name;
  const bool readable = Decoded(request.Header("Mcp-Name"), &name);
  const Json params = message.value("params", Json::object());
  if (!readable || name != mcp::Text(params, parameter))
    return absl::StrCat("Mcp-Name header '", mcp::Clean(name), "' does not match params.", parameter);
  return "";
}

// The answer as server-sent events, once there is a notification before the response. Thread-safe.
class ReplyStream {
 public:
  explicit ReplyStream(std::shared_ptr<http::Exchange> exchange) : exchange_(std::move(exchange)) {}

  void Send(const Json& message) {
    absl::MutexLock lock(&mutex_);
    if (!begun_) {
      begun_ = true;
      exchange_->Begin({200, {{"Content-Type", "text/event-stream"}, {"X-Accel-Buffering", "no"}}, ""}, ":\n\n");
    }
    exchange_->Write(absl::StrCat("data: ", mcp::Dump(message), "\n\n"), [](bool) {});
  }
  // Sends the response and ends the stream; false: there is none.
  bool End(const Json& response) {
    {
      absl::MutexLock lock(&mutex_);
      if (!begun_) return false;
    }
    if (!response.is_null()) Send(response);
    exchange_->End(true);
    return true;
  }

 private:
  const std::shared_ptr<http::Exchange> exchange_;   // the answer is this request's
  absl::Mutex mutex_;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::string McpSessions::Begin() {
  unsigned char random[24];
  RAND_bytes(random, sizeof(random));
  std::string session = absl::WebSafeBase64Escape({reinterpret_cast<char*>(random), sizeof(random)});
  absl::MutexLock lock(&mutex_);
  if (used_.size() >= kMost)
    used_.erase(std::min_element(used_.begin(), used_.end(),
                                 [](const auto& a, const auto& b) { return a.second < b.second; }));
  used_[session] = absl::Now();
  return session;
}

bool McpSessions::Touch(const std::string& session) {
  absl::MutexLock lock(&mutex_);
  const auto found = used_.find(session);
  if (found == used_.end()) return false;
  found->second = absl::Now();
  return true;
}

bool McpSessions::End(const std::string& session) {
  absl::MutexLock lock(&mutex_);
  return used_.erase(session) > 0;
}

McpEndpoint::McpEndpoint(std::shared_ptr<grpc::Channel> channel, Admit admit)
    : admit_(std::move(admit)),
      server_(std::move(channel), {.version = SEXTANT_VERSION}),
      large_(1, kMaxLargeBodies) {}

McpEndpoint::~McpEndpoint() { large_.Stop(); }

void McpEndpoint::Register(http::Router* router) {
  router->Add("POST", "/mcp", [this](auto exchange) { Take(std::move(exchange)); });
  router->Add("DELETE", "/mcp", [this](auto exchange) { Take(std::move(exchange)); });
}

void McpEndpoint::Take(std::shared_ptr<http::Exchange> exchange) {
  // What the tools may do the service judges at each call; whoever may do nothing is told so at once.
  admit_(exchange->request(), [this, exchange](const absl::Status& status) {
    if (!status.ok()) return exchange->Answer(Refusal(status));
    Admitted(exchange);
  });
}

void McpEndpoint::Admitted(std::shared_ptr<http::Exchange> exchange) {
  if (exchange->request().method == "DELETE") {
    const bool ended = sessions_.End(std::string(exchange->request().Header(kSessionHeader)));
    return exchange->Answer(http::Response::Text(ended ? 200 : 404, ended ? "" : "there is no such session\n"));
  }
  if (exchange->request().body.size() <= kLargeBodyBytes) return Post(std::move(exchange));
  if (!large_.Submit([this, exchange] { Post(exchange); }))
    exchange->Answer(Message(503, mcp::Error(nullptr, mcp::kInternalError,
                                             "too many large requests at once; try again later")));
}

void McpEndpoint::Post(std::shared_ptr<http::Exchange> exchange) {
  const http::Request& request = exchange->request();
  if (!absl::StartsWithIgnoreCase(request.Header("Content-Type"), "application/json"))
    return exchange->Answer(Message(415, mcp::Error(nullptr, mcp::kInvalidRequest,
                                                    "Content-Type must be application/json")));
  auto parsed = mcp::Parse(request.body);
  if (!parsed.ok())
    return exchange->Answer(Message(400, mcp::Error(nullptr, mcp::kParseError,
                                                    std::string(parsed.status().message()))));
  // A client of the stateless revision says so in the body, in the header, or by a method of its own.
  const std::string version(request.Header(kVersionHeader));
  const bool modern = mcp::IsModern(*parsed) || version == mcp::kModern ||
                      (parsed->is_object() && mcp::Text(*parsed, "method") == "server/discover");
  modern ? Modern(*std::move(parsed), std::move(exchange)) : Legacy(*std::move(parsed), std::move(exchange));
}

void McpEndpoint::Modern(Json message, std::shared_ptr<http::Exchange> exchange) {
  const bool request = message.is_object() && message.contains("id") && !message["id"].is_null();
  if (request && !mcp::IsModern(message))
    return Refuse(exchange, message, mcp::kInvalidParams,
                  absl::StrCat("params._meta must hold ", mcp::kVersionKey, " and ", mcp::kCapabilitiesKey));
  if (message.is_object() && mcp::IsModern(message)) {
    const std::string mismatch = Mismatch(exchange->request(), message);
    if (!mismatch.empty())
      return Refuse(exchange, message, mcp::kHeaderMismatch, "Header mismatch: " + mismatch);
  }
  Handle(std::move(message), std::move(exchange), "", false, true);
}

void McpEndpoint::Legacy(Json message, std::shared_ptr<http::Exchange> exchange) {
  const http::Request& request = exchange->request();
  const std::string version(request.Header(kVersionHeader));
  const bool begins = message.is_object() && mcp::Text(message, "method") == "initialize";
  if (!version.empty() && !begins && !mcp::IsLegacyVersion(version))
    return Refuse(exchange, message, mcp::kUnsupportedVersion, "Unsupported protocol version",
                  {{"supported", mcp::Versions()}, {"requested", mcp::Clean(version)}});
  const std::string session(request.Header(kSessionHeader));
  if (!begins && session.empty())
    return Refuse(exchange, message, mcp::kInvalidRequest,
                  "begin with initialize and send its Mcp-Session-Id, or speak " + std::string(mcp::kModern));
  if (!begins && !sessions_.Touch(session))
    return exchange->Answer(Message(404, mcp::Error(nullptr, mcp::kInvalidRequest,
                                                    "there is no such session; begin with initialize")));
  Handle(std::move(message), std::move(exchange), session, begins, false);
}

void McpEndpoint::Handle(Json message, std::shared_ptr<http::Exchange> exchange, const std::string& session,
                         bool begins, bool ends_with_client) {
  const http::Request& request = exchange->request();
  mcp::Scope::Metadata metadata = {{rpc::kPeerMetadata, request.peer}};
  if (!request.Header("Authorization").empty())
    metadata.emplace_back("authorization", std::string(request.Header("Authorization")));
  const auto stream = std::make_shared<ReplyStream>(exchange);   // shared by both callbacks
  mcp::Server::Reply reply;
  // Earlier clients would take the stream for one that can be resumed; none of their requests notifies.
  if (ends_with_client) reply.notify = [stream](const Json& notification) { stream->Send(notification); };
  reply.finish = [this, exchange, stream, begins](const Json& response, int status) {
    if (stream->End(response)) return;
    if (response.is_null()) return exchange->Answer({202, {}, ""});
    http::Response answer = Message(status, response);
    if (begins && response.contains("result")) answer.headers.emplace_back(kSessionHeader, sessions_.Begin());
    exchange->Answer(std::move(answer));
  };
  // Requests of stateless clients are numbered by connection, and end with it.
  const auto scope = server_.Handle(std::move(message), std::move(metadata),
                                    session.empty() ? request.peer : session, std::move(reply));
  if (ends_with_client && scope != nullptr) exchange->OnGone([scope] { scope->Cancel(); });
}

}  // namespace sextant::gateway
