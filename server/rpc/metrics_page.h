// `/metrics` over HTTP.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "server/rpc/metrics.h"

namespace httplib {
class Server;
}

namespace sextant::rpc {

// Two threads; borrows the metrics.
class MetricsPage {
 public:
  // "host:port", port 0: the system chooses. Loopback unless `anywhere`. FAILED_PRECONDITION: the
  // port is taken.
  static absl::StatusOr<std::unique_ptr<MetricsPage>> Start(Metrics* metrics,
                                                            const std::string& address,
                                                            bool anywhere);
  ~MetricsPage();

  const std::string& address() const { return address_; }   // with the port chosen

 private:
  MetricsPage();

  std::unique_ptr<httplib::Server> server_;
  std::string address_;
  std::thread thread_;
};

}  // namespace sextant::rpc
