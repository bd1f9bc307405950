// `sextant whoami`, `tenant` and `audit`: for whom one is taken, what a tenant may use, what was done.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr uint32_t kAuditPage = 1000;

std::string Rate(double per_s) { return absl::StrFormat("%g/s", per_s); }

// What a person asked for, into the bounds in force.
absl::Status Apply(const QuotaOptions& options, v1::TenantQuota& quota) {
  if (options.queued_passes) quota.set_queued_passes(*options.queued_passes);
  if (options.running_devices) quota.set_running_devices(*options.running_devices);
  if (options.calls_per_s) quota.set_calls_per_s(*options.calls_per_s);
  if (options.stored.empty()) return absl::OkStatus();
  const auto bytes = ParseBytes(options.stored);
  if (!bytes.ok())
    return absl::InvalidArgumentError(absl::StrCat("--stored: ", bytes.status().message()));
  quota.set_stored_bytes(*bytes);
  return absl::OkStatus();
}

}  // namespace

int WhoAmI(Context& context) {
  const auto described = context.service().Describe();
  if (!described.ok()) return context.Fail(described.status());
  const v1::Caller& caller = described->caller();
  if (context.json) {
    context.PrintJson(caller);
    return kOk;
  }
  const std::string by = caller.by() == "token"    ? absl::StrCat("by token ", Escape(caller.token_id(), 60), ", ",
                                                                  Escape(caller.token_name(), 100))
                         : caller.by() == "socket" ? "as the user the service runs as, over its socket"
                         : described->needs_token() ? "without a token"
                                                    : "without a token: this service asks for none";
  context.out << "service  " << Escape(context.address()) << "\n"
              << "tenant   " << (caller.tenant().empty() ? "all" : Escape(caller.tenant(), 64)) << "\n"
              << "scopes   " << ScopesText(caller.scopes()) << "\n"
              << "let in   " << by << "\n";
  return kOk;
}

int TenantQuota(Context& context, const QuotaOptions& options) {
  v1::GetQuotaRequest get;
  get.set_tenant(options.tenant);
  auto use = context.service().GetQuota(get);
  if (!use.ok()) return context.Fail(use.status());
  if (options.queued_passes || options.running_devices || options.calls_per_s || !options.stored.empty()) {
    v1::SetQuotaRequest set;
    *set.mutable_quota() = use->quota();
    set.mutable_quota()->set_tenant(options.tenant);
    if (const absl::Status wrong = Apply(options, *set.mutable_quota()); !wrong.ok()) return context.Usage(wrong.message());
    use = context.service().SetQuota(set);
    if (!use.ok()) return context.Fail(use.status());
  }
  if (context.json) {
    context.PrintJson(*use);
    return kOk;
  }
  const v1::TenantQuota& bound = use->quota();
  const auto most = [](bool bounded, std::string text) { return bounded ? std::move(text) : std::string("no bound"); };
  Table table({{"tenant " + options.tenant}, {"in use", Table::Align::kRight}, {"at most", Table::Align::kRight}});
  table.Add({"queued passes", FormatCount(use->queued_passes()), most(bound.queued_passes() > 0, FormatCount(bound.queued_passes()))});
  table.Add({"running devices", FormatCount(use->running_devices()),
             most(bound.running_devices() > 0, FormatCount(bound.running_devices()))});
  table.Add({"stored", FormatBytes(use->stored_bytes()), most(bound.stored_bytes() > 0, FormatBytes(bound.stored_bytes()))});
  table.Add({"calls", "", most(bound.calls_per_s() > 0, Rate(bound.calls_per_s()))});
  context.out << table.Text(context.out_terminal.color);
  return kOk;
}

int Audit(Context& context, const AuditOptions& options) {
  double since_s = HUGE_VAL;
  if (!options.since.empty()) {
    const auto seconds = ParseSeconds(options.since);
    if (!seconds.ok()) return context.Usage(absl::StrCat("--since: ", seconds.status().message()));
    since_s = *seconds;
  }
  const uint64_t now = NowUnixNs();
  const uint64_t oldest = since_s * 1e9 < static_cast<double>(now) ? now - static_cast<uint64_t>(since_s * 1e9) : 0;
  Table table({{"time"}, {"tenant"}, {"token"}, {"call"}, {"subject"}, {"outcome"}, {"from"}});
  v1::ListAuditRequest request;
  request.set_tenant(options.tenant);
  uint64_t left = options.limit > 0 ? options.limit : options.since.empty() ? 50 : UINT64_MAX;
  for (bool more = true; more && left > 0;) {
    request.set_page_size(static_cast<uint32_t>(std::min<uint64_t>(left, kAuditPage)));
    const auto page = context.service().ListAudit(request);
    if (!page.ok()) return context.Fail(page.status());
    more = page->more() && page->entries_size() > 0;
    for (const v1::AuditEntry& entry : page->entries()) {
      if (entry.at_unix_ns() < oldest || left == 0) {
        more = false;
        break;
      }
      --left;
      request.set_before_unix_ns(entry.at_unix_ns());
      if (context.json) {
        context.PrintJson(entry);
      } else {
        table.Add({FormatTime(entry.at_unix_ns()), entry.tenant(), entry.token_id(), entry.method(), entry.subject(),
                   entry.outcome(), entry.peer()});
      }
    }
  }
  if (context.json) return kOk;
  if (table.empty()) {
    context.out << "nothing was recorded\n";
  } else {
    context.out << table.Text(context.out_terminal.color, "", context.out_terminal.tty ? context.out_terminal.width : 0);
  }
  return kOk;
}

}  // namespace sextant::cli
