// Jobs as tasks of MCP's Tasks extension. A job is a row already: its task outlives this process.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "client/mcp/json.h"
#include "client/mcp/tool.h"

namespace sextant::mcp {

// A tool's answer as a CallToolResult. The text is the same JSON, for clients that read text alone.
Json ToolResult(Answer answer);

// A DetailedTask: "job-7", working, completed with the result of get_job, or cancelled.
Json TaskOf(const v1::GetJobResponse& response);

// 7 of "job-7"; 0: not a task of ours.
int64_t JobOfTask(absl::string_view task);

}  // namespace sextant::mcp
