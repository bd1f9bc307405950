// sextant-worker: reads what it is told, builds the sandbox, the backends and the agent, and serves
// until it is drained.
#include <pthread.h>
#include <signal.h>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "workers/agent/agent.h"
#include "workers/agent/inside.h"
#include "workers/agent/probe.h"
#include "workers/agent/site.h"
#include "workers/backends/backend.h"
#include "workers/installation.h"
#include "workers/sandbox/sandbox.h"
#include "workers/sandbox/shell.h"
#include "workers/sandbox/spec_file.h"

namespace {

using namespace sextant;  // the composition root names every room

struct Settings {
  agent::AgentOptions agent;
  sandbox::SandboxOptions sandbox;
  std::string token_file, ca, cert, key;
  std::string state = "/var/lib/sextant-worker";
  std::string log_level = "info";
  bool no_sandbox = false;
  bool probe = false;
  std::string shell;
  std::vector<std::string> shell_command;
  double drain_s = 30;
  uint64_t cache_gib = 8;
  agent::SiteFlags site;
  std::string driver_root = "/";
  std::string gpu_lock_dir;
};

void Declare(CLI::App& app, Settings& settings) {
  app.set_config("--config", "", "Read the options below from a file (key = value)");
  app.set_version_flag("--version", std::string("sextant-worker ") + SEXTANT_VERSION);
  app.add_option("--coordinator", settings.agent.coordinator,
                 "Where the coordinator listens: host:port, https://host:port or unix:///path");
  app.add_option("--token-file", settings.token_file,
                 "File with a token of scope worker, read again when it changes; or SEXTANT_TOKEN_FILE, or the token "
                 "in SEXTANT_TOKEN");
  app.add_option("--ca", settings.ca,
                 "Speak TLS; PEM file of who signed the coordinator's certificate (or SEXTANT_CA)");
  app.add_option("--cert", settings.cert,
                 "PEM file of this worker's certificate, where the coordinator asks for one (or SEXTANT_CERT)");
  app.add_option("--key", settings.key, "PEM file of its private key (or SEXTANT_KEY)");
  app.add_flag("--insecure-token", settings.agent.endpoint.insecure_token,
               "Send the token unencrypted to other machines");
  app.add_option("--state", settings.state, "Directory of this worker's own files")
      ->capture_default_str();
  app.add_option("--name", settings.agent.name,
                 "Unique and stable name; default: from host and state");
  app.add_option("--cpu-slots", settings.agent.cpu_slots,
                 "CPU tasks at a time beside measuring passes")
      ->capture_default_str();
  app.add_option("--allow-rootfs", settings.agent.rootfs_allowed,
                 "Prefix under which workloads may name a root file system; may be repeated");
  app.add_option("--sandbox-user", settings.sandbox.unprivileged_user,
                 "When the worker is root: the user programs run as; default: nobody");
  app.add_flag("--no-sandbox", settings.no_sandbox,
               "Run programs without a container. Only where every submitter is trusted");
  app.add_option("--cache-gib", settings.cache_gib, "Room for the files of workloads")
      ->capture_default_str();
  app.add_option("--drain-s", settings.drain_s,
                 "After SIGTERM: how long running passes may take before they are killed")
      ->capture_default_str();
  app.add_option("--record", settings.agent.record_dir,
                 "Write a recording of every measuring pass into this directory, for "
                 "`sextant run --pass replay:DIR`");
  app.add_option("--lib-dir", settings.site.lib_dir,
                 "Holds the library loaded into CUDA programs; default: ../lib/sextant beside this program");
  app.add_option("--cuda", settings.site.cuda,
                 "The CUDA toolkit; default: $CUDA_HOME, else /usr/local/cuda");
  app.add_option("--exec-backends", settings.site.exec_backends,
                 "Directory of third-party backends: one executable for each exec:NAME");
  app.add_option("--tool", settings.site.tools,
                 "NAME=PATH of a tool that is not part of the toolkit; may be repeated");
  app.add_option("--expose", settings.site.exposed,
                 "Directory that programs see too, read-only; may be repeated");
  app.add_option("--path-prefix", settings.site.path,
                 "Directory put first in PATH inside, exposed with what it needs (a Python "
                 "environment's bin); may be repeated");
  app.add_option("--driver-root", settings.driver_root,
                 "Where the NVIDIA driver's libraries and dev/ lie, if not in the system's root")
      ->capture_default_str();
  app.add_option("--gpu-lock-dir", settings.gpu_lock_dir,
                 "Where the workers of this machine lock GPUs; default: /run/lock, else /tmp");
  app.add_option("--lock-gpu-clocks", settings.agent.gpu.lock_clocks_mhz,
                 "Lock the SM clock of all GPUs to this many MHz while the worker runs (needs the "
                 "permission to); default: clocks are never changed");
  app.add_option("--log-level", settings.log_level, "trace, debug, info, warn, error or off")
      ->capture_default_str();
  app.add_option("--shell", settings.shell,
                 "Open the container of this kept pass's directory, then leave");
  app.add_option("command", settings.shell_command,
                 "With --shell, after --: run this in it instead");
  app.add_flag("--probe", settings.probe, "Print as JSON what this worker can do and why not more");
}

absl::StatusOr<std::unique_ptr<sandbox::Sandbox>> MakeSandbox(const Settings& settings) {
  if (settings.no_sandbox) return sandbox::MakeBareSandbox(settings.sandbox);
  return sandbox::MakeBubblewrapSandbox(settings.sandbox);
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "sextant-worker: %s\n", std::string(status.message()).c_str());
  return 1;
}

// Opens the very container of a kept pass; its exit code.
int Shell(const Settings& settings) {
  const std::filesystem::path kept(settings.shell);
  const auto spec = sandbox::ReadRunSpec(kept / agent::kRunSpecFile);
  if (!spec.ok()) return Fail(spec.status());
  const auto code = sandbox::ShellInto(*spec, settings.shell_command, settings.sandbox);
  return code.ok() ? *code : Fail(code.status());
}

std::optional<std::string> Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

// The first SIGTERM or SIGINT drains, the second kills; SIGUSR1 (from main) ends the thread.
void Obey(const sigset_t& signals, double drain_s, agent::Agent& worker) {
  std::chrono::nanoseconds patience(static_cast<int64_t>(drain_s * 1e9));
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal != SIGUSR1;) {
    spdlog::info("msg=\"draining\" signal={} patience_s={}", signal, patience.count() / 1e9);
    worker.Drain(patience);
    patience = std::chrono::nanoseconds(0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // What gRPC has to say of a connection is said by the agent, once and with a remedy.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  Settings settings;
  CLI::App app("Runs the passes a Sextant coordinator gives it, each in a container of its own.");
  Declare(app, settings);
  CLI11_PARSE(app, argc, argv);
  std::error_code error;
  const Installation own = FindInstallation(std::filesystem::read_symlink("/proc/self/exe", error));
  settings.sandbox.bwrap_path = own.bwrap;
  settings.agent.state_dir = settings.state;
  settings.agent.limits.blob_cache_bytes = settings.cache_gib << 30;
  settings.agent.gpu.driver_root = settings.driver_root;
  settings.agent.gpu.lock_directory = settings.gpu_lock_dir;
  spdlog::set_default_logger(spdlog::stderr_logger_mt("worker"));
  spdlog::set_pattern("ts=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(spdlog::level::from_str(settings.log_level));
  auto site = agent::CompleteSite(settings.site, own.libraries);
  if (!site.ok()) return Fail(site.status());
  settings.agent.site = *std::move(site);
  if (settings.probe) {
    std::printf("%s\n", agent::ProbeJson(settings.agent, settings.sandbox).c_str());
    return 0;
  }
  if (!settings.shell.empty()) return Shell(settings);
  if (settings.agent.coordinator.empty()) {
    return Fail(absl::InvalidArgumentError(
        "--coordinator is missing: give host:port or unix:///path of a running sextantd"));
  }

  settings.agent.endpoint = endpoint::WithEnvironment({.token_file = {settings.token_file, "--token-file"},
                                                   .ca = {settings.ca, "--ca"},
                                                   .cert = {settings.cert, "--cert"},
                                                   .key = {settings.key, "--key"},
                                                   .insecure_token = settings.agent.endpoint.insecure_token},
                                                  Environment);
  // Before any thread exists, so that all of them leave these signals to one.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto box = MakeSandbox(settings);
  if (!box.ok()) return Fail(box.status());
  settings.agent.site.run_inside = agent::MakeRunInside(**box);
  auto worker = agent::Agent::Start(settings.agent, *std::move(box),
                                    backends::AllBackends(settings.agent.site));
  if (!worker.ok()) return Fail(worker.status());
  const v1::WorkerInfo info = (*worker)->info();
  spdlog::info("msg=\"started\" name={} coordinator={} sandbox=\"{}\"", info.name(),
               settings.agent.coordinator, info.sandbox());
  std::thread obey([&] { Obey(signals, settings.drain_s, **worker); });
  const bool drained = (*worker)->WaitDrained();
  pthread_kill(obey.native_handle(), SIGUSR1);
  obey.join();
  spdlog::info("msg=\"stopped\" drained={}", drained);
  return 0;
}
