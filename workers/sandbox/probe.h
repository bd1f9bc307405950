// What this machine lets the sandbox do, for `sextant doctor` and for what a worker advertises.
#pragma once

#include <string>
#include <vector>

#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

// One thing that works or does not.
struct SandboxFact {
  std::string name;    // "bubblewrap", "namespaces", "seccomp", "memory", "pids", "cpu",
                       // "perf_software", "perf_hardware"
  bool works = false;
  std::string reason;  // one sentence: how it works, or why it does not
  std::string remedy;  // what to do, when it does not; empty when nothing can be done
};

struct SandboxFacts {
  std::string bwrap_path;
  std::string bwrap_version;
  std::string cgroup;           // "v2", "v1", "none"
  std::vector<std::string> cgroup_controllers;
  int perf_event_paranoid = 99;  // 99: unknown
  std::vector<SandboxFact> facts;

  // Null when there is no such fact.
  const SandboxFact* Find(const std::string& name) const;
};

// Really tries each, by running programs in the sandbox; takes some 50 ms.
SandboxFacts Probe(const SandboxOptions& options = {});

}  // namespace sextant::sandbox
