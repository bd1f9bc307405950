// Commands about who may call.
#include "client/cli/command_line.h"

namespace sextant::cli {

void CommandLine::Access() {
  const auto under = [this](CLI::App* command, const std::string& name, const std::string& summary, Action action) {
    CLI::App* sub = command->add_subcommand(name, summary);
    sub->callback([this, action = std::move(action)] { action_ = action; });
    return sub;
  };
  CLI::App* token = app_.add_subcommand("token", "Make, list and revoke tokens; needs an admin's");
  token->require_subcommand(1);
  token->fallthrough();
  TokenOptions& t = v_.token;
  CLI::App* create = under(token, "create", "Make a token; its secret is printed alone, this once",
                           [this](Context& c) { return TokenCreate(c, v_.token); });
  create->add_option("--name", t.name, "What it is for: \"CI of the attention team\"")->required();
  create->add_option("--scope", t.scopes, "read, submit (and read), worker, or admin; repeatable")->required()->expected(1)->take_all();
  create->add_option("--tenant", t.tenant, "Whose jobs and files it sees; default: default");
  create->add_option("--expires", t.expires, "Ends after this time: 12h, 30d; default: never");
  create->add_option("-o,--output", t.output, "Write the secret into this file, of mode 600");
  CLI::App* tokens = under(token, "list", "Tokens and when they were last used",
                           [this](Context& c) { return TokenList(c, v_.token.tenant); });
  tokens->add_option("--tenant", t.tenant, "Of this tenant alone");
  CLI::App* revoke = under(token, "revoke", "End a token now", [this](Context& c) { return TokenRevoke(c, v_.digest); });
  revoke->add_option("ID", v_.digest, "Its id, sx_…, as `sextant token list` shows it")->required();

  CLI::App* tenant = app_.add_subcommand("tenant", "What a tenant may use, and uses");
  tenant->require_subcommand(1);
  tenant->fallthrough();
  QuotaOptions& q = v_.quota;
  CLI::App* quota = under(tenant, "quota", "Show a tenant's bounds, or set them (an admin)",
                          [this](Context& c) { return TenantQuota(c, v_.quota); });
  quota->add_option("TENANT", q.tenant, "Its name")->required();
  quota->add_option("--queued-passes", q.queued_passes, "Passes that wait or run; 0: the service's default");
  quota->add_option("--running-devices", q.running_devices, "Devices at a time; 0: the service's default");
  quota->add_option("--stored", q.stored, "Bytes of files and traces: 10GiB; 0: the service's default");
  quota->add_option("--calls-per-s", q.calls_per_s, "Calls a second; 0: the service's default")->check(CLI::NonNegativeNumber);

  CLI::App* audit = Command("audit", "What was done, by whom, newest first; needs an admin's token",
                            [this](Context& c) { return Audit(c, v_.audit); });
  audit->add_option("--tenant", v_.audit.tenant, "Of this tenant alone");
  audit->add_option("--since", v_.audit.since, "No older than this: 2h, 7d");
  audit->add_option("--limit", v_.audit.limit, "How many; default 50, with --since all")->check(CLI::PositiveNumber);
  Command("whoami", "For whom the service takes you, and what you may do", [](Context& c) { return WhoAmI(c); });
}

}  // namespace sextant::cli
