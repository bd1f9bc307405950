#include "server/store/faults.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace sextant::store {
namespace {

bool Matches(absl::string_view pattern, absl::string_view point) {
  if (absl::ConsumePrefix(&pattern, "*")) return absl::EndsWith(point, pattern);
  return pattern == point;
}

}  // namespace

absl::StatusOr<Faults::Fault> Faults::ParseOne(absl::string_view spec) {
  auto wrong = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(
        "fault \"", spec, "\": ", why, "; write POINT=ACTION[@N] with ACTION one of crash, error, "
        "drop, drop-after, pause-MS"));
  };
  const size_t equals = spec.find('=');
  if (equals == absl::string_view::npos || equals == 0) return wrong("has no POINT=");
  Fault fault;
  fault.point = std::string(spec.substr(0, equals));
  absl::string_view action = spec.substr(equals + 1);
  if (const size_t at = action.rfind('@'); at != absl::string_view::npos) {
    if (!absl::SimpleAtoi(action.substr(at + 1), &fault.only_hit) || fault.only_hit < 1)
      return wrong("the number after @ must be 1 or more");
    action = action.substr(0, at);
  }
  absl::string_view pause = action;
  if (action == "crash") {
    fault.action = Action::kCrash;
  } else if (action == "error") {
    fault.action = Action::kError;
  } else if (action == "drop") {
    fault.action = Action::kDrop;
  } else if (action == "drop-after") {
    fault.action = Action::kDropAfter;
  } else if (absl::ConsumePrefix(&pause, "pause-")) {
    fault.action = Action::kPause;
    if (!absl::SimpleAtoi(pause, &fault.pause_ms) || fault.pause_ms < 0)
      return wrong("pause- needs milliseconds");
  } else {
    return wrong("no such action");
  }
  return fault;
}

absl::StatusOr<std::unique_ptr<Faults>> Faults::Parse(const std::vector<std::string>& specs) {
  std::vector<Fault> parsed;
  for (const std::string& spec : specs) {
    absl::StatusOr<Fault> fault = ParseOne(spec);
    if (!fault.ok()) return fault.status();
    parsed.push_back(*std::move(fault));
  }
  auto faults = std::make_unique<Faults>();
  absl::MutexLock lock(&faults->mutex_);
  faults->faults_ = std::move(parsed);
  return faults;
}

Faults::Effect Faults::At(absl::string_view point) {
  Effect effect = Effect::kNone;
  int64_t pause_ms = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (Fault& fault : faults_) {
      if (!Matches(fault.point, point)) continue;
      ++fault.hits;
      if (fault.only_hit != 0 && fault.hits != fault.only_hit) continue;
      ++happened_;
      switch (fault.action) {
        case Action::kCrash:
          kill(getpid(), SIGKILL);
          break;
        case Action::kError:
          effect = Effect::kError;
          break;
        case Action::kDrop:
          effect = Effect::kDrop;
          break;
        case Action::kDropAfter:
          effect = Effect::kDropAfter;
          break;
        case Action::kPause:
          pause_ms += fault.pause_ms;
          break;
      }
    }
  }
  if (pause_ms > 0) absl::SleepFor(absl::Milliseconds(pause_ms));
  return effect;
}

absl::Status Faults::Hit(absl::string_view point) {
  if (At(point) == Effect::kNone) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("fault at ", point));
}

int64_t Faults::happened() const {
  absl::MutexLock lock(&mutex_);
  return happened_;
}

}  // namespace sextant::store
