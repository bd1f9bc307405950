#include "server/rpc/metrics_page.h"

#include <httplib.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/status/status.h"
#include "server/rpc/addresses.h"

namespace sextant::rpc {

MetricsPage::MetricsPage() : server_(std::make_unique<httplib::Server>()) {}

absl::StatusOr<std::unique_ptr<MetricsPage>> MetricsPage::Start(Metrics* metrics,
                                                                const std::string& address,
                                                                bool anywhere) {
  ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address), "--metrics");
  if (!parsed.unix_path.empty())
    return absl::InvalidArgumentError("--metrics: expected host:port");
  RETURN_IF_ERROR(CheckReach(parsed, anywhere), "--metrics");
  std::unique_ptr<MetricsPage> page(new MetricsPage());   // private constructor
  page->server_->new_task_queue = [] { return new httplib::ThreadPool(2); };   // httplib owns it
  page->server_->Get("/metrics", [metrics](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics->Page(), "text/plain; version=0.0.4");
  });
  const absl::string_view text = parsed.text;
  int port = 0;
  (void)absl::SimpleAtoi(text.substr(text.rfind(':') + 1), &port);
  if (port == 0) {
    port = page->server_->bind_to_any_port(parsed.host.c_str());
  } else if (!page->server_->bind_to_port(parsed.host.c_str(), port)) {
    port = -1;
  }
  if (port <= 0)
    return absl::FailedPreconditionError(
        absl::StrCat("--metrics ", address, ": cannot listen there; is the port taken?"));
  page->address_ = absl::StrCat("http://", text.substr(0, text.rfind(':')), ":", port, "/metrics");
  page->thread_ = std::thread([raw = page->server_.get()] { raw->listen_after_bind(); });
  // Stopping a server that does not listen yet would be lost.
  while (!page->server_->is_running()) absl::SleepFor(absl::Milliseconds(1));
  return page;
}

MetricsPage::~MetricsPage() {
  server_->stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace sextant::rpc
