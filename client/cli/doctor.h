// What this machine can and cannot do. Each check looks at one thing and says what was found.
#pragma once

#include <string>
#include <vector>

#include "client/cli/context.h"

namespace sextant::cli {

enum class Health { kOk, kLimited, kMissing };

struct Finding {
  std::string name;
  Health health = Health::kOk;
  std::string detail;
  std::string remedy;      // what to do, when it is not ok
  bool required = false;   // without it the service cannot run here
};

std::vector<Finding> CheckPrograms(Context& context);
std::vector<Finding> CheckSandbox(Context& context);
// `arguments` are those the worker of this machine is started with.
std::vector<Finding> CheckMeasuring(Context& context, const std::vector<std::string>& arguments);
std::vector<Finding> CheckResources(Context& context);
// The service meant: whether it answers, what its certificate says, for whom it takes the caller.
std::vector<Finding> CheckService(Context& context);
// Its GPUs with what there is for passes on them; empty: no GPU.
std::vector<Finding> ReadGpus(const std::string& json);
// What `sextant-worker --probe` printed, as findings: one per backend, and the sandbox it would use.
std::vector<Finding> ReadProbe(const std::string& json);

}  // namespace sextant::cli
