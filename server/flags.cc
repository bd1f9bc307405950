#include "server/flags.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/job/limits.h"
#include "server/process.h"
#include "server/rpc/addresses.h"

namespace sextant {
namespace {

std::string DefaultState() {
  if (const char* state = std::getenv("SEXTANT_STATE")) return state;
  if (geteuid() == 0) return "/var/lib/sextant";
  if (const char* state = std::getenv("XDG_STATE_HOME")) return absl::StrCat(state, "/sextant");
  const char* home = std::getenv("HOME");
  return absl::StrCat(home == nullptr ? "." : home, "/.local/state/sextant");
}

absl::Status Set(const std::string& text, absl::string_view name, const std::string& value,
                 google::protobuf::Message* message) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(name, absl::MaxSplits('.', 1));
  const auto* field = message->GetDescriptor()->FindFieldByName(parts.first);
  const auto* reflection = message->GetReflection();
  if (field == nullptr) {
    std::string names;
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i)
      absl::StrAppend(&names, i > 0 ? ", " : "", message->GetDescriptor()->field(i)->name());
    return absl::InvalidArgumentError(
        absl::StrCat("--limit ", text, ": there is no ", parts.first, "; there are ", names));
  }
  using Field = google::protobuf::FieldDescriptor;
  uint64_t whole = 0;
  double real = 0;
  switch (field->cpp_type()) {
    case Field::CPPTYPE_MESSAGE:
      return Set(text, parts.second, value, reflection->MutableMessage(message, field));
    case Field::CPPTYPE_UINT32:
      if (!absl::SimpleAtoi(value, &whole) || whole > UINT32_MAX) break;
      reflection->SetUInt32(message, field, static_cast<uint32_t>(whole));
      return absl::OkStatus();
    case Field::CPPTYPE_UINT64:
      if (!absl::SimpleAtoi(value, &whole)) break;
      reflection->SetUInt64(message, field, whole);
      return absl::OkStatus();
    case Field::CPPTYPE_DOUBLE:
      if (!absl::SimpleAtod(value, &real) || !(real >= 0)) break;
      reflection->SetDouble(message, field, real);
      return absl::OkStatus();
    default: break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--limit ", text, ": ", value, " is not a value of ", parts.first));
}

// Whether one of the addresses does. What is wrong with one of them is said when it is listened on.
bool ReachesOtherMachines(const Flags& flags) {
  std::vector<std::string> all = flags.listen;
  all.push_back(flags.http);
  return std::any_of(all.begin(), all.end(), [](const std::string& text) {
    const auto address = rpc::ParseAddress(text);
    return address.ok() && address->anywhere;
  });
}

}  // namespace

absl::Status SetLimit(const std::string& text, v1::ServiceLimits* limits) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat("--limit ", text, ": expected NAME=VALUE"));
  return Set(text, absl::string_view(text).substr(0, equals), text.substr(equals + 1), limits);
}

int ParseFlags(int argc, char** argv, Flags* flags) {
  flags->limits = job::DefaultLimits();
  flags->state = DefaultState();
  std::vector<std::string> limits;
  CLI::App app("sextantd: the coordinator of Sextant");
  app.set_version_flag("--version", std::string("sextantd ") + SEXTANT_VERSION);
  app.set_config("--config", "", "Read flags from this file (TOML or INI), one NAME=VALUE a line");
  app.add_option("--state", flags->state, "Directory of everything that is kept")
      ->capture_default_str();
  app.add_option("--database", flags->database,
                 "Connection string of an existing PostgreSQL; without it a private one is started "
                 "under the state directory and stopped again");
  app.add_option("--query-database", flags->query_database,
                 "With --database: the same database as the role sextant_reader, for Query");
  app.add_option("--listen", flags->listen,
                 "host:port (port 0: any free one) or unix:///path; may be repeated; "
                 "default unix://STATE/sextantd.sock");
  app.add_flag("--insecure-listen-anywhere", flags->anywhere,
               "Allow addresses that other machines reach without TLS and tokens: whoever reaches them may "
               "do everything");
  app.add_flag("--require-tokens", flags->require_tokens,
               "Answer nobody without a token, the user sextantd runs as over the Unix socket excepted; implied "
               "when --tls-cert lets other machines in");
  auto* certificate = app.add_option("--tls-cert", flags->tls.certificate,
                                     "PEM file of the certificate, with its chain, that all TCP ports show "
                                     "(--listen and --http); read again when it changes");
  auto* key = app.add_option("--tls-key", flags->tls.key, "PEM file of its private key, which others may not read");
  certificate->needs(key);
  key->needs(certificate);
  app.add_option("--tls-client-ca", flags->tls.client_authority,
                 "PEM file of the authorities whose certificates clients must show (mutual TLS)")
      ->needs(certificate);
  app.add_option("--http", flags->http,
                 "host:port of the JSON gateway, /metrics and the web page; port 0: that of last time, "
                 "or any free one; \"\": no HTTP")
      ->capture_default_str();
  app.add_option("--http-host", flags->http_hosts,
                 "A name under which HTTP may be asked, beside addresses and localhost; may be repeated");
  app.add_option("--http-origin", flags->http_origins,
                 "A site whose pages may call over HTTP: https://host[:port]; may be repeated");
  app.add_option("--web", flags->web, "Folder of the web page; default: beside this program");
  app.add_option("--log-level", flags->log_level, "trace, debug, info, warning, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_option("--log-file", flags->log_file, "Write the log there instead of standard error");
  app.add_option("--pid-file", flags->pid_file, "Write the process id there");
  app.add_option("--limit", limits,
                 "NAME=VALUE of one of the service's limits (`sextant --format json version` "
                 "shows them), such as worker_lease_s=20; may be repeated");
  app.add_option("--job-retention-days", flags->job_days, "Keep ended jobs so long; 0: for ever")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--database-connections", flags->connections, "At most so many at once")
      ->check(CLI::Range(4, 1000))
      ->capture_default_str();
  app.add_option("--fault", flags->faults,
                 "For tests: POINT=ACTION[@N], makes the process fail at a named point");
  for (auto* option : {app.get_option("--listen"), app.get_option("--limit"),
                       app.get_option("--http-host"), app.get_option("--http-origin"),
                       app.get_option("--fault")})
    option->expected(1)->take_all();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  for (const std::string& limit : limits) {
    if (absl::Status status = SetLimit(limit, &flags->limits); !status.ok()) {
      std::cerr << "sextantd: " << status.message() << "\n";
      return 2;
    }
  }
  if (!flags->tls.certificate.empty() && !flags->anywhere && ReachesOtherMachines(*flags))
    flags->require_tokens = true;
  flags->state = std::filesystem::absolute(flags->state).lexically_normal();
  if (flags->web.empty()) flags->web = OwnPrefix() + "/share/sextant/web";
  if (flags->listen.empty()) flags->listen = {"unix://" + flags->state + "/sextantd.sock"};
  return -1;
}

}  // namespace sextant
