// get_job: the one tool that waits, without a thread.
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/mcp/tool.h"
#include "client/mcp/values.h"

namespace sextant::mcp {
namespace {

using Done = std::function<void(absl::StatusOr<Answer>)>;

constexpr size_t kMaxEvents = 40;
constexpr size_t kMaxListed = 100;
constexpr double kBurstS = 0.1;   // events come in bursts; what is there is sent at once
constexpr double kReadS = 60;     // beyond the wait: the service answers at once then

// GetJob, at once or when the job has ended. Deletes itself.
struct Look {
  std::shared_ptr<ToolCall> call;   // shared with whoever may cancel
  Done done;
  Json events;                      // null: not asked for
  std::string cursor;
  grpc::ClientContext context;
  v1::GetJobRequest request;
  v1::GetJobResponse response;

  static void Begin(std::unique_ptr<Look> look) {
    Look* const raw = look.release();   // the callback's
    raw->call->scope->Enter(&raw->context, kReadS + raw->request.wait_s());
    raw->call->scope->stub()->async()->GetJob(&raw->context, &raw->request, &raw->response,
                                              [raw](grpc::Status status) { raw->End(status); });
  }

  void End(const grpc::Status& status) {
    call->scope->Left(&context);
    if (!status.ok()) {
      done(FromGrpc(status));
    } else {
      Answer answer = DescribeJob(response);
      if (!events.is_null()) {
        answer.structured["events"] = std::move(events);
        answer.structured["cursor"] = cursor;
        answer.structured["untrusted"].push_back("events.message");
      }
      Fit(kAnswerTokens, &answer.structured);
      done(std::move(answer));
    }
    delete this;
  }
};

std::unique_ptr<Look> NewLook(std::shared_ptr<ToolCall> call, Done done) {
  auto look = std::make_unique<Look>();
  look->request.set_job_id(JobId(*call));
  if (call->arguments.value("tasks", false)) {
    look->request.set_with_tasks(true);
    look->request.set_page_size(kMaxListed);
  }
  look->call = std::move(call);
  look->done = std::move(done);
  return look;
}

// Reads events after a cursor: at most so many, for at most so long. Deletes itself.
class Read : public grpc::ClientReadReactor<v1::Event> {
 public:
  using Then = std::function<void(const absl::Status&, std::vector<v1::Event>)>;

  static void Begin(ToolCall* call, int64_t after, double seconds, size_t most, Then then) {
    Read* const read = std::make_unique<Read>().release();   // OnDone's
    read->call_ = call;
    read->then_ = std::move(then);
    read->most_ = most;
    read->request_.set_job_id(JobId(*call));
    read->request_.set_after_seq(after);
    call->scope->Enter(&read->context_, seconds);
    call->scope->stub()->async()->WatchJob(&read->context_, &read->request_, read);
    read->StartRead(&read->event_);
    read->StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    // Passing events say what the job's numbers say.
    if (event_.seq() > 0 && event_.what() != "percent") events_.push_back(event_);
    events_.size() < most_ ? StartRead(&event_) : context_.TryCancel();
  }

  void OnDone(const grpc::Status& status) override {
    call_->scope->Left(&context_);
    // Ending it is how both bounds work.
    const bool ours = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ||
                      (events_.size() >= most_ && status.error_code() == grpc::StatusCode::CANCELLED);
    then_(ours ? absl::OkStatus() : FromGrpc(status), std::move(events_));
    delete this;
  }

 private:
  ToolCall* call_ = nullptr;
  Then then_;
  size_t most_ = 0;
  grpc::ClientContext context_;
  v1::WatchJobRequest request_;
  v1::Event event_;
  std::vector<v1::Event> events_;
};

Json Rows(const std::vector<v1::Event>& events) {
  Json rows = Json::array();
  for (const v1::Event& event : events) {
    Json row = {{"seq", event.seq()}, {"what", event.what()}};
    if (!event.task().empty()) row["task"] = Clean(event.task());
    if (event.pass_id() > 0) row["pass"] = absl::StrCat("p", event.pass_id());
    if (!event.message().empty()) row["message"] = Clean(event.message(), 160);
    rows.push_back(std::move(row));
  }
  return rows;
}

// What has happened since `after`, then the job.
void Collect(std::shared_ptr<ToolCall> call, int64_t after, Done done) {
  ToolCall* const raw = call.get();
  Read::Begin(raw, after, kBurstS, kMaxEvents,
              [call, after, done](const absl::Status& status, const std::vector<v1::Event>& events) {
                if (!status.ok()) return done(status);
                auto look = NewLook(call, done);
                look->events = Rows(events);
                look->cursor = Cursor("events", events.empty() ? after : events.back().seq());
                Look::Begin(std::move(look));
              });
}

}  // namespace

void GetJob(std::shared_ptr<ToolCall> call, Done done) {
  const double wait_s = call->arguments.value("wait_s", 0.0);
  if (!call->arguments.contains("after")) {
    auto look = NewLook(std::move(call), std::move(done));
    look->request.set_wait_s(wait_s);
    return Look::Begin(std::move(look));
  }
  Json place = Json::object();
  place["cursor"] = Text(call->arguments, "after");
  const auto after = ParseCursor("events", place);
  if (!after.ok()) return done(after.status());
  if (wait_s <= 0) return Collect(std::move(call), *after, std::move(done));
  ToolCall* const raw = call.get();
  Read::Begin(raw, *after, wait_s, 1,
              [call, after = *after, done](const absl::Status& status, const std::vector<v1::Event>&) {
                if (!status.ok()) return done(status);
                Collect(call, after, done);
              });
}

}  // namespace sextant::mcp
