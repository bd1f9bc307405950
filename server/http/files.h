// A folder of files, such as the web page, as answers to GET.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/http/exchange.h"

namespace sextant::http {

// The folder as it was when it was read: names are looked up among those found then, so no path can
// lead out of it. Links and hidden files are left out. Thread-safe.
class Files {
 public:
  static constexpr size_t kMaxBytes = 64 << 20;   // of all files together

  // FAILED_PRECONDITION: not a folder, or larger than kMaxBytes.
  static absl::StatusOr<Files> Read(const std::string& folder);
  Files() = default;

  bool empty() const { return files_.empty(); }

  // "/" is index.html, and so is a path without a dot where a browser asks for a page: the page routes
  // by itself. Files under "/assets/" are named by their content and may be kept for ever; the others
  // are asked for again with If-None-Match.
  Response Answer(const Request& request) const;

 private:
  struct File {
    std::string body;
    std::string type;
    std::string etag;
  };
  std::map<std::string, File> files_;   // by path from "/"
};

// "text/html; charset=utf-8" of "a.html", "application/octet-stream" where the ending says nothing.
std::string ContentType(absl::string_view name);

}  // namespace sextant::http
