#include "workers/agent/gpu_facts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "workers/agent/files.h"
#include "workers/agent/pass_runner.h"

namespace sextant::agent {
namespace fs = std::filesystem;
namespace {

constexpr double kAskS = 60;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

GpuFact Counters(const fs::path& driver_root) {
  GpuFact fact{"counters"};
  std::ifstream file(driver_root / "proc/driver/nvidia/params");
  std::string value;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "RmProfilingAdminOnly:")) value = line.substr(line.find(':') + 1);
  }
  fact.works = absl::StrContains(value, "0");
  if (fact.works) {
    fact.reason = "open to ordinary users (RmProfilingAdminOnly: 0)";
  } else {
    fact.reason = value.empty() ? "the driver does not say (no RmProfilingAdminOnly in "
                                  "/proc/driver/nvidia/params)"
                                : "for administrators alone (RmProfilingAdminOnly: 1)";
    fact.remedy = "as root: options nvidia NVreg_RestrictProfilingToAdminUsers=0 in "
                  "/etc/modprobe.d/nvidia.conf, then load the driver anew";
  }
  return fact;
}

GpuFact Driver(const gpu::Pool& gpus) {
  const gpu::Gpu& first = gpus.gpus()[0];
  const gpu::DriverFiles& files = gpus.driver_files();
  GpuFact fact{"driver", !files.directory.empty(),
               absl::StrCat(first.driver, ", CUDA ", first.cuda, ", ",
                            files.directory.empty() ? "libcuda.so.1 was not found"
                                                    : files.directory.string())};
  if (!fact.works) fact.remedy = "install the driver's CUDA library, or name --driver-root";
  return fact;
}

GpuFact Toolkit(const backends::Site& site) {
  GpuFact fact{"CUDA toolkit", !site.cuda.empty()};
  if (!fact.works) {
    fact.reason = "none found";
    fact.remedy = "install one, and name it with --cuda if it is not /usr/local/cuda";
    return fact;
  }
  const auto json = nlohmann::json::parse(ReadText(site.cuda / "version.json"), nullptr, false);
  std::string version;
  if (json.is_object() && json.contains("cuda") && json["cuda"].is_object()) {
    version = json["cuda"].value("version", "");
  }
  fact.reason = absl::StrCat(site.cuda.string(), version.empty() ? "" : ", ", version);
  return fact;
}

GpuFact Tool(const backends::Site& site, const std::string& name, const std::string& used_by) {
  GpuFact fact{name};
  std::vector<fs::path> places = site.path;
  if (!site.cuda.empty()) places.push_back(site.cuda / "bin");
  places.insert(places.end(), {"/usr/local/bin", "/usr/bin"});
  if (const auto tool = site.tools.find(name); tool != site.tools.end()) {
    fact.works = ::access(tool->second.c_str(), X_OK) == 0;
    fact.reason = tool->second;
  }
  for (const fs::path& place : places) {
    if (fact.works || ::access((place / name).c_str(), X_OK) != 0) continue;
    fact.works = true;
    fact.reason = (place / name).string();
  }
  if (fact.works) return fact;
  fact.reason = absl::StrCat("not found; ", used_by);
  fact.remedy = absl::StrCat("it comes with the CUDA toolkit; else --tool ", name, "=PATH");
  return fact;
}

// Asks the python3 that programs find inside which of the packages it has, without importing them.
GpuFact Python(const backends::Site& site, sandbox::Sandbox& sandbox) {
  GpuFact fact{"python"};
  char directory[] = "/tmp/sextant-probe-XXXXXX";
  if (mkdtemp(directory) == nullptr) return fact;
  chmod(directory, 0711);
  sandbox::RunSpec spec;
  spec.argv = {"python3", "-c",
               "import importlib.metadata as m, importlib.util as u, platform\n"
               "def v(n):\n"
               "    try: return m.version(n)\n"
               "    except m.PackageNotFoundError: return ''\n"
               "have = [n + ' ' + v(n) for n in ('torch', 'triton') if u.find_spec(n)]\n"
               "if u.find_spec('triton') and u.find_spec('triton.profiler'): have.append('proton')\n"
               "print(platform.python_version() + ' with ' + (', '.join(have) or 'none of torch, triton, proton'))"};
  std::string path = kPath;
  AddSiteTo(site, path, spec);
  spec.env["PATH"] = path;
  spec.limits = FillLimits({});
  spec.limits.set_wall_s(kAskS);
  spec.stdout_path = fs::path(directory) / "out";
  spec.stderr_path = fs::path(directory) / "err";
  spec.name = "ask-python";
  auto running = sandbox.Start(spec);
  if (!running.ok()) {
    fact.reason = std::string(running.status().message());
  } else {
    const v1::ExitReport exit = (*running)->Wait();
    std::string said = ReadText(exit.exit_code() == 0 ? spec.stdout_path : spec.stderr_path);
    while (!said.empty() && said.back() == '\n') said.pop_back();
    fact.works = exit.verdict() == v1::EXITED && exit.exit_code() == 0;
    fact.reason = fact.works ? said : absl::StrCat("python3 does not start inside: ",
                                                   exit.detail().empty() ? said : exit.detail());
  }
  RemoveTree(directory).IgnoreError();
  if (!fact.works) {
    fact.remedy = "--path-prefix DIR names the bin of the Python environment that programs should have";
  }
  return fact;
}

}  // namespace

std::vector<GpuFact> GpuFacts(const backends::Site& site, const gpu::Pool& gpus,
                              sandbox::Sandbox& sandbox) {
  return {Driver(gpus),
          Counters(gpus.options().driver_root),
          Toolkit(site),
          Tool(site, "ncu", "the backend ncu needs it"),
          Tool(site, "compute-sanitizer", "the backend sanitizer needs it"),
          Tool(site, "nvdisasm", "instructions are shown without it, sources and branches less so"),
          Python(site, sandbox)};
}

}  // namespace sextant::agent
