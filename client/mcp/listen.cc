#include "client/mcp/listen.h"

#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/mcp/protocol.h"
#include "client/mcp/task.h"

namespace sextant::mcp {
namespace {

constexpr double kLongestS = 24 * 3600;   // a client that listens longer listens again

// What the watches of one subscription share, until the last of them has ended.
struct Subscription {
  std::shared_ptr<Scope> scope;   // shared with whoever may cancel
  Json id;
  std::function<void(const Json&)> notify;
  std::function<void()> over;

  ~Subscription() { over(); }

  void Notify(const char* method, Json params) const {
    params["_meta"][kSubscriptionKey] = id;
    Json message;
    message["jsonrpc"] = "2.0";
    message["method"] = method;
    message["params"] = std::move(params);
    notify(message);
  }
};

struct Wanted {
  bool as_task = false;
  std::vector<std::string> uris;
};

// One job's events: each is followed by a look at the job, and told when something changed. Deletes itself.
class Watch : public grpc::ClientReadReactor<v1::Event> {
 public:
  Watch(std::shared_ptr<Subscription> subscription, int64_t job_id, Wanted wanted)
      : subscription_(std::move(subscription)), wanted_(std::move(wanted)) {
    request_.set_job_id(job_id);
    get_.set_job_id(job_id);
  }

  void Start() {
    subscription_->scope->Enter(&context_, kLongestS);
    subscription_->scope->stub()->async()->WatchJob(&context_, &request_, this);
    AddHold();   // between a read and the next the job is looked at
    StartRead(&event_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return RemoveHold();
    if (event_.seq() == 0 || event_.what() == "percent") return StartRead(&event_);
    look_ = std::make_unique<grpc::ClientContext>();
    job_.Clear();
    subscription_->scope->Enter(look_.get(), 60);
    subscription_->scope->stub()->async()->GetJob(look_.get(), &get_, &job_, [this](grpc::Status status) {
      subscription_->scope->Left(look_.get());
      if (status.ok()) Tell();
      StartRead(&event_);
    });
  }

  void OnDone(const grpc::Status& status) override {
    subscription_->scope->Left(&context_);
    delete this;
  }

 private:
  void Tell() {
    Json task = TaskOf(job_);
    std::string text = Dump(task);
    if (text == told_) return;
    told_ = std::move(text);
    for (const std::string& uri : wanted_.uris) {
      Json params;
      params["uri"] = uri;
      subscription_->Notify("notifications/resources/updated", std::move(params));
    }
    if (wanted_.as_task) subscription_->Notify("notifications/tasks", std::move(task));
  }

  const std::shared_ptr<Subscription> subscription_;   // the last watch ends it
  const Wanted wanted_;
  grpc::ClientContext context_;
  v1::WatchJobRequest request_;
  v1::Event event_;
  std::unique_ptr<grpc::ClientContext> look_;
  v1::GetJobRequest get_;
  v1::GetJobResponse job_;
  std::string told_;
};

int64_t JobOfResource(absl::string_view uri) {
  int64_t job = 0;
  return absl::ConsumePrefix(&uri, "sextant://job/") && absl::ConsumeSuffix(&uri, "/report") &&
                 absl::SimpleAtoi(uri, &job) && job > 0 ? job : 0;
}

// The texts of a list; nothing of what is no list of texts.
std::vector<std::string> Texts(const Json& wanted, const char* name) {
  std::vector<std::string> texts;
  const auto found = wanted.find(name);
  if (found == wanted.end() || !found->is_array()) return texts;
  for (const Json& each : *found)
    if (each.is_string() && texts.size() < kMostSubscriptions) texts.push_back(each.get<std::string>());
  return texts;
}

}  // namespace

void Listen(std::shared_ptr<Scope> scope, const Json& id, const Json& wanted,
            std::function<void(const Json&)> notify, std::function<void()> over) {
  auto subscription = std::make_shared<Subscription>();
  subscription->scope = scope;
  subscription->id = id;
  subscription->notify = std::move(notify);
  subscription->over = std::move(over);
  std::map<int64_t, Wanted> jobs;
  Json offered = Json::object();
  for (const std::string& task : Texts(wanted, "taskIds")) {
    if (const int64_t job = JobOfTask(task); job > 0) {
      jobs[job].as_task = true;
      offered["taskIds"].push_back(task);
    }
  }
  for (const std::string& uri : Texts(wanted, "resourceSubscriptions")) {
    if (const int64_t job = JobOfResource(uri); job > 0) {
      jobs[job].uris.push_back(uri);
      offered["resourceSubscriptions"].push_back(uri);
    }
  }
  Json params;
  params["notifications"] = std::move(offered);
  subscription->Notify("notifications/subscriptions/acknowledged", std::move(params));
  for (auto& [job, each] : jobs)
    std::make_unique<Watch>(subscription, job, std::move(each)).release()->Start();   // OnDone deletes it
  // Nothing changes here but jobs: whoever listens for other things waits.
  if (jobs.empty()) scope->OnCancel([subscription = std::move(subscription)]() mutable { subscription.reset(); });
}

}  // namespace sextant::mcp
