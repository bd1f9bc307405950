// The commands of `sextant` and their options, as CLI11 reads them. Included by app.cc and command_line_*.cc.
#pragma once

#include <CLI/CLI.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"

namespace sextant::cli {

// The values commands are given, filled in by CLI11 while it parses.
struct Values {
  std::string format = "text";
  bool no_color = false;
  int64_t job_id = 0, pass_id = 0, after_seq = 0;
  std::string task, reason, submitter, group, output, shell, state, digest;
  std::vector<std::string> words;
  RunOptions run;
  ImportOptions imported;
  SubmitOptions submit;
  AddOptions add;
  CompleteOptions complete;
  JobsOptions jobs;
  JobOptions job;
  LogsOptions logs;
  TimelineOptions timeline;
  QueryOptions query;
  CompareOptions compare;
  SubjectOptions subject;
  OccupancyOptions occupancy;
  CriticalPathOptions critical_path;
  CostsOptions costs;
  HotspotsOptions hotspots;
  DiagnosisOptions diagnosis;
  ReportOptions report;
  TablesOptions tables;
  ExportOptions exported;
  TokenOptions token;
  QuotaOptions quota;
  AuditOptions audit;
  UpOptions up;
  bool mcp_up = false;
};

using Action = std::function<int(Context&)>;

// What the command line may hold: the global options, the commands and theirs. Parsing fills in `values` and
// chooses the action. One per run; the program's main thread.
class CommandLine {
 public:
  CommandLine() : app_("Sextant, a multi-pass profiling service: runs a program many times under different "
               "instruments and joins what they saw.", "sextant") {
    app_.footer(absl::StrCat(kExitCodesHelp, "\nFirst steps: sextant up, then sextant run -- ./program"));
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.add_option("--server", server_, "Address of the service: HOST:PORT, https://HOST:PORT or unix:///PATH (env SEXTANT_SERVER); "
                                         "default: the service of this machine, see `sextant up`");
    app_.add_option("--token-file", token_file_, "File with the token to call with (env SEXTANT_TOKEN_FILE, or the token "
                                                 "itself in SEXTANT_TOKEN)");
    app_.add_option("--ca", ca_, "Speak TLS; PEM file of who signed the service's certificate (env SEXTANT_CA)");
    app_.add_option("--cert", cert_, "PEM file of your own certificate, where the service asks for one (env SEXTANT_CERT)");
    app_.add_option("--key", key_, "PEM file of its private key (env SEXTANT_KEY)");
    app_.add_flag("--insecure-token", insecure_token_, "Send the token unencrypted to other machines");
    app_.add_option("--format", v_.format, "text or json (protobuf messages as JSON, one object per line)")
        ->check(CLI::IsMember({"text", "json"}));
    app_.add_flag("--no-color", v_.no_color, "No colours (also: NO_COLOR, or not a terminal)");
    Submitting();
    Looking();
    Access();
    Machine();
  }

  CLI::App& app() { return app_; }
  Values& values() { return v_; }
  const std::string& server() const { return server_; }
  // What the flags say of how the service is reached.
  endpoint::Options given() const {
    return {.token_file = {token_file_, "--token-file"},
            .ca = {ca_, "--ca"},
            .cert = {cert_, "--cert"},
            .key = {key_, "--key"},
            .insecure_token = insecure_token_};
  }
  // Whether the command asks the service, so that how it is reached must be right.
  bool calls() const {
    return std::none_of(std::begin(kLocal), std::end(kLocal), [this](const char* name) { return app_.got_subcommand(name); });
  }
  const Action& action() const { return action_; }

 private:
  CLI::App* Command(const std::string& name, const std::string& summary, Action action) {
    CLI::App* command = app_.add_subcommand(name, summary);
    command->callback([this, action = std::move(action)] { action_ = action; });
    return command;
  }
  CLI::Option* JobId(CLI::App* command) {
    return command->add_option("JOB", v_.job_id, "Id of the job")->required()->check(CLI::PositiveNumber);
  }
  CLI::Option* Task(CLI::App* command) {
    return command->add_option("--task", v_.task, "Path of the task; default: the only one");
  }
  void TimelineFlags(CLI::App* command, TimelineOptions& t) {
    command->add_option("--quantiles", t.quantiles, "Ascending, in [0, 1]: .1,.5,.9; default .2,.5,.8");
    command->add_flag("--exact", t.exact, "Exact quantiles from the traces instead of the rollups");
    command->add_option("--buckets", t.buckets, "Also show durations over time, in this many buckets");
    command->add_flag("--regions", t.regions_only, "The table of regions alone");
    command->add_option("--width", t.width, "Columns of the picture; default: the terminal's")->check(CLI::Range(40, 1000));
    command->add_flag("--ascii", t.ascii, "Draw with ASCII alone");
    command->add_option("--backend", t.backend, "Which passes, by backend");
    command->add_flag("--unfold", t.unfold, "Draw every instance of loops too");
    command->add_flag("--include-disturbed", t.include_disturbed,
                      "Join passes too that lengthened kernels more than twofold");
  }

  // A command that asks about a kernel of a job; `ask` finds what was asked about in v_.subject.
  CLI::App* About(const std::string& name, const std::string& summary, Action ask) {
    CLI::App* command = Command(name, summary, std::move(ask));
    command->add_option("JOB", v_.subject.job_id, "Id of the job")->required()->check(CLI::PositiveNumber);
    command->add_option("--task", v_.subject.task, "Path of the task; default: the only one");
    command->add_option("--kernel", v_.subject.kernel, "Name of the kernel; default: the one that took most time");
    command->add_option("--quantiles", v_.subject.quantiles, "Ascending, in [0, 1]: .1,.5,.9; default .2,.5,.8");
    command->add_flag("--include-disturbed", v_.subject.include_disturbed,
                      "Join passes too that lengthened kernels more than twofold");
    return command;
  }

  void Submitting();
  void Looking();
  void Access();
  void Machine();

  CLI::App app_;
  Values v_;
  static constexpr const char* kLocal[] = {"up", "down", "doctor", "worker", "completion"};
  std::string server_, token_file_, ca_, cert_, key_;
  bool insecure_token_ = false;
  Action action_;
};

}  // namespace sextant::cli
