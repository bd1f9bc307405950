// Named sets of passes that a job can be submitted with: the questions of the backend `auto`, from which the
// service chooses passes for what its workers offer.
#pragma once

#include <vector>

#include "client/mcp/json.h"
#include "client/mcp/scope.h"

namespace sextant::mcp {

struct Preset {
  const char* name;
  const char* answers;   // when to choose it
};

const std::vector<Preset>& Presets();
std::string PresetNames();   // "quick, bottleneck, …"

// A pass of the backend `auto`; budget_s 0: no bound.
v1::PassSpec PresetPass(const std::string& name, double budget_s);

// Each with the passes this service would run of a program that it does not know, and what they cost in
// run times of that program. Without passes where the service does not answer.
Json DescribePresets(Scope& scope);

}  // namespace sextant::mcp
