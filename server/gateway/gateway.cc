#include "server/gateway/gateway.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/gateway/json.h"
#include "server/gateway/openapi.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::gateway {
namespace {

constexpr size_t kLargeBodyBytes = 64 << 10;
constexpr size_t kMaxLargeBodies = 64;    // waiting to be parsed
constexpr size_t kMaxFileNameBytes = 120;

const google::protobuf::ServiceDescriptor* Service() {
  return v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant");
}

void Fail(const std::shared_ptr<http::Exchange>& exchange, const absl::Status& status) {
  exchange->Answer(http::Response::Json(HttpStatus(status.code()), ErrorJson(status)));
}

std::unique_ptr<google::protobuf::Message> NewRequest(const google::protobuf::MethodDescriptor& method) {
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<google::protobuf::Message>(
      factory->GetPrototype(method.input_type())->New());   // New() gives it away
}

// JSON alone: a page of another site cannot send it without asking first (CORS), which nobody grants.
bool IsJson(const http::Request& request) {
  const absl::string_view type = request.Header("Content-Type");
  return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(type.substr(0, type.find(';'))),
                                "application/json");
}

// Fit for a header and for a disk.
std::string FileName(const http::Request& request, const google::protobuf::MethodDescriptor& method) {
  const std::string* asked = request.Parameter("name");
  std::string name;
  for (const char c : (asked == nullptr ? "" : *asked).substr(0, kMaxFileNameBytes))
    name.push_back(absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("._-", c)
                       ? c : '_');
  while (absl::StartsWith(name, ".")) name.erase(0, 1);
  return name.empty() ? absl::StrCat(method.name(), ".bin") : name;
}

}  // namespace

Gateway::Gateway(std::shared_ptr<grpc::Channel> channel, Identify identify)
    : channel_(std::move(channel)), identify_(std::move(identify)), openapi_(OpenApi(Service())), large_(1, kMaxLargeBodies) {}

Gateway::~Gateway() {
  large_.Stop();
  in_flight_.AwaitNone();
}

void Gateway::Register(http::Router* router) {
  const google::protobuf::ServiceDescriptor* const service = Service();
  for (int i = 0; i < service->method_count(); ++i) {
    const Method* const method = service->method(i);
    if (method->client_streaming()) continue;
    const std::string path = absl::StrCat("/api/", service->full_name(), "/", method->name());
    if (method->server_streaming()) {
      router->Add("GET", path, [this, method](auto exchange) { Stream(method, std::move(exchange)); });
    } else {
      router->Add("POST", path, [this, method](auto exchange) { Unary(method, std::move(exchange)); });
    }
  }
  router->Add("GET", "/api/openapi.json", [this](auto exchange) {
    exchange->Answer(http::Response::Json(200, openapi_));
  });
  router->Add("GET POST", "/api/", [](auto exchange) {
    Fail(exchange, absl::NotFoundError(absl::StrCat(
        "there is no ", absl::CHexEscape(exchange->request().path.substr(0, 200)),
        "; /api/openapi.json lists what there is")));
  });
}

void Gateway::Unary(const Method* method, std::shared_ptr<http::Exchange> exchange) {
  if (!IsJson(exchange->request()))
    return exchange->Answer(http::Response::Json(415, ErrorJson(absl::InvalidArgumentError(
        "Content-Type must be application/json"))));
  // What strangers send is not parsed.
  const http::Request& request = exchange->request();   // lives as long as the exchange
  identify_(request, method->name(), [this, method, exchange](const absl::Status& known) {
    if (!known.ok()) return exchange->Answer(Refusal(known));
    Parse(method, exchange);
  });
}

void Gateway::Parse(const Method* method, std::shared_ptr<http::Exchange> exchange) {
  auto work = [this, method, exchange] {
    auto request = NewRequest(*method);
    const absl::Status parsed = FromJson(exchange->request().body, request.get());
    if (!parsed.ok()) return Fail(exchange, parsed);
    AnswerUnary({channel_, method, std::move(request), exchange, &in_flight_});
  };
  if (exchange->request().body.size() <= kLargeBodyBytes) return work();
  if (!large_.Submit(std::move(work)))
    Fail(exchange, absl::ResourceExhaustedError("too many large requests at once; try again later"));
}

void Gateway::Stream(const Method* method, std::shared_ptr<http::Exchange> exchange) {
  auto request = NewRequest(*method);
  const bool bytes = StreamsBytes(*method);
  for (const auto& [name, value] : exchange->request().query) {
    if (bytes && name == "name") continue;   // of the file
    const absl::Status set = SetField(name, value, request.get());
    if (!set.ok()) return Fail(exchange, set);
  }
  // A browser that lost the stream asks for what came after the last event it saw.
  const absl::string_view last = exchange->request().Header("Last-Event-ID");
  if (!last.empty() && method->input_type()->FindFieldByName("after_seq") != nullptr) {
    const absl::Status set = SetField("after_seq", std::string(last), request.get());
    if (!set.ok()) return Fail(exchange, set);
  }
  const std::string file = bytes ? FileName(exchange->request(), *method) : "";
  Call call{channel_, method, std::move(request), std::move(exchange), &in_flight_};
  bytes ? AnswerDownload(std::move(call), file) : AnswerEvents(std::move(call));
}

}  // namespace sextant::gateway
