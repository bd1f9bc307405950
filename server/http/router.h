// Which handler answers which path.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/http/exchange.h"

namespace sextant::http {

// Filled before the server starts, read by all its threads afterwards.
class Router {
 public:
  // `path` ending in "/" stands for all below it; the longest that fits answers. `methods`: "GET POST";
  // GET is HEAD too.
  void Add(std::string methods, std::string path, Handler handler);

  // 404 where nothing fits, 405 with Allow where another method does.
  void Route(std::shared_ptr<Exchange> exchange) const;

 private:
  struct Entry {
    std::string methods;
    std::string path;
    Handler handler;
  };
  std::vector<Entry> entries_;
};

}  // namespace sextant::http
