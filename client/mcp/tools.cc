// The tools as an agent sees them. Descriptions are read by models: short, and saying when to use what.
#include "client/mcp/tool.h"

namespace sextant::mcp {

const std::vector<Tool>& Tools() {
  static const auto& tools = *new std::vector<Tool>{
      {"describe_service", "Describe the service",
       "What can be measured here: GPUs, backends and why some are missing, limits, newest jobs. Call it once, first.",
       R"j({"type":"object","properties":{},"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"version":{"type":"string"},"devices":{"type":"array"},"backends":{"type":"array"},"jobs":{"type":"array"},"limits":{"type":"object"}},"required":["answer"]})j",
       true, true, DescribeService},
      {"submit_job", "Submit a job",
       "Profile a program. Give `argv`, its `files`, and a `question` (quick, bottleneck, deep: the service chooses the "
       "passes within `budget_s`) or `passes` by name (\"counters:set=ipc*2\"); or a whole `graph`. The same `request_id` "
       "never runs twice. `plan_only` shows passes and cost first. Then: get_job with wait_s.",
       R"j({"type":"object","properties":{
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
"question":{"type":"string","enum":["quick","bottleneck","deep"]},
"budget_s":{"type":"number","minimum":1,"description":"device seconds the question may cost"},
"passes":{"type":"array","items":{"type":"string"},"maxItems":100,"description":"NAME[:key=value,...][*N], e.g. host*5, counters:set=ipc, replay:FILE (a path in files)"},
"graph":{"type":"object","description":"JobGraph as JSON, instead of argv"},
"fresh":{"type":"boolean","description":"measure again, not from the cache"},
"deadline_s":{"type":"number","minimum":0},
"plan_only":{"type":"boolean"},
"wait":{"type":"boolean","description":"answer when the job ends: as a task where the client knows tasks, else after 50 s at the latest"}},
"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"job_id":{"type":"integer"},"existing":{"type":"boolean"},"state":{"type":"string"},"passes":{"type":["array","object"]},"device_s":{"type":["number","null"]}},"required":["answer"]})j",
       false, true, SubmitJob},
      {"get_job", "Look at a job",
       "State, passes done, failure with remedy. `wait_s` waits until the job ends. With `after` (\"\" or the last "
       "cursor): events since then, as soon as there are any.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},
"wait_s":{"type":"number","minimum":0,"maximum":55},
"after":{"type":"string","maxLength":100,"description":"cursor of events"},
"tasks":{"type":"boolean","description":"list its tasks"}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"job_id":{"type":"integer"},"state":{"type":"string","enum":["waiting","ready","running","done","failed","cancelled"]},"passes":{"type":"object"},"tasks":{"type":"array"},"events":{"type":"array"},"cursor":{"type":"string"},"next":{"type":"array"}},"required":["answer","job_id","state"]})j",
       true, true, nullptr, GetJob},
      {"cancel_job", "Cancel a job", "Stops a job, or one task of it; running programs are killed within a second.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"reason":{"type":"string","maxLength":1000}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"job_id":{"type":"integer"},"state":{"type":"string"}},"required":["answer"]})j",
       false, true, CancelJob},
      {"explain_bottleneck", "What bounds it",
       "The diagnosis: what bounds each kernel, what to change, how much it could save, with the passes it stands on; "
       "and what cannot be told, with the pass that would tell. Ask this first about a finished job.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"kernel":{"type":"string"},
"top":{"type":"integer","minimum":1,"maximum":50}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"findings":{"type":"array"},"cannot_tell":{"type":"array"},"evidence":{"type":"array"}},"required":["answer"]})j",
       true, true, ExplainBottleneck},
      {"region_timeline", "Timeline of regions",
       "Where time goes: P20/P50/P80 in ns of every region by role; loops and overlap. detail=instances gives starts "
       "and durations one by one.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"kernel":{"type":"string"},
"roles":{"type":"array","items":{"type":"string"}},"regions":{"type":"array","items":{"type":"string"}},
"detail":{"type":"string","enum":["regions","instances"]},
"quantiles":{"type":"array","items":{"type":"number","minimum":0,"maximum":1},"maxItems":9},
"cursor":{"type":"string","maxLength":100}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"quantiles":{"type":"array"},"span_ns":{"type":"array"},"roles":{"type":"array"},"regions":{"type":"array"},"instances":{"type":"array"},"loops":{"type":"array"},"overlaps":{"type":"array"},"disturbed":{"type":"array"},"notes":{"type":"array"},"cursor":{"type":"string"}},"required":["answer"]})j",
       true, true, RegionTimeline},
      {"counters", "Hardware counters",
       "Percent of peak of each unit where known, then counters by kernel or region with units (median over passes). "
       "`match` keeps names that contain it.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"kernel":{"type":"string"},
"match":{"type":"string","maxLength":200},"cursor":{"type":"string","maxLength":100}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"percent_of_peak":{"type":"array"},"counters":{"type":"array"},"evidence":{"type":"array"},"cannot_tell":{"type":"array"},"cursor":{"type":"string"}},"required":["answer"]})j",
       true, true, Counters},
      {"hotspots", "Hot spots",
       "Which source lines, SASS instructions, functions, regions or kernels take the samples, and what they wait for. "
       "Drill down with `within` (a name from an earlier answer).",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"kernel":{"type":"string"},
"by":{"type":"string","enum":["line","sass","function","region","kernel"]},
"within":{"type":"string","maxLength":500},"top":{"type":"integer","minimum":1,"maximum":200},
"cursor":{"type":"string","maxLength":100}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"by":{"type":"string"},"hotspots":{"type":"array"},"evidence":{"type":"array"},"cannot_tell":{"type":"array"},"cursor":{"type":"string"}},"required":["answer"]})j",
       true, true, Hotspots},
      {"compare_jobs", "Compare two jobs",
       "Is B (after) faster or slower than A (before)? Differences of environment first, then rows with 95 % intervals "
       "and the noise of A against itself.",
       R"j({"type":"object","properties":{
"job_a":{"type":"integer","minimum":1},"job_b":{"type":"integer","minimum":1},
"task_a":{"type":"string"},"task_b":{"type":"string"},
"gate_pct":{"type":"number","minimum":0,"maximum":1000,"description":"smaller changes do not count; default 1"},
"across_machines":{"type":"boolean"},"cursor":{"type":"string","maxLength":100}},
"required":["job_a","job_b"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"verdict":{"type":"string"},"environment":{"type":"array"},"deltas":{"type":"array"},"code":{"type":"array"},"notes":{"type":"array"},"cursor":{"type":"string"}},"required":["answer","verdict"]})j",
       true, true, CompareJobs},
      {"critical_path", "Critical path",
       "The chain of regions and barriers that a kernel's run time is made of, slack elsewhere, and what shortening a "
       "region would win (`what_if`).",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"kernel":{"type":"string"},
"what_if":{"type":"array","maxItems":20,"items":{"type":"object","properties":{
 "role":{"type":"string"},"region":{"type":"string"},"shorten_pct":{"type":"number","minimum":-1000,"maximum":100}},
 "required":["region","shorten_pct"],"additionalProperties":false}}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"paths":{"type":"array"},"waits":{"type":"array"},"what_if":{"type":"array"},"evidence":{"type":"array"},"cannot_tell":{"type":"array"}},"required":["answer"]})j",
       true, true, CriticalPath},
      {"next_pass", "Which pass next",
       "Open questions of the diagnosis, each with the pass that would settle it and its cost, ready for submit_job's "
       "`passes`.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},"kernel":{"type":"string"}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"passes":{"type":"array"},"cannot_tell":{"type":"array"}},"required":["answer"]})j",
       true, true, NextPass},
      {"query", "SQL",
       "One read-only SELECT over the views jobs, tasks, passes, counters, artifacts, notes, regions, events, queue, "
       "workers (columns: resource sextant://schema).",
       R"j({"type":"object","properties":{
"sql":{"type":"string","maxLength":20000},
"max_rows":{"type":"integer","minimum":1,"maximum":1000,"description":"default 50"}},
"required":["sql"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"columns":{"type":"array"},"rows":{"type":"array"},"truncated":{"type":"boolean"}},"required":["answer","columns","rows"]})j",
       true, true, Query},
      {"get_artifact", "Get a file",
       "Links to files that a job left (logs, IR, tables, outputs): never their content. Without `name`: which there are.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"pass_id":{"type":"integer","minimum":1},
"task":{"type":"string"},"name":{"type":"string","maxLength":500},"cursor":{"type":"string","maxLength":100}},
"required":["job_id"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"artifacts":{"type":"array"},"cursor":{"type":"string"}},"required":["answer"]})j",
       true, true, GetArtifact},
      {"complete_task", "Complete an external task",
       "Supplies the result of a task of kind external that waits for you. The same result again is accepted again.",
       R"j({"type":"object","properties":{
"job_id":{"type":"integer","minimum":1},"task":{"type":"string"},
"failed":{"type":"boolean"},"message":{"type":"string","maxLength":10000},
"files":{"type":"array","maxItems":100,"items":{"type":"object","properties":{
 "name":{"type":"string"},"text":{"type":"string"},"base64":{"type":"string"},"digest":{"type":"string"},"local":{"type":"string"}},
 "required":["name"],"additionalProperties":false}}},
"required":["job_id","task"],"additionalProperties":false})j",
       R"j({"type":"object","properties":{"answer":{"type":"string"},"task":{"type":"string"},"state":{"type":"string"}},"required":["answer"]})j",
       false, true, CompleteTask},
  };
  return tools;
}

}  // namespace sextant::mcp
