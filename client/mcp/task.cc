#include "client/mcp/task.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace sextant::mcp {
namespace {

std::string IsoTime(uint64_t unix_ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixNanos(static_cast<int64_t>(unix_ns)),
                          absl::UTCTimeZone());
}

}  // namespace

Json ToolResult(Answer answer) {
  Json result;
  Json text;
  text["type"] = "text";
  text["text"] = Dump(answer.structured);
  result["content"] = Json::array({std::move(text)});
  for (Json& link : answer.links) result["content"].push_back(std::move(link));
  result["structuredContent"] = std::move(answer.structured);
  result["isError"] = answer.failed;
  return result;
}

Json TaskOf(const v1::GetJobResponse& response) {
  const v1::JobInfo& job = response.job();
  const bool over = job.state() == v1::DONE || job.state() == v1::FAILED;
  Json task;
  task["taskId"] = absl::StrCat("job-", job.job_id());
  task["status"] = over ? "completed" : job.state() == v1::CANCELLED ? "cancelled" : "working";
  task["statusMessage"] = absl::StrCat(job.passes_done(), " of ", job.passes(), " passes done");
  task["createdAt"] = IsoTime(job.created_unix_ns());
  task["lastUpdatedAt"] =
      IsoTime(std::max({job.created_unix_ns(), job.started_unix_ns(), job.finished_unix_ns()}));
  task["ttlMs"] = nullptr;
  task["pollIntervalMs"] = 1000;
  if (over) {
    task["result"] = ToolResult(DescribeJob(response));
    task["result"]["resultType"] = "complete";
  }
  return task;
}

int64_t JobOfTask(absl::string_view task) {
  int64_t job = 0;
  return absl::ConsumePrefix(&task, "job-") && absl::SimpleAtoi(task, &job) && job > 0 ? job : 0;
}

}  // namespace sextant::mcp
