#include "server/http/router.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace sextant::http {

void Router::Add(std::string methods, std::string path, Handler handler) {
  entries_.push_back({absl::StrCat(" ", methods, " "), std::move(path), std::move(handler)});
}

void Router::Route(std::shared_ptr<Exchange> exchange) const {
  const Request& request = exchange->request();
  size_t longest = 0;
  for (const Entry& entry : entries_) {
    const bool fits = absl::EndsWith(entry.path, "/") ? absl::StartsWith(request.path, entry.path)
                                                      : request.path == entry.path;
    if (fits && entry.path.size() > longest) longest = entry.path.size();
  }
  const std::string method =
      absl::StrCat(" ", request.method == "HEAD" ? "GET" : request.method, " ");
  std::string allowed;
  for (const Entry& entry : entries_) {
    if (longest == 0 || entry.path != request.path.substr(0, longest)) continue;
    if (absl::StrContains(entry.methods, method)) return entry.handler(std::move(exchange));
    absl::StrAppend(&allowed, allowed.empty() ? "" : ", ",
                    absl::StrReplaceAll(entry.methods.substr(1, entry.methods.size() - 2), {{" ", ", "}}));
  }
  if (allowed.empty()) return exchange->Answer(Response::Text(404, "there is nothing here\n"));
  Response response = Response::Text(405, absl::StrCat("here goes ", allowed, "\n"));
  response.headers.emplace_back("Allow", allowed);
  exchange->Answer(std::move(response));
}

}  // namespace sextant::http
