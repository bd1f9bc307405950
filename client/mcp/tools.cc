// The tools as an agent sees them. Descriptions are read by models: short, and saying when to use what.
#include "absl/strings/str_cat.h"
#include "client/mcp/presets.h"
#include "client/mcp/tool.h"

namespace sextant::mcp {
namespace {

constexpr char kJobId[] = R"("job_id":{"type":"integer","minimum":1})";
constexpr char kCursor[] = R"("cursor":{"type":"string","maxLength":100,"description":"of the answer before; goes on there"})";

// JSON Schema of arguments: their names and schemas, and which must be there.
std::string Input(absl::string_view properties, absl::string_view required = "") {
  return absl::StrCat(R"({"type":"object","properties":{)", properties, R"(},"required":[)", required,
                      R"(],"additionalProperties":false})");
}

std::string AboutJob(absl::string_view more) {
  return Input(absl::StrCat(kJobId, ",", more), R"("job_id")");
}

// Of an analysis: what it is asked about, and more.
std::string AboutKernel(absl::string_view more = "") {
  return AboutJob(absl::StrCat(
      R"("task":{"type":"string","description":"path; default: the only one"},)",
      R"("kernel":{"type":"string","description":"exact name; default: the one that took most time"})",
      more.empty() ? "" : ",", more));
}

// JSON Schema of an answer. Every answer has a sentence; `required` are names of its other fields.
std::string Output(absl::string_view properties, absl::string_view required = "") {
  return absl::StrCat(R"({"type":"object","properties":{"answer":{"type":"string"})", properties.empty() ? "" : ",",
                      properties, R"(},"required":["answer")", required.empty() ? "" : ",", required, "]}");
}

std::string SubmitInput() {
  std::string names;
  for (const Preset& preset : Presets()) absl::StrAppend(&names, names.empty() ? "\"" : ",\"", preset.name, "\"");
  return Input(absl::StrCat(R"j(
"request_id":{"type":"string","maxLength":128,"description":"idempotency key; default: made from the arguments"},
"name":{"type":"string","maxLength":200},
"argv":{"type":"array","items":{"type":"string"},"maxItems":1000,"description":"program and arguments; argv[0] is one of files or in PATH"},
"files":{"type":"array","maxItems":1000,"items":{"type":"object","properties":{
 "path":{"type":"string","description":"relative to the program's working directory"},
 "text":{"type":"string"},"base64":{"type":"string"},
 "digest":{"type":"string","description":"hex SHA-256 of a blob the service has"},
 "local":{"type":"string","description":"a file here; over stdio only"},
 "executable":{"type":"boolean"}},"required":["path"],"additionalProperties":false}},
"env":{"type":"object","additionalProperties":{"type":"string"}},
"kernels":{"type":"string","description":"regular expression of kernels that matter"},
"gpu":{"type":"boolean","description":"the program needs a GPU in every pass"},
"preset":{"type":"string","enum":[)j", names, R"j(]},
"budget_s":{"type":"number","minimum":1,"description":"device seconds the preset may cost"},
"passes":{"type":"array","items":{"type":"string"},"maxItems":100,"description":"NAME[:key=value,...][*N], e.g. host*5, counters:set=ipc, replay:FILE (a path in files)"},
"graph":{"type":"object","description":"JobGraph as JSON, instead of argv"},
"fresh":{"type":"boolean","description":"measure again, not from the cache"},
"deadline_s":{"type":"number","minimum":0},
"plan_only":{"type":"boolean"},
"wait":{"type":"boolean","description":"answer when the job ends: as a task where the client knows tasks, else after 50 s at the latest"})j"));
}

}  // namespace

const std::vector<Tool>& Tools() {
  static const auto& tools = *new std::vector<Tool>{
      {"describe_service", "Describe the service",
       "What can be measured here: presets with the passes they run and what those cost, GPUs, backends and why some "
       "are missing, limits, newest jobs. Call it once, first.",
       Input(""),
       Output(R"("version":{"type":"string"},"presets":{"type":"array"},"devices":{"type":"array"},"backends":{"type":"array"},"missing_backends":{"type":"array"},"jobs":{"type":"array"},"limits":{"type":"object"})"),
       true, true, DescribeService},
      {"submit_job", "Submit a job",
       "Profile a program. Give `argv`, its `files`, and a `preset` (the service chooses the passes, within `budget_s`; "
       "describe_service lists presets with their cost) or `passes` by name (\"counters:set=ipc*2\"), or both; or a "
       "whole `graph`. The same `request_id` never runs twice. `plan_only` shows passes and cost first. Then: get_job "
       "with wait_s.",
       SubmitInput(),
       Output(R"("job_id":{"type":"integer"},"existing":{"type":"boolean"},"state":{"type":"string"},"passes":{"type":["array","object"]},"device_s":{"type":["number","null"]})"),
       false, true, SubmitJob},
      {"get_job", "Look at a job",
       "State, passes done, failure with remedy. `wait_s` waits until the job ends. With `after` (\"\" or the last "
       "cursor): events since then, as soon as there are any.",
       AboutJob(R"j("wait_s":{"type":"number","minimum":0,"maximum":55},
"after":{"type":"string","maxLength":100,"description":"cursor of events"},
"tasks":{"type":"boolean","description":"list its tasks"})j"),
       Output(R"("job_id":{"type":"integer"},"state":{"type":"string","enum":["waiting","ready","running","done","failed","cancelled"]},"passes":{"type":"object"},"tasks":{"type":"array"},"events":{"type":"array"},"cursor":{"type":"string"},"next":{"type":"array"})",
              R"("job_id","state")"),
       true, true, nullptr, GetJob},
      {"cancel_job", "Cancel a job", "Stops a job, or one task of it; running programs are killed within a second.",
       AboutJob(R"("task":{"type":"string"},"reason":{"type":"string","maxLength":1000})"),
       Output(R"("job_id":{"type":"integer"},"state":{"type":"string"})"), false, true, CancelJob},
      {"explain_bottleneck", "What bounds it",
       "The diagnosis: what bounds each kernel, what to change, how much it could save, with the passes it stands on; "
       "and what cannot be told, with the pass that would tell. Ask this first about a finished job.",
       AboutKernel(R"("top":{"type":"integer","minimum":1,"maximum":50})"),
       Output(R"("findings":{"type":"array"},"cannot_tell":{"type":"array"},"evidence":{"type":"array"})"), true, true,
       ExplainBottleneck},
      {"region_timeline", "Timeline of regions",
       "Where time goes: P20/P50/P80 in ns of every region by role; loops and overlap. detail=instances gives starts "
       "and durations one by one.",
       AboutKernel(absl::StrCat(R"j("roles":{"type":"array","items":{"type":"string"}},"regions":{"type":"array","items":{"type":"string"}},
"detail":{"type":"string","enum":["regions","instances"]},
"quantiles":{"type":"array","items":{"type":"number","minimum":0,"maximum":1},"maxItems":9},)j", kCursor)),
       Output(R"("quantiles":{"type":"array"},"span_ns":{"type":"array"},"roles":{"type":"array"},"regions":{"type":"array"},"instances":{"type":"array"},"loops":{"type":"array"},"overlaps":{"type":"array"},"disturbed":{"type":"array"},"notes":{"type":"array"},"cursor":{"type":"string"})"),
       true, true, RegionTimeline},
      {"counters", "Hardware counters",
       "Percent of peak of each unit where known, then counters by kernel or region with units (median over passes). "
       "`match` keeps names that contain it.",
       AboutKernel(absl::StrCat(R"("match":{"type":"string","maxLength":200},)", kCursor)),
       Output(R"("percent_of_peak":{"type":"array"},"counters":{"type":"array"},"evidence":{"type":"array"},"cannot_tell":{"type":"array"},"cursor":{"type":"string"})"),
       true, true, Counters},
      {"hotspots", "Hot spots",
       "Which source lines, SASS instructions, functions, regions or kernels take the samples, and what they wait for. "
       "`within` (a name from an earlier answer) with a finer `by` shows what it consists of or calls; with a coarser "
       "`by`, what contains or calls it.",
       AboutKernel(absl::StrCat(R"j("by":{"type":"string","enum":["line","sass","function","region","kernel"]},
"within":{"type":"string","maxLength":500},"top":{"type":"integer","minimum":1,"maximum":200},)j", kCursor)),
       Output(R"("by":{"type":"string"},"hotspots":{"type":"array"},"evidence":{"type":"array"},"cannot_tell":{"type":"array"},"cursor":{"type":"string"})"),
       true, true, Hotspots},
      {"compare_jobs", "Compare two jobs",
       "Is B (after) faster or slower than A (before)? Differences of environment first, then rows with 95 % intervals "
       "and the noise of A against itself.",
       Input(absl::StrCat(R"j("job_a":{"type":"integer","minimum":1},"job_b":{"type":"integer","minimum":1},
"task_a":{"type":"string"},"task_b":{"type":"string"},
"gate_pct":{"type":"number","minimum":0,"maximum":1000,"description":"smaller changes do not count; default 1"},
"across_machines":{"type":"boolean"},)j", kCursor), R"("job_a","job_b")"),
       Output(R"("verdict":{"type":"string"},"environment":{"type":"array"},"deltas":{"type":"array"},"code":{"type":"array"},"notes":{"type":"array"},"cursor":{"type":"string"})",
              R"("verdict")"),
       true, true, CompareJobs},
      {"critical_path", "Critical path",
       "The chain of regions and barriers that a kernel's run time is made of, slack elsewhere, and what shortening a "
       "region would win (`what_if`).",
       AboutKernel(R"j("what_if":{"type":"array","maxItems":20,"items":{"type":"object","properties":{
 "role":{"type":"string"},"region":{"type":"string"},"shorten_pct":{"type":"number","minimum":-1000,"maximum":100}},
 "required":["region","shorten_pct"],"additionalProperties":false}})j"),
       Output(R"("paths":{"type":"array"},"waits":{"type":"array"},"what_if":{"type":"array"},"evidence":{"type":"array"},"cannot_tell":{"type":"array"})"),
       true, true, CriticalPath},
      {"next_pass", "Which pass next",
       "Open questions of the diagnosis, each with the pass that would settle it and its cost, ready for submit_job's "
       "`passes`.",
       AboutKernel(), Output(R"("passes":{"type":"array"},"cannot_tell":{"type":"array"})"), true, true, NextPass},
      {"query", "SQL",
       "One read-only SELECT over the views jobs, tasks, passes, counters, artifacts, notes, regions, events, queue, "
       "workers (columns: resource sextant://schema).",
       Input(R"j("sql":{"type":"string","maxLength":20000},
"max_rows":{"type":"integer","minimum":1,"maximum":1000,"description":"default 50"})j", R"("sql")"),
       Output(R"("columns":{"type":"array"},"rows":{"type":"array"},"truncated":{"type":"boolean"})",
              R"("columns","rows")"),
       true, true, Query},
      {"get_artifact", "Get a file",
       "Links to files that a job left (logs, IR, tables, outputs): never their content. Without `name`: which there are.",
       AboutJob(absl::StrCat(R"j("pass_id":{"type":"integer","minimum":1},
"task":{"type":"string"},"name":{"type":"string","maxLength":500},)j", kCursor)),
       Output(R"("artifacts":{"type":"array"},"cursor":{"type":"string"})"), true, true, GetArtifact},
      {"complete_task", "Complete an external task",
       "Supplies the result of a task of kind external that waits for you. The same result again is accepted again.",
       Input(absl::StrCat(kJobId, R"j(,"task":{"type":"string"},
"failed":{"type":"boolean"},"message":{"type":"string","maxLength":10000},
"files":{"type":"array","maxItems":100,"items":{"type":"object","properties":{
 "name":{"type":"string"},"text":{"type":"string"},"base64":{"type":"string"},"digest":{"type":"string"},"local":{"type":"string"}},
 "required":["name"],"additionalProperties":false}})j"), R"("job_id","task")"),
       Output(R"("task":{"type":"string"},"state":{"type":"string"})"), false, true, CompleteTask},
  };
  return tools;
}

}  // namespace sextant::mcp
