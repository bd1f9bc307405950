#include "server/dispatch/worker_hub.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/job/plan.h"

namespace sextant::dispatch {
namespace {

constexpr double kRenewEvery = 0.05;   // of a lease; workers beat four times in one

v1::PassRef Ref(int64_t pass_id, int64_t epoch) {
  v1::PassRef ref;
  ref.set_pass_id(pass_id);
  ref.set_epoch(epoch);
  return ref;
}

absl::Status CheckInfo(const v1::WorkerInfo& info) {
  if (info.name().empty() || info.name().size() > 256)
    return absl::InvalidArgumentError("info.name: 1 to 256 bytes, unique among workers");
  if (info.incarnation().empty())
    return absl::InvalidArgumentError("info.incarnation: must be new at each start of the worker");
  std::set<std::string> names;
  for (const auto& device : info.devices())
    if (device.name().empty() || !names.insert(device.name()).second)
      return absl::InvalidArgumentError(
          absl::StrCat("info.devices: names must be unique and not empty, \"", device.name(), "\""));
  return absl::OkStatus();
}

}  // namespace

WorkerHub::WorkerHub(store::QueueStore* queue, Options options)
    : queue_(queue), options_(std::move(options)) {}

absl::StatusOr<int64_t> WorkerHub::Attach(const v1::WorkerState& first, Send send) {
  const auto& info = first.info();
  RETURN_IF_ERROR(CheckInfo(info));
  std::vector<v1::PassRef> reported;
  for (const auto& progress : first.running()) reported.push_back(progress.pass());
  RETURN_IF_ERROR(
      queue_->Register(info, job::SlotOffers(info), options_.lease_s, reported));
  ASSIGN_OR_RETURN(const auto holdings, queue_->Holdings({info.name()}));

  Session session;
  session.info = info;
  session.send = std::make_shared<const Send>(std::move(send));
  session.draining = first.draining();
  std::set<std::pair<int64_t, int64_t>> shown;
  for (const auto& ref : reported) shown.insert({ref.pass_id(), ref.epoch()});
  v1::DesiredState desired;
  desired.set_lease_s(options_.lease_s);
  std::vector<int64_t> again;  // given to it, but it does not know
  for (const auto& holding : holdings) {
    session.held[holding.pass_id] = {holding.epoch, 0, holding.device, "", false};
    if (shown.erase({holding.pass_id, holding.epoch}) == 0) again.push_back(holding.pass_id);
  }
  for (const auto& [pass_id, epoch] : shown) *desired.add_stop() = Ref(pass_id, epoch);
  if (!again.empty()) {
    ASSIGN_OR_RETURN(auto claimed, queue_->Assignments(again));
    for (auto& claim : claimed) {
      session.held[claim.assignment.pass().pass_id()].job_id = claim.assignment.job_id();
      *desired.add_start() = std::move(claim.assignment);
    }
  }
  spdlog::info("worker attached worker={} incarnation={} holds={} sent_again={} stopped={}",
               info.name(), info.incarnation(), holdings.size(), again.size(), shown.size());
  const auto deliver = session.send;
  int64_t id = 0;
  {
    absl::MutexLock lock(&mutex_);
    id = next_session_++;
    if (auto it = by_name_.find(info.name()); it != by_name_.end()) sessions_.erase(it->second);
    by_name_[info.name()] = id;
    sessions_.emplace(id, std::move(session));
  }
  (*deliver)(desired);
  if (first.running_size() > 0) RETURN_IF_ERROR(Report(id, first));
  return id;
}

absl::Status WorkerHub::Report(int64_t session_id, const v1::WorkerState& state) {
  std::vector<store::QueueStore::Started> started;
  std::vector<v1::Event> passing;
  std::optional<v1::WorkerInfo> changed;
  {
    absl::MutexLock lock(&mutex_);
    auto it = sessions_.find(session_id);
    if (it == sessions_.end())
      return absl::FailedPreconditionError("this stream was replaced by a newer one of the worker");
    Session& session = it->second;
    if (state.has_info() && state.info().name() == session.info.name()) {
      session.info = state.info();
      changed = state.info();
    }
    session.draining = state.draining();
    // Workers report progress much more often than a lease needs.
    if (const absl::Time now = absl::Now();
        now - session.renewing >= absl::Seconds(options_.lease_s) * kRenewEvery) {
      session.renewing = now;
      to_renew_.push_back(session.info.name());
    }
    for (const auto& progress : state.running()) {
      auto held = session.held.find(progress.pass().pass_id());
      if (held == session.held.end() || held->second.epoch != progress.pass().epoch()) continue;
      if (progress.started_unix_ns() != 0 && !held->second.started) {
        held->second.started = true;
        started.push_back({held->first, held->second.epoch, progress.started_unix_ns()});
      }
      if (progress.phase() != held->second.phase || progress.percent() > 0) {
        held->second.phase = progress.phase();
        auto& event = passing.emplace_back();
        event.set_job_id(held->second.job_id);
        event.set_pass_id(held->first);
        event.set_what("percent");
        event.set_state(v1::RUNNING);
        event.set_percent(progress.percent());
        event.set_message(progress.phase());
      }
    }
  }
  if (changed.has_value()) RETURN_IF_ERROR(Store(*changed));
  if (options_.passing)
    for (const auto& event : passing) options_.passing(event);
  if (!started.empty()) RETURN_IF_ERROR(queue_->RecordStarted(started));
  return absl::OkStatus();
}

void WorkerHub::Detach(int64_t session_id) {
  absl::MutexLock lock(&mutex_);
  auto it = sessions_.find(session_id);
  if (it == sessions_.end()) return;
  spdlog::info("worker detached worker={} holds={}", it->second.info.name(), it->second.held.size());
  by_name_.erase(it->second.info.name());
  sessions_.erase(it);
}

std::optional<v1::WorkerInfo> WorkerHub::SetAside(const v1::CommitPassesRequest& request) {
  absl::MutexLock lock(&mutex_);
  const auto it = by_name_.find(request.worker());
  if (it == by_name_.end()) return std::nullopt;
  Session& session = sessions_[it->second];
  bool changed = false;
  for (const auto& commit : request.commits()) {
    if (commit.result().failure().cause() != v1::DEVICE_UNHEALTHY) continue;
    const auto held = session.held.find(commit.pass().pass_id());
    if (held == session.held.end() || held->second.epoch != commit.pass().epoch()) continue;
    for (auto& device : *session.info.mutable_devices()) {
      if (device.name() != held->second.device || !device.unhealthy().empty()) continue;
      device.set_unhealthy(commit.result().failure().message());
      changed = true;
      spdlog::error("device set aside worker={} device={} why={}", request.worker(), device.name(),
                    device.unhealthy());
    }
  }
  if (!changed) return std::nullopt;
  return session.info;
}

absl::Status WorkerHub::Store(const v1::WorkerInfo& info) {
  return queue_->Register(info, job::SlotOffers(info), options_.lease_s, {});
}

std::vector<WorkerHub::Committed> WorkerHub::Commit(
    const std::vector<const v1::CommitPassesRequest*>& requests) {
  std::vector<Committed> answers(requests.size(), absl::UnavailableError(""));
  std::vector<const v1::CommitPassesRequest*> together;
  std::vector<size_t> places;   // of `together` in `answers`
  for (size_t i = 0; i < requests.size(); ++i) {
    // Before its pass is ready again: it must not go where it came from.
    absl::Status stored;
    if (auto changed = SetAside(*requests[i]); changed.has_value()) stored = Store(*changed);
    if (stored.ok()) {
      together.push_back(requests[i]);
      places.push_back(i);
    } else {
      answers[i] = stored;
    }
  }
  auto all = queue_->CommitAll(together);
  const absl::StatusCode code = all.status().code();
  // No connection, or in doubt: so it is for each of them. Anything else is somebody's own.
  const bool shared =
      code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kUnknown;
  for (size_t i = 0; i < together.size(); ++i) {
    Committed& answer = answers[places[i]];
    if (all.ok()) {
      answer = std::move((*all)[i]);
    } else if (shared || together.size() == 1) {
      answer = all.status();
    } else {
      answer = queue_->Commit(*together[i]);
    }
    if (answer.ok()) Release(together[i]->worker(), *answer);
  }
  return answers;
}

void WorkerHub::Release(const std::string& worker, const v1::CommitPassesResponse& response) {
  absl::MutexLock lock(&mutex_);
  auto it = by_name_.find(worker);
  if (it == by_name_.end()) return;
  auto& held = sessions_[it->second].held;
  for (const auto& outcome : response.outcomes()) {
    auto pass = held.find(outcome.pass().pass_id());
    // A refused result leaves the pass with the worker in the database: Reconcile sees to it.
    if (pass != held.end() && pass->second.epoch == outcome.pass().epoch()) held.erase(pass);
  }
}

std::vector<WorkerHub::SlotGroup> WorkerHub::FreeSlots(
    const std::array<int, 3>& ready) const {
  std::map<std::pair<int, std::vector<std::string>>, SlotGroup> groups;
  auto add = [&](store::Pool pool, std::vector<std::string> offers, const std::string& worker,
                 const std::string& device, int n) {
    const int of_pool = static_cast<int>(pool);
    auto& group = groups[{of_pool, offers}];
    group.pool = pool;
    group.offers = std::move(offers);
    n = std::min(n, ready[of_pool] - static_cast<int>(group.slots.size()));
    for (; n > 0; --n) group.slots.push_back({worker, device});
  };
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, session] : sessions_) {
    if (session.draining) continue;
    int cpu = static_cast<int>(session.info.cpu_slots());
    std::set<std::string> busy;
    for (const auto& [pass_id, held] : session.held) {
      if (held.device.empty()) {
        --cpu;
      } else {
        busy.insert(held.device);
      }
    }
    if (cpu > 0 && ready[static_cast<int>(store::Pool::kCpu)] > 0)
      add(store::Pool::kCpu, job::SlotOffers(session.info), session.info.name(), "", cpu);
    if (ready[static_cast<int>(store::Pool::kDevice)] == 0) continue;
    for (const auto& device : session.info.devices())
      if (device.unhealthy().empty() && !busy.contains(device.name()))
        add(store::Pool::kDevice, job::DeviceOffers(session.info, device), session.info.name(),
            device.name(), 1);
  }
  std::vector<SlotGroup> list;
  for (auto& [key, group] : groups)
    if (!group.slots.empty()) list.push_back(std::move(group));
  return list;
}

absl::StatusOr<int> WorkerHub::HandOut() {
  absl::MutexLock moving(&moving_);
  ASSIGN_OR_RETURN(auto ready, queue_->ReadyCounts());
  if (ready[0] + ready[1] == 0) return 0;
  int given = 0;
  for (auto& group : FreeSlots(ready)) {
    const int pool = static_cast<int>(group.pool);
    if (ready[pool] <= 0) continue;
    if (static_cast<int>(group.slots.size()) > ready[pool]) group.slots.resize(ready[pool]);
    ASSIGN_OR_RETURN(const auto claimed, queue_->Claim(group.pool, group.offers, group.slots));
    ready[pool] -= static_cast<int>(claimed.size());
    given += static_cast<int>(claimed.size());
    Give(claimed);
  }
  return given;
}

void WorkerHub::Give(const std::vector<store::QueueStore::Claimed>& claimed) {
  std::map<int64_t, Delivery> deliveries;  // by session
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& claim : claimed) {
      const auto& pass = claim.assignment.pass();
      auto it = by_name_.find(claim.worker);
      if (it == by_name_.end()) continue;  // gone meanwhile: sent when it attaches again
      Session& session = sessions_[it->second];
      session.held[pass.pass_id()] = {pass.epoch(), claim.assignment.job_id(),
                                      claim.assignment.device(), "", false};
      auto& delivery = deliveries[it->second];
      delivery.send = session.send;
      *delivery.state.add_start() = claim.assignment;
      spdlog::debug("pass given job={} task={} pass={} epoch={} worker={} device={}",
                    claim.assignment.job_id(), claim.assignment.task(), pass.pass_id(),
                    pass.epoch(), claim.worker, claim.assignment.device());
    }
  }
  for (const auto& [id, delivery] : deliveries) (*delivery.send)(delivery.state);
}

absl::Status WorkerHub::Reconcile(bool all) {
  absl::MutexLock moving(&moving_);
  std::vector<std::string> names;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, session] : sessions_)
      if (all || !session.held.empty()) names.push_back(session.info.name());
  }
  if (names.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto holdings, queue_->Holdings(names));
  std::map<std::string, std::map<int64_t, int64_t>> truth;
  for (const auto& holding : holdings) truth[holding.worker][holding.pass_id] = holding.epoch;
  std::vector<int64_t> again;
  std::vector<Delivery> stops;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& name : names) {
      auto it = by_name_.find(name);
      if (it == by_name_.end()) continue;
      Session& session = sessions_[it->second];
      const auto& rows = truth[name];
      Delivery delivery{session.send, {}};
      for (auto held = session.held.begin(); held != session.held.end();) {
        const auto row = rows.find(held->first);
        if (row != rows.end() && row->second == held->second.epoch) {
          ++held;
          continue;
        }
        *delivery.state.add_stop() = Ref(held->first, held->second.epoch);
        session.held.erase(held++);
      }
      for (const auto& [pass_id, epoch] : rows)
        if (!session.held.contains(pass_id)) again.push_back(pass_id);
      if (delivery.state.stop_size() > 0) stops.push_back(std::move(delivery));
    }
  }
  for (const auto& delivery : stops) (*delivery.send)(delivery.state);
  if (!again.empty()) {
    ASSIGN_OR_RETURN(const auto claimed, queue_->Assignments(again));
    Give(claimed);
  }
  return absl::OkStatus();
}

absl::Status WorkerHub::RenewLeases() {
  std::vector<std::string> names;
  {
    absl::MutexLock lock(&mutex_);
    names.swap(to_renew_);
  }
  if (names.empty()) return absl::OkStatus();
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (absl::Status status = queue_->Renew(names, options_.lease_s); !status.ok()) {
    absl::MutexLock lock(&mutex_);
    to_renew_.insert(to_renew_.end(), names.begin(), names.end());
    return status;
  }
  // Only now: the worker's own deadline never lies after the database's.
  v1::DesiredState renewed;
  renewed.set_lease_s(options_.lease_s);
  std::vector<std::shared_ptr<const Send>> sends;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& name : names)
      if (auto it = by_name_.find(name); it != by_name_.end())
        sends.push_back(sessions_[it->second].send);
  }
  for (const auto& send : sends) (*send)(renewed);
  return absl::OkStatus();
}

int WorkerHub::attached() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(sessions_.size());
}

}  // namespace sextant::dispatch
