// Programs that backends run on what passes left.
#pragma once

#include "workers/backends/backend.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

// Runs each command in `sandbox`, which is borrowed, as a pass is run, without devices.
backends::RunInside MakeRunInside(sandbox::Sandbox& sandbox);

}  // namespace sextant::agent
