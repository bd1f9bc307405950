#include "server/http/exchange.h"

#include "absl/strings/match.h"

namespace sextant::http {

absl::string_view Request::Header(absl::string_view name) const {
  for (const auto& [key, value] : headers)
    if (absl::EqualsIgnoreCase(key, name)) return value;
  return "";
}

const std::string* Request::Parameter(const std::string& name) const {
  const auto found = query.find(name);
  return found == query.end() ? nullptr : &found->second;
}

Response Response::Text(int status, std::string body) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

Response Response::Json(int status, std::string body) {
  return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

}  // namespace sextant::http
