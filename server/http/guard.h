// Which hosts and origins a request may name. A page of another site that makes its name resolve to
// this machine (DNS rebinding) sends its own name in Host and Origin, and is refused by them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/http/exchange.h"

namespace sextant::http {

struct Guard {
  // Names beside IP addresses and localhost: "profiler.example.org", or "*.example.org" for one word more.
  std::vector<std::string> hosts;
  std::vector<std::string> origins;   // of other sites' pages; "https://notebook.example.org"

  // PERMISSION_DENIED names the flag that would let it pass. Host must be there, and be an IP address,
  // localhost or one of `hosts`. Origin, where a browser sends one, must be this very host or one of
  // `origins`.
  absl::Status Check(const Request& request) const;
};

}  // namespace sextant::http
