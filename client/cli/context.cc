#include "client/cli/context.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace sextant::cli {

absl::StatusOr<endpoint::Endpoint> Context::Endpoint() const {
  endpoint::Options options = given;
  options.address = address();
  return endpoint::Endpoint::Make(options);
}

Service& Context::service() {
  if (service_ == nullptr) service_ = std::make_unique<Service>(*Endpoint());
  return *service_;
}

void Context::PrintJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    err << "sextant: cannot write JSON: " << status.ToString() << "\n";
    return;
  }
  out << json << "\n" << std::flush;
}

int Context::Fail(const absl::Status& status) {
  out << std::flush;
  const absl::string_view red = err_terminal.color ? "\x1b[1;31m" : "";
  const absl::string_view plain = err_terminal.color ? "\x1b[0m" : "";
  err << red << "sextant: " << plain << EscapeLines(status.message()) << "\n";
  if (status.code() == absl::StatusCode::kUnavailable) {
    if (server.empty()) {
      err << "  Start the service of this machine:  sextant up\n"
             "  Or name another:                    --server HOST:PORT (or SEXTANT_SERVER)\n";
    } else {
      err << "  Check the address, and that the service runs there:  sextant --server "
          << Escape(server) << " version\n";
    }
  } else if (status.code() == absl::StatusCode::kNotFound) {
    err << "  See what there is:  sextant jobs\n";
  } else if (status.code() == absl::StatusCode::kUnknown) {
    err << "  Whether it was done is in doubt. Repeating it with the same --request-id is safe.\n";
  } else if (status.code() == absl::StatusCode::kUnauthenticated) {
    err << "  Give a token:     --token-file FILE (or SEXTANT_TOKEN, SEXTANT_TOKEN_FILE)\n"
           "  An admin makes it:  sextant token create --name NAME --scope submit\n";
  } else if (status.code() == absl::StatusCode::kPermissionDenied) {
    err << "  Whom it takes you for, and what you may do:  sextant whoami\n";
  } else if (status.code() == absl::StatusCode::kUnimplemented) {
    err << "  The service is older than this program:  sextant version\n";
  }
  err << std::flush;
  return ExitCodeOf(status);
}

int Context::Usage(absl::string_view message) {
  out << std::flush;
  const absl::string_view red = err_terminal.color ? "\x1b[1;31m" : "";
  const absl::string_view plain = err_terminal.color ? "\x1b[0m" : "";
  err << red << "sextant: " << plain << EscapeLines(message) << "\n" << std::flush;
  return kUsage;
}

void Context::Note(absl::string_view message) {
  if (json) return;
  err << message << "\n" << std::flush;
}

std::string Context::Bold(absl::string_view text) const {
  return out_terminal.color ? absl::StrCat("\x1b[1m", text, "\x1b[0m") : std::string(text);
}

}  // namespace sextant::cli
