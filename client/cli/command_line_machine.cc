// Commands about this machine.
#include "absl/strings/numbers.h"
#include "client/cli/command_line.h"
#include "client/cli/text.h"

namespace sextant::cli {

void CommandLine::Machine() {
  CLI::App* mcp = Command("mcp", "Serve MCP over standard input and output, for agents that start programs",
                          [this](Context& c) { return Mcp(c, v_.mcp_up); });
  mcp->add_flag("--up", v_.mcp_up, "Start the service of this machine when it does not run");

  CLI::App* up = Command("up", "Start the service of this machine: database, coordinator, one worker",
                         [this](Context& c) {
                           v_.up.worker = v_.words;
                           return Up(c, v_.up);
                         });
  up->add_option("--listen", v_.up.listen, "Also listen on HOST:PORT; beyond 127.0.0.1 it takes --tls-cert, and callers need tokens");
  up->add_option("--http", v_.up.http, "HOST:PORT of the page and the JSON gateway; default: some port of 127.0.0.1");
  up->add_option("--tls-cert", v_.up.tls_cert, "PEM file of the certificate of these ports");
  up->add_option("--tls-key", v_.up.tls_key, "PEM file of its private key");
  up->add_option("--tls-client-ca", v_.up.tls_client_ca, "PEM file of who signs the certificates clients must show");
  up->add_flag("--require-tokens", v_.up.require_tokens, "Ask for tokens, but of you over the socket");
  up->add_option("--state", v_.up.state, "Directory of all data; default SEXTANT_HOME");
  up->add_flag("--foreground", v_.up.foreground, "Stay, and stop everything on Ctrl-C");
  up->add_option("ARGS", v_.words, "Arguments of sextant-worker, after --");
  up->add_option("--wait", v_.up.wait_s, "Seconds to wait until it answers; default 60");
  CLI::App* down = Command("down", "Stop what `sextant up` started", [this](Context& c) { return Down(c, v_.state); });
  down->add_option("--state", v_.state, "The directory given to `up`");
  CLI::App* doctor = Command("doctor", "What this machine can and cannot do, and why",
                             [this](Context& c) { return Doctor(c, v_.words); });
  doctor->add_option("ARGS", v_.words, "Arguments of sextant-worker, after --");
  CLI::App* worker = Command("worker", "Run a worker in the foreground; arguments after -- are sextant-worker's",
                             [this](Context& c) { return Worker(c, v_.words); });
  worker->add_option("ARGS", v_.words, "Arguments of sextant-worker, after --");
  CLI::App* shell = Command("shell", "Open the container a kept pass ran in", [this](Context& c) {
    int64_t id = 0;
    const std::string text = v_.words.empty() ? "" : v_.words[0];
    if (!absl::SimpleAtoi(!text.empty() && text[0] == 'p' ? text.substr(1) : text, &id) || id <= 0) {
      return c.Usage(absl::StrCat("\"", Escape(text, 40), "\" is no pass; write p34, see sextant job ID --passes"));
    }
    return Shell(c, id);
  });
  shell->add_option("PASS", v_.words, "Id of the pass (p34)")->required()->expected(1);
  CLI::App* completion = Command("completion", "Print completion for a shell: bash, zsh, fish",
                                 [this](Context& c) { return Completion(c, v_.shell); });
  completion->add_option("SHELL", v_.shell, "bash, zsh or fish")->required();
  Command("version", "Versions of this program, the service and its workers", [](Context& c) { return Version(c); });
}

}  // namespace sextant::cli
