#include "client/cli/app.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/pass_syntax.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

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

class App {
 public:
  App() : app_("Sextant, a multi-pass profiling service: runs a program many times under different "
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
  access::Options given() const {
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

void App::Submitting() {
  RunOptions& r = v_.run;
  CLI::App* run = Command("run", "Profile a program: send it, run its passes, show its timeline",
                          [this](Context& c) { return Run(c, v_.run); });
  run->footer("Usage: sextant run [OPTIONS] -- ./program ARGS…");
  run->add_option("program", r.argv, "The program and its arguments, after --");
  run->add_option("--pass", r.passes, absl::StrCat("NAME[:key=value,…][*N], repeatable; default ", kDefaultPass))
      ->expected(1)->take_all();
  run->add_option("--name", r.name, "Name of the job; default: the program's");
  run->add_option("--file", r.files, "FILE[:PATH] to send as PATH, repeatable")->expected(1)->take_all();
  run->add_option("--dir", r.directories, "DIR[:PATH] to send with all below it")->expected(1)->take_all();
  run->add_option("--env", r.env, "KEY=VALUE, or KEY to pass on its value here")->expected(1)->take_all();
  run->add_option("--label", r.labels, "KEY=VALUE, kept with the job")->expected(1)->take_all();
  run->add_flag("--fresh", r.fresh, "Measure again, do not answer from the cache");
  run->add_flag("--keep", r.keep, "Keep the passes' directories for `sextant shell`");
  run->add_flag("--no-warm", r.no_warm,
                "Start every pass of a Python program by itself, not by a fork that has imported already");
  run->add_option("--salt", r.salt, "Measure separately under this name");
  run->add_option("--priority", r.priority, "-100 to 100, higher first")->check(CLI::Range(-100, 100));
  run->add_option("--deadline", r.deadline, "Give up after this time: 10m");
  run->add_option("--memory", r.memory, "Memory limit: 2G");
  run->add_option("--disk", r.disk, "Limit on everything written: 10G");
  run->add_option("--cpus", r.cpus, "CPU limit in cores: 1.5")->check(CLI::PositiveNumber);
  run->add_option("--wall", r.wall, "Time limit of one pass: 60s");
  run->add_option("--hang", r.hang, "Stop a pass without output and CPU use for this long: 30s");
  run->add_option("--pids", r.pids, "Limit on processes and threads")->check(CLI::PositiveNumber);
  run->add_flag("--gpu", r.gpu, "The program needs a GPU in every pass; found out by itself when a pass looks into kernels");
  run->add_option("--kernels", r.kernels,
                  "Extended regular expression of the names of GPU kernels that matter; default: all");
  run->add_option("--rootfs", r.rootfs, "Directory on the worker used as root file system");
  run->add_option("--stdin", r.stdin_file, "File given to the program's standard input, at most 1 MiB");
  run->add_option("--request-id", r.request_id, "Submitting twice with one id makes one job");
  run->add_flag("--detach", r.detach, "Print the job's id and exit");
  run->add_flag("--plan", r.plan, "Show the passes, their cost and perturbation; submit nothing");
  run->add_flag("--graph", r.graph, "Print the job as JSON, submit nothing");
  run->add_flag("--local", r.local, "Start the service of this machine when it does not run");
  run->add_flag("--no-clean", r.no_clean,
                "Add no clean passes (activity:light=1*3) beside those that disturb kernels");
  run->add_flag("--no-timeline", r.no_timeline, "Do not show the timeline at the end");
  TimelineFlags(run, r.timeline);

  ImportOptions& i = v_.imported;
  CLI::App* imported = Command("import", "Make a job of what other tools left: Proton, ncu, CUTracer, rocprofv3, PyTorch's "
                                         "profiler, Chrome traces, scope files; each file (or folder) is a pass",
                               [this](Context& c) { return Import(c, v_.imported); });
  imported->add_option("FILES", i.files, "Files and folders, also gzipped; all files of a folder are one pass")->required();
  imported->add_flag("--together", i.together, "All of them are one pass");
  imported->add_option("--kind", i.kind, "proton, proton-host, ncu, cutracer, rocprofv3, kineto, chrome, scopes or host; default: by content");
  imported->add_option("--machine", i.machine, "Where they were measured, such as \"NVIDIA H200\"; default: as far as the files tell");
  imported->add_option("--kernel", i.kernel, "Raw buffers of Proton: the kernel's name");
  imported->add_option("--scopes", i.scopes, "Raw buffers of Proton: the scopes' names by id, joined by +");
  imported->add_option("--name", i.name, "Name of the job; default: the first file's");
  imported->add_option("--label", i.labels, "KEY=VALUE, repeatable")->expected(1)->take_all();
  imported->add_flag("--again", i.again, "Make a new job even when the same files were imported before");
  imported->add_flag("--detach", i.detach, "Submit, print the job's id, return");
  imported->add_flag("--no-timeline", i.no_timeline, "Do not show the timeline at the end");

  CLI::App* submit = Command("submit", "Submit a graph of tasks written as JSON (JobGraph)",
                             [this](Context& c) { return Submit(c, v_.submit); });
  submit->add_option("GRAPH", v_.submit.graph, "Path, or - for standard input")->required();
  submit->add_option("--file", v_.submit.files, "LOCAL:PATH for files the graph names without digest")
      ->expected(1)->take_all();
  submit->add_flag("--wait", v_.submit.wait, "Follow the job to its end");
  submit->add_option("--request-id", v_.submit.request_id, "Submitting twice with one id makes one job");

  CLI::App* complete = Command("complete-task", "Supply the result of an external task",
                               [this](Context& c) {
                                 v_.complete.job_id = v_.job_id;
                                 return CompleteTask(c, v_.complete);
                               });
  JobId(complete);
  complete->add_option("TASK", v_.complete.task, "Path of the task")->required();
  complete->add_flag("--failed", v_.complete.failed, "It did not succeed");
  complete->add_option("--message", v_.complete.message, "What was found");
  complete->add_option("--artifact", v_.complete.artifacts, "NAME=FILE, repeatable")->expected(1)->take_all();
}

void App::Looking() {
  CLI::App* jobs = Command("jobs", "List jobs, newest first", [this](Context& c) { return Jobs(c, v_.jobs); });
  jobs->add_option("--limit", v_.jobs.limit, "How many; default 20")->check(CLI::PositiveNumber);
  jobs->add_option("--submitter", v_.jobs.submitter, "Of this submitter alone");
  jobs->add_option("--state", v_.jobs.states, "waiting, ready, running, done, failed, cancelled")->expected(1)->take_all();
  jobs->add_option("--label", v_.jobs.labels, "KEY=VALUE")->expected(1)->take_all();

  CLI::App* job = Command("job", "Show a job; `job ID add GRAPH` and `job ID seal` extend and close an open one",
                          [this](Context& c) {
                            const std::vector<std::string>& w = v_.words;
                            if (w.empty()) {
                              v_.job.job_id = v_.job_id;
                              return Job(c, v_.job);
                            }
                            if (w[0] == "add" && w.size() == 2) {
                              v_.add.job_id = v_.job_id;
                              v_.add.graph = w[1];
                              return Add(c, v_.add);
                            }
                            if (w[0] == "seal" && w.size() <= 2) return Seal(c, v_.job_id, w.size() == 2 ? w[1] : "");
                            return c.Usage("write job ID, job ID add GRAPH.json, or job ID seal [GROUP]");
                          });
  JobId(job);
  job->add_option("ACTION", v_.words, "add GRAPH.json, or seal [GROUP]");
  job->add_flag("--explain", v_.job.explain, "Why it waits, and which cache keys were hit or missed");
  job->add_flag("--passes", v_.job.passes, "Also its passes");
  job->add_flag("--specs", v_.job.specs, "With --format json: also the tasks' specifications");
  job->add_option("--request-id", v_.add.request_id, "For add: adding twice with one id adds once");

  CLI::App* watch = Command("watch", "Print a job's events until it ends",
                            [this](Context& c) { return Watch(c, v_.job_id, v_.after_seq); });
  JobId(watch);
  watch->add_option("--after", v_.after_seq, "Only events after this number");

  CLI::App* cancel = Command("cancel", "Cancel a job, a group of it, or a task",
                             [this](Context& c) { return Cancel(c, v_.job_id, v_.task, v_.reason); });
  JobId(cancel);
  cancel->add_option("TASK", v_.task, "Path of a task or group; default: the whole job");
  cancel->add_option("--reason", v_.reason, "Kept with the job");

  CLI::App* logs = Command("logs", "Show what a pass wrote", [this](Context& c) {
    v_.logs.task = v_.task;
    return Logs(c, v_.logs);
  });
  logs->add_option("ID", v_.logs.id, "A job (12) or a pass (p34)")->required();
  Task(logs);
  logs->add_flag("--stderr", v_.logs.stderr_only, "Standard error alone");
  logs->add_flag("--stdout", v_.logs.stdout_only, "Standard output alone");
  logs->add_flag("--all", v_.logs.all, "All passes of the job, not one");
  logs->add_flag("--raw", v_.logs.raw, "Let control characters through to the terminal");

  CLI::App* timeline = Command("timeline", "Show the statistical timeline of a job", [this](Context& c) {
    v_.timeline.job_id = v_.job_id;
    v_.timeline.task = v_.task;
    return TimelineCommand(c, v_.timeline);
  });
  JobId(timeline);
  Task(timeline);
  TimelineFlags(timeline, v_.timeline);
  timeline->add_option("--kernel", v_.timeline.kernel, "Of traces that hold several, this one alone");

  CLI::App* report = Command("report", "One document from a job: findings, timeline, critical path, costs, passes",
                             [this](Context& c) {
                               v_.report.job_id = v_.job_id;
                               v_.report.task = v_.task;
                               return Report(c, v_.report);
                             });
  JobId(report);
  Task(report);
  report->add_option("--format", v_.report.format, "md, html (one file with its pictures), json, or tldr (2,000 tokens)")
      ->check(CLI::IsMember({"md", "html", "json", "tldr", "text"}));
  report->add_option("--section", v_.report.sections, "Only this section, repeatable")->expected(1)->take_all();
  report->add_option("--kernel", v_.report.kernel, "About this kernel; default: all worth it");
  report->add_option("-o,--output", v_.report.output, "Path; default: standard output");

  CLI::App* occupancy = About("occupancy", "How a kernel filled the GPU over time: CTAs, SMs, waves, the tail",
                              [this](Context& c) {
                                v_.occupancy.subject = v_.subject;
                                return OccupancyCommand(c, v_.occupancy);
                              });
  occupancy->add_option("--launch", v_.occupancy.launch, "Which launch of the kernel, from 0; default: the first");
  occupancy->add_flag("--all-launches", v_.occupancy.all_launches, "All launches, each from its own begin");
  occupancy->add_option("--buckets", v_.occupancy.buckets, "Parts of the time; default: as many as columns");
  occupancy->add_flag("--heat-map", v_.occupancy.heat_map, "Also draw every SM over time");
  occupancy->add_option("--width", v_.occupancy.width, "Columns of the picture; default: the terminal's")
      ->check(CLI::Range(40, 1000));
  About("variation", "Which regions vary, where that comes from, and what goes with it",
        [this](Context& c) { return VariationCommand(c, v_.subject); });

  CLI::App* path = About("critical-path", "What a run depends on: the longest chain of regions and barriers",
                         [this](Context& c) {
                           v_.critical_path.subject = v_.subject;
                           return CriticalPathCommand(c, v_.critical_path);
                         });
  path->add_option("--what-if", v_.critical_path.what_ifs,
                   "[ROLE/]REGION=-20%, repeatable: the span if the region took that much less")
      ->expected(1)->take_all();
  path->add_option("--steps", v_.critical_path.steps, "Steps of the path, at most; default 200");

  CLI::App* costs = About("costs", "What regions inside a kernel cost: instructions, stalls, IPC", [this](Context& c) {
    v_.costs.subject = v_.subject;
    return CostsCommand(c, v_.costs);
  });
  costs->add_flag("--by-warp", v_.costs.by_warp, "A row for each warp of the CTA too");
  CLI::App* hotspots = About("hotspots", "Where a kernel's time goes: lines, instructions, functions, regions, kernels",
                             [this](Context& c) {
                               v_.hotspots.subject = v_.subject;
                               return HotspotsCommand(c, v_.hotspots);
                             });
  hotspots->add_option("--by", v_.hotspots.by, "line, sass, function, region or kernel; default line");
  hotspots->add_option("--within", v_.hotspots.within, "Only in FILE:LINE, a function or a region");
  hotspots->add_option("--top", v_.hotspots.top, "Rows, at most; default 20");
  About("registers", "How many registers are live and where, what limits occupancy, what spills move",
        [this](Context& c) { return RegistersCommand(c, v_.subject); });
  About("roofline", "What a kernel achieves against what the chip can do",
        [this](Context& c) { return RooflineCommand(c, v_.subject); });
  CLI::App* diagnosis = About("diagnosis", "What bounds the kernels, what to try, and what could not be judged",
                              [this](Context& c) {
                                v_.diagnosis.subject = v_.subject;
                                return DiagnosisCommand(c, v_.diagnosis);
                              });
  diagnosis->add_option("--top", v_.diagnosis.top, "Findings, at most; default 10");

  CompareOptions& m = v_.compare;
  CLI::App* compare = Command("compare", "Is job B faster or slower than job A? Exits 1 when it is slower",
                              [this](Context& c) { return Compare(c, v_.compare); });
  compare->add_option("A", m.job_a, "Id of the job before")->required()->check(CLI::PositiveNumber);
  compare->add_option("B", m.job_b, "Id of the job after")->required()->check(CLI::PositiveNumber);
  compare->add_option("--gate", m.gate, "The smallest change that counts: 2% or 0.02; default 1%");
  compare->add_option("--task", m.task, "Path of the task in both; default: the only one");
  compare->add_option("--task-b", m.task_b, "Path of the task in B, where it differs");
  compare->add_option("--backend", m.backend, "Whose regions to compare");
  compare->add_flag("--across-machines", m.across_machines, "Judge although machine classes differ");
  compare->add_flag("--strict", m.strict, "Exit 1 also when inconclusive");
  compare->add_flag("--code", m.code, "How the code of kernels differs, line by line; both jobs need a pass `ir`");
  compare->add_flag("--all", m.all, "Every row, also small and unchanged ones");

  TablesOptions& t = v_.tables;
  CLI::App* tables = Command("table", "Show the tables that a pass left: launches, counters, samples",
                             [this](Context& c) { return Tables(c, v_.tables); });
  tables->add_option("PASS", t.pass, "A pass, such as p34")->required();
  tables->add_option("TABLE", t.table, "Its name; without it, the tables there are");
  tables->add_option("--column", t.columns, "Only these, repeatable")->expected(1)->take_all();
  tables->add_flag("--csv", t.csv, "CSV instead of a table");
  tables->add_option("--first-row", t.first_row, "Skip the rows before this one");
  tables->add_option("--max-rows", t.max_rows, "At most this many; default 1000");

  CLI::App* query = Command("query", "Ask in SQL, read-only, over documented views",
                            [this](Context& c) { return Query(c, v_.query); });
  query->add_option("SQL", v_.query.sql, "One SELECT, or - for standard input")->required();
  query->add_flag("--csv", v_.query.csv, "CSV instead of a table");
  query->add_option("--max-rows", v_.query.max_rows, "At most this many; default: the service's limit");
  query->add_option("--timeout", v_.query.timeout, "At most this long: 10s");

  ExportOptions& e = v_.exported;
  CLI::App* exported = Command("export", "Write what passes recorded to a file of another program's format",
                               [this](Context& c) {
                                 v_.exported.job_id = v_.job_id;
                                 v_.exported.task = v_.task;
                                 return Export(c, v_.exported);
                               });
  JobId(exported);
  exported->add_option("-o,--output", e.output, "Path; default: standard output");
  exported->add_option("--as,--format-trace", e.format,
                       "perfetto, chrome, csv, parquet, pprof or ncu-rep; default: by the ending of -o, else chrome");
  exported->add_option("--pass", e.passes, "Ids of passes; default: all")->expected(1)->take_all();
  exported->add_option("--table", e.table, "csv, parquet: this table of the passes instead of their traces");
  Task(exported);

  CLI::App* blobs = app_.add_subcommand("blobs", "List, send and fetch stored files");
  blobs->require_subcommand(1);
  blobs->fallthrough();
  CLI::App* list = blobs->add_subcommand("list", "Stored blobs, and the quota");
  list->callback([this] { action_ = [this](Context& c) { return BlobsList(c, v_.submitter); }; });
  list->add_option("--submitter", v_.submitter, "Of this submitter alone");
  CLI::App* put = blobs->add_subcommand("put", "Send files, print their digests");
  put->callback([this] { action_ = [this](Context& c) { return BlobsPut(c, v_.words); }; });
  put->add_option("FILES", v_.words, "What to send")->required();
  CLI::App* get = blobs->add_subcommand("get", "Fetch one blob");
  get->callback([this] { action_ = [this](Context& c) { return BlobsGet(c, v_.digest, v_.output); }; });
  get->add_option("DIGEST", v_.digest, "64 hexadecimal digits")->required();
  get->add_option("-o,--output", v_.output, "Path; default: standard output");
}

void App::Access() {
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

void App::Machine() {
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

bool HasCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return true;
  }
  return false;
}

void CollectOptions(const CLI::App& command, std::vector<std::string>& options) {
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (std::find(options.begin(), options.end(), "--" + name) == options.end()) options.push_back("--" + name);
    }
  }
}

}  // namespace

int Main(Context& context, std::vector<std::string> arguments) {
  if (arguments.empty()) {
    context.server = context.environment("SEXTANT_SERVER").value_or("");
    context.given = access::WithEnvironment({}, context.environment);
    if (const auto access = context.Access(); !access.ok()) return context.Usage(access.status().message());
    return Overview(context);
  }
  App app;
  // Everything after the first "--" is the program's, whatever it looks like.
  std::vector<std::string> rest;
  bool separated = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] != "--") continue;
    separated = true;
    rest.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
    arguments.resize(i);
    break;
  }
  for (const std::string& argument : arguments) {
    if (argument == "--token" || absl::StartsWith(argument, "--token="))
      return context.Usage("--token: who may run ps sees what stands here; write the token into a file of mode 600 and give "
                           "--token-file FILE, or set SEXTANT_TOKEN");
  }
  if (!arguments.empty() && !arguments[0].empty() && arguments[0][0] != '-' &&
      !HasCommand(app.app(), arguments[0])) {
    return context.Usage(absl::StrCat("there is no command \"", Escape(arguments[0], 40), "\"\n  See:  sextant --help"));
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.app().parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const int code = app.app().exit(error, out, err);
    context.out << out.str() << std::flush;
    if (code == 0) return kOk;
    context.Usage(absl::StrCat(error.what(), "\n  See:  sextant ",
                               app.app().get_subcommands().empty() ? "" : app.app().get_subcommands()[0]->get_name() + " ",
                               "--help",
                               !separated && app.app().got_subcommand("run")
                                   ? "\n  Options of the program belong after --:  sextant run -- ./program --option" : ""));
    return kUsage;
  }
  Values& v = app.values();
  if (separated) {
    if (app.app().got_subcommand("run")) {
      if (!v.run.argv.empty()) {
        return context.Usage(absl::StrCat("\"", Escape(v.run.argv[0], 60),
                                          "\" stands before --; the program and its arguments come after it"));
      }
      v.run.argv = rest;
    } else {
      v.words.insert(v.words.end(), rest.begin(), rest.end());
    }
  }
  context.server = !app.server().empty() ? app.server() : context.environment("SEXTANT_SERVER").value_or("");
  context.given = access::WithEnvironment(app.given(), context.environment);
  context.json = v.format == "json";
  if (v.no_color || context.json) context.out_terminal.color = context.err_terminal.color = false;
  if (app.calls()) {
    if (const auto access = context.Access(); !access.ok()) return context.Usage(access.status().message());
  }
  return app.action()(context);
}

std::vector<CommandNames> AllCommands() {
  App app;
  std::vector<CommandNames> commands;
  for (const CLI::App* command : app.app().get_subcommands([](const CLI::App*) { return true; })) {
    CommandNames names{command->get_name(), command->get_description()};
    CollectOptions(*command, names.options);
    for (const CLI::App* action : command->get_subcommands([](const CLI::App*) { return true; })) {
      names.actions.push_back(action->get_name());
      CollectOptions(*action, names.options);
    }
    commands.push_back(std::move(names));
  }
  return commands;
}

}  // namespace sextant::cli
