// The commands of `sextant`: what each may be told, and one function each that does it and returns
// the exit code. app.cc reads them from the command line; tests may call them directly.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/context.h"
#include "client/cli/subject.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::cli {

// ---- submitting --------------------------------------------------------------------------------

struct TimelineOptions {
  int64_t job_id = 0;
  std::string task;
  std::string quantiles;      // as written: ".2,.5,.8"
  bool exact = false;
  uint32_t buckets = 0;
  bool regions_only = false;  // no instances: table alone
  int width = 0;              // 0: the terminal's
  bool ascii = false;
  std::string backend;
  bool include_disturbed = false;
  std::string kernel;
  bool unfold = false;        // loops as they are
};

struct RunOptions {
  std::vector<std::string> argv;
  std::vector<std::string> passes;
  std::string name;
  std::vector<std::string> files, directories, env, labels;
  bool gpu = false, fresh = false, keep = false, detach = false, plan = false, graph = false;
  bool local = false, no_timeline = false, no_clean = false, no_warm = false;
  std::string salt;
  int priority = 0;
  std::string deadline;
  std::string memory, wall, disk, hang;
  double cpus = 0;
  uint32_t pids = 0;
  std::string kernels, rootfs, stdin_file, request_id;
  TimelineOptions timeline;
};
int Run(Context& context, const RunOptions& options);

struct ImportOptions {
  std::vector<std::string> files;   // files and folders: one pass each
  std::string kind, machine, kernel, scopes;
  std::string name;
  std::vector<std::string> labels;
  bool together = false;      // all of them are one pass
  bool again = false;         // also when they were imported before
  bool detach = false, no_timeline = false;
};
int Import(Context& context, const ImportOptions& options);

struct SubmitOptions {
  std::string graph;          // path, or "-"
  std::vector<std::string> files;
  bool wait = false;
  std::string request_id;
};
int Submit(Context& context, const SubmitOptions& options);

struct AddOptions {
  int64_t job_id = 0;
  std::string graph;          // a JobGraph whose tasks are added
  std::string request_id;
};
int Add(Context& context, const AddOptions& options);
int Seal(Context& context, int64_t job_id, const std::string& group);

struct CompleteOptions {
  int64_t job_id = 0;
  std::string task, message;
  bool failed = false;
  std::vector<std::string> artifacts;   // NAME=FILE
};
int CompleteTask(Context& context, const CompleteOptions& options);

// ---- looking -----------------------------------------------------------------------------------

struct JobsOptions {
  uint32_t limit = 20;
  std::string submitter;
  std::vector<std::string> states, labels;
};
int Jobs(Context& context, const JobsOptions& options);

struct JobOptions {
  int64_t job_id = 0;
  bool explain = false, passes = false, specs = false;
};
int Job(Context& context, const JobOptions& options);

int Watch(Context& context, int64_t job_id, int64_t after_seq);
int Cancel(Context& context, int64_t job_id, const std::string& task, const std::string& reason);

struct LogsOptions {
  std::string id;             // job "12" or pass "p34"
  std::string task;
  bool stderr_only = false, stdout_only = false, all = false, raw = false;
};
int Logs(Context& context, const LogsOptions& options);

int TimelineCommand(Context& context, const TimelineOptions& options);
struct OccupancyOptions {
  SubjectOptions subject;
  uint32_t buckets = 0;       // 0: as many as columns
  uint64_t launch = 0;        // of the kernel, in order
  bool all_launches = false;
  bool heat_map = false;
  int width = 0;              // 0: the terminal's
};
int OccupancyCommand(Context& context, const OccupancyOptions& options);
int VariationCommand(Context& context, const SubjectOptions& options);

struct CriticalPathOptions {
  SubjectOptions subject;
  std::vector<std::string> what_ifs;   // "[ROLE/]REGION=-20%"
  uint32_t steps = 0;                  // of a path, at most; 0: the service's default
};
int CriticalPathCommand(Context& context, const CriticalPathOptions& options);
// "consumer/store=-20%": a change of what a region takes.
absl::StatusOr<v1::WhatIf> ParseWhatIf(absl::string_view text);

struct CostsOptions {
  SubjectOptions subject;
  bool by_warp = false;
};
int CostsCommand(Context& context, const CostsOptions& options);
struct HotspotsOptions {
  SubjectOptions subject;
  std::string by;       // line, sass, function, region, kernel; empty: line
  std::string within;   // FILE:LINE, a function or a region
  uint32_t top = 0;     // 0: the service's default
};
int HotspotsCommand(Context& context, const HotspotsOptions& options);
int RegistersCommand(Context& context, const SubjectOptions& options);
int RooflineCommand(Context& context, const SubjectOptions& options);
struct DiagnosisOptions {
  SubjectOptions subject;
  uint32_t top = 0;           // findings; 0: the service's default
};
int DiagnosisCommand(Context& context, const DiagnosisOptions& options);

struct ReportOptions {
  int64_t job_id = 0;
  std::string task, kernel;
  std::string format;                  // md, html, json, tldr; empty: md, or json where that is asked for globally
  std::vector<std::string> sections;
  std::string output;                  // empty or "-": standard output
};
int Report(Context& context, const ReportOptions& options);

struct ExportOptions {
  int64_t job_id = 0;
  std::string task;
  std::string format;         // empty: by the ending of `output`
  std::string output;         // empty or "-": standard output
  std::string table;
  std::vector<int64_t> passes;
};
int Export(Context& context, const ExportOptions& options);

struct QueryOptions {
  std::string sql;            // "-": from standard input
  bool csv = false;
  uint32_t max_rows = 0;
  std::string timeout;
};
int Query(Context& context, const QueryOptions& options);

struct TablesOptions {
  std::string pass;           // "p34" or "34"
  std::string table;          // empty: list them
  std::vector<std::string> columns;
  bool csv = false;
  uint64_t first_row = 0;
  uint32_t max_rows = 0;
};
int Tables(Context& context, const TablesOptions& options);

struct CompareOptions {
  int64_t job_a = 0;
  int64_t job_b = 0;
  std::string task;           // of both, unless task_b is set
  std::string task_b;
  std::string backend;
  std::string gate;           // "2%", "0.02"; empty: the service's default
  bool across_machines = false;
  bool strict = false;        // inconclusive fails too
  bool all = false;           // every row
  bool code = false;          // the diff of kernels' code
};
// kFailed when B is slower.
int Compare(Context& context, const CompareOptions& options);
// "2%", "0.02": a fraction within [0, 1).
absl::StatusOr<double> ParseFraction(absl::string_view text);

int BlobsList(Context& context, const std::string& submitter);
int BlobsPut(Context& context, const std::vector<std::string>& files);
int BlobsGet(Context& context, const std::string& digest, const std::string& output);
int Version(Context& context);

// ---- access ------------------------------------------------------------------------------------

struct TokenOptions {
  std::string name, tenant;
  std::vector<std::string> scopes;     // "read", "submit", "worker", "admin"; also joined by commas
  std::string expires;                 // "30d"; empty: never
  std::string output;                  // a file of mode 600; empty: standard output
};
// Prints the secret alone; what else there is to say goes to standard error.
int TokenCreate(Context& context, const TokenOptions& options);
int TokenList(Context& context, const std::string& tenant);
int TokenRevoke(Context& context, const std::string& id);

int WhoAmI(Context& context);

struct QuotaOptions {
  std::string tenant;
  std::optional<uint64_t> queued_passes;
  std::optional<uint32_t> running_devices;
  std::optional<double> calls_per_s;
  std::string stored;                  // "10GiB"
};
// Sets what is given, 0 back to the service's default, and shows bounds beside what is in use.
int TenantQuota(Context& context, const QuotaOptions& options);

struct AuditOptions {
  std::string tenant;
  uint32_t limit = 0;                  // 0: 50, or all that --since asks for
  std::string since;                   // "2h"
};
int Audit(Context& context, const AuditOptions& options);

// ---- this machine ------------------------------------------------------------------------------

struct UpOptions {
  std::string listen;         // HOST:PORT beside the socket; empty: the socket alone
  std::string http;           // HOST:PORT of the page and the JSON gateway; empty: sextantd's default
  std::string tls_cert, tls_key, tls_client_ca;   // of the TCP ports; PEM files
  bool require_tokens = false;
  std::string state;          // instead of the home directory
  std::vector<std::string> worker;   // arguments for sextant-worker
  bool foreground = false;
  double wait_s = 60;
};
// Serves MCP over standard input and output until the input ends. `up`: starts this machine's service
// when it does not run.
int Mcp(Context& context, bool up);

int Up(Context& context, const UpOptions& options);
int Down(Context& context, const std::string& state);
int Doctor(Context& context, const std::vector<std::string>& worker_arguments);
int Worker(Context& context, const std::vector<std::string>& arguments);
int Shell(Context& context, int64_t pass_id);
int Completion(Context& context, const std::string& shell);

// ---- shared ------------------------------------------------------------------------------------

// Who submits: $SEXTANT_SUBMITTER, else the user's name.
std::string Submitter(const Context& context);
// A new request id: 128 random bits in hexadecimal.
std::string NewRequestId();
// "read, submit".
std::string ScopesText(const google::protobuf::RepeatedField<int>& scopes);
// "done", "running", …
std::string StateName(v1::State state);
// In the colour of the state, when standard output has colour.
std::string PaintState(const Context& context, v1::State state);
// "exit 0", "signal 11 (Segmentation fault)", "timed out: …".
std::string DescribeExit(const v1::ExitReport& report);
// The failure in lines: what, why, remedy. Empty when there is none.
std::string DescribeFailure(const v1::Failure& failure, absl::string_view indent);
// Lines: where the service is reached, and what each address is for. `grpc`: as this program reaches it.
std::string DescribeAddresses(const std::string& grpc, const v1::ServiceDescription& service);
// First steps, and whether the service runs; the exit code.
int Overview(Context& context);
// Asks what the graph would run and prints it; the exit code.
int PrintPlan(Context& context, const v1::JobGraph& graph);
// Submits over lost connections with the same request id; UNKNOWN is repeated too, which is safe.
absl::StatusOr<v1::SubmitJobResponse> SubmitSafely(Context& context,
                                                   const v1::SubmitJobRequest& request);
struct ShowOptions {
  bool detach = false;        // submit alone
  bool no_timeline = false;
  TimelineOptions timeline;   // job_id is set
};
// Sends `files` (digest → local path), submits, follows, and shows the timeline of its task, or how its passes
// ended; the exit code.
int SubmitAndShow(Context& context, const v1::SubmitJobRequest& request,
                  const std::map<std::string, std::string>& files, const ShowOptions& options);
// "K=V" each, from the option of that name.
absl::Status FillLabels(const std::vector<std::string>& labels, v1::JobGraph& graph);
// Prints the outcome of a job that has ended, and gives the exit code.
int PrintOutcome(Context& context, const v1::JobInfo& job, int interrupts);

}  // namespace sextant::cli
