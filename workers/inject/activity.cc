// The instrument `activity`: what the GPU did and when, by CUPTI's activity records.
#include "workers/inject/instruments.h"

namespace sextant::inject {
namespace {

bool Start(Session& session) {
  if (session.cupti.cuptiActivityEnable == nullptr) {
    session.file.Fail("CUPTI at " + session.cupti.path + " has no activity records");
    return false;
  }
  return true;
}

void Stop(Session& session) {}

}  // namespace

const Instrument kActivity = {"activity", Start, Stop, nullptr, true};

}  // namespace sextant::inject
