// Commands that look at what there is.
#include "client/cli/command_line.h"

namespace sextant::cli {

void CommandLine::Looking() {
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

}  // namespace sextant::cli
