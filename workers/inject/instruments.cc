#include "workers/inject/instruments.h"

#include <string>

namespace sextant::inject {

const Instrument kInstruments[] = {
    kActivity,
    kIr,
    kCounters,
    kPcSampling,
    kSassMetrics,
    kPmSampling,
    {},
};

bool Session::Check(CUptiResult result, const char* what) {
  if (result == CUPTI_SUCCESS) return true;
  file.Fail(std::string(what) + ": " + ResultText(cupti, result));
  return false;
}

bool Session::Enable(CUpti_CallbackDomain domain, CUpti_CallbackId id) {
  return Check(cupti.cuptiEnableCallback(1, subscriber, domain, id), "cuptiEnableCallback");
}

}  // namespace sextant::inject
