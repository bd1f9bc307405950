// A tool: what an agent may ask, and how it is answered.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/mcp/json.h"
#include "client/mcp/scope.h"

namespace sextant::mcp {

// The most that an answer has, by Tokens.
inline constexpr size_t kAnswerTokens = 2000;

struct Answer {
  Json structured;               // fits Tool::output
  std::vector<Json> links;       // resource_link content beside it
  bool failed = false;           // the job failed, not the tool: still an answer
};

struct ToolCall {
  Json arguments;                // fits Tool::input
  std::shared_ptr<Scope> scope;  // shared with whoever may cancel
  bool local = false;            // the client's files are this process's: over standard input and output
};

struct Tool {
  const char* name;
  const char* title;
  const char* description;
  std::string input;             // JSON Schema
  std::string output;            // likewise
  bool read_only;
  bool idempotent;
  // Exactly one of these. `ask` runs on a thread of its own pool and may block; `begin` must not, and
  // calls back once, from any thread.
  absl::StatusOr<Answer> (*ask)(ToolCall& call) = nullptr;
  void (*begin)(std::shared_ptr<ToolCall> call,
                std::function<void(absl::StatusOr<Answer>)> done) = nullptr;
};

// All of them, in the order in which an agent meets them.
const std::vector<Tool>& Tools();

// ---- what the tools share ----------------------------------------------------------------------

// The names of an answer's fields whose text a workload named or printed.
void MarkUntrusted(std::vector<std::string> fields, Json* answer);

// A place in a list, opaque to the client. INVALID_ARGUMENT: not one of ours.
std::string Cursor(absl::string_view list, int64_t at);
absl::StatusOr<int64_t> ParseCursor(absl::string_view list, const Json& arguments);

// Drops `at` rows of `list` and, after Fit, sets "cursor" where rows are left.
void Page(absl::string_view list, int64_t at, Json* answer);

int64_t JobId(const ToolCall& call, const char* name = "job_id");
std::string Text(const Json& arguments, const char* name);

// Each a row of Tools().
absl::StatusOr<Answer> DescribeService(ToolCall& call);
absl::StatusOr<Answer> SubmitJob(ToolCall& call);
void GetJob(std::shared_ptr<ToolCall> call, std::function<void(absl::StatusOr<Answer>)> done);
absl::StatusOr<Answer> CancelJob(ToolCall& call);
absl::StatusOr<Answer> CompleteTask(ToolCall& call);
absl::StatusOr<Answer> GetArtifact(ToolCall& call);
absl::StatusOr<Answer> ExplainBottleneck(ToolCall& call);
absl::StatusOr<Answer> NextPass(ToolCall& call);
absl::StatusOr<Answer> RegionTimeline(ToolCall& call);
absl::StatusOr<Answer> Counters(ToolCall& call);
absl::StatusOr<Answer> Hotspots(ToolCall& call);
absl::StatusOr<Answer> CompareJobs(ToolCall& call);
absl::StatusOr<Answer> CriticalPath(ToolCall& call);
absl::StatusOr<Answer> Query(ToolCall& call);

// What a job looks like to an agent: state, passes, failure, what to do next.
Answer DescribeJob(const v1::GetJobResponse& job);

}  // namespace sextant::mcp
