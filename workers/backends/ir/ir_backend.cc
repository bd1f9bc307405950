#include "workers/backends/ir/ir_backend.h"

#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/injected/launches.h"
#include "workers/backends/injected/outcome.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/reader.h"
#include "workers/backends/injected/results_tree.h"
#include "workers/backends/ir/code.h"

namespace sextant::backends {
namespace {

constexpr char kName[] = "ir";
constexpr char kKind[] = "ir";
constexpr size_t kMaxKernels = 64;
constexpr uint64_t kMaxSassBytes = 16u << 20;
constexpr int kMaxPrograms = 4;
constexpr char kNvdisasm[] = "bin/nvdisasm";
constexpr char kCuobjdump[] = "bin/cuobjdump";

struct Options {
  bool triton = true;
  bool sass = true;
};

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  for (const auto& [name, value] : spec.options()) {
    if (name != "triton" && name != "sass") {
      return injected::NoSuchOption(kName, name, "triton, sass");
    }
    ASSIGN_OR_RETURN((name == "triton" ? options.triton : options.sass),
                     injected::ParseSwitch(name, value));
  }
  return options;
}

bool HasDisassembler(const Site& site) {
  std::error_code error;
  return !site.cuda.empty() && std::filesystem::exists(site.cuda / kNvdisasm, error) &&
         std::filesystem::exists(site.libraries / "sextant-disassemble", error);
}

// What the cubin and the disassembly tell beyond the launch records.
injected::KernelFacts FactsOf(const ir::Code& code, const injected::ResultsTree& results) {
  injected::KernelFacts facts;
  facts.source = code.triton ? "triton" : "cuda";
  facts.options = code.options;
  if (code.frame_bytes == 0) facts.spill_store_bytes = facts.spill_load_bytes = 0;
  const auto sass = code.forms.find("sass");
  if (code.frame_bytes == 0 || sass == code.forms.end()) return facts;
  const absl::StatusOr<std::string> text = results.Read(sass->second, kMaxSassBytes);
  if (!text.ok()) return facts;
  const ir::LocalTraffic traffic = ir::CountLocal(*text);
  facts.spill_store_bytes = static_cast<double>(traffic.store_bytes);
  facts.spill_load_bytes = static_cast<double>(traffic.load_bytes);
  return facts;
}

// Files of the kernels that took longest, each name once.
void AddFiles(const injected::Launches& launches, const std::map<std::string, ir::Code>& codes,
              const injected::ResultsTree& results, Collected* collected) {
  std::vector<const injected::Kernel*> kernels;
  for (const injected::Kernel& kernel : launches.kernels()) kernels.push_back(&kernel);
  std::stable_sort(kernels.begin(), kernels.end(),
                   [](const auto* a, const auto* b) { return a->duration_ns > b->duration_ns; });
  if (kernels.size() > kMaxKernels) {
    collected->notes.push_back(absl::StrCat("files are of the ", kMaxKernels, " kernels of ",
                                            kernels.size(), " that took longest"));
    kernels.resize(kMaxKernels);
  }
  std::set<std::string> names;
  size_t unknown = 0, without_sass = 0;
  for (const injected::Kernel* kernel : kernels) {
    const auto code = codes.find(kernel->sass_digest);
    if (code == codes.end()) {
      ++unknown;
      continue;
    }
    if (!code->second.forms.contains("sass")) ++without_sass;
    for (const auto& [form, path] : code->second.forms) {
      const std::string name = absl::StrCat(ir::FileStem(kernel->name), ".",
                                            kernel->sass_digest.substr(0, 8), ".", form);
      if (!names.insert(name).second) continue;
      collected->artifacts.push_back({name, kKind, results.Path(path)});
    }
  }
  for (int program = 0; program < kMaxPrograms; ++program) {
    const std::string name = absl::StrCat("ir-program-", program, ".ptx");
    if (results.Has({name})) {
      collected->artifacts.push_back(
          {absl::StrCat("program-", program, ".ptx"), kKind, results.Path({name})});
    }
  }
  if (unknown > 0) {
    collected->notes.push_back(
        absl::StrCat("the code of ", unknown, " kernels that ran was not seen being loaded"));
  }
  if (without_sass > 0) {
    collected->notes.push_back(
        absl::StrCat(without_sass,
                     " kernels were not disassembled: the site has no nvdisasm, the pass ended "
                     "before, or there were too many"));
  }
}

}  // namespace

std::string IrBackend::Name() const { return kName; }

v1::BackendOffer IrBackend::Probe() const {
  v1::BackendOffer offer = injected::ProbeInjection(site_, kName);
  if (HasDisassembler(site_)) offer.add_features("sass");
  return offer;
}

absl::StatusOr<LaunchPlan> IrBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const Options options, ParseOptions(assignment.spec()));
  ASSIGN_OR_RETURN(LaunchPlan plan, injected::PlanInjection(site_, assignment, "activity,ir",
                                                            {{"activity.light", "1"}}));
  if (options.triton) {
    const std::string results = injected::kInsideResults;
    plan.env["TRITON_KERNEL_DUMP"] = "1";
    plan.env["TRITON_DUMP_DIR"] = absl::StrCat(results, "/", ir::kTritonDump);
    plan.env["TRITON_CACHE_DIR"] = absl::StrCat(results, "/", ir::kTritonCache);
    plan.env["TRITON_ALWAYS_COMPILE"] = "1";
  }
  if (options.sass && HasDisassembler(site_)) {
    plan.argv.insert(plan.argv.begin(), {absl::StrCat(kInsideLibraries, "/sextant-disassemble"),
                                         absl::StrCat(injected::kInsideToolkit, "/", kNvdisasm),
                                         absl::StrCat(injected::kInsideToolkit, "/", kCuobjdump)});
  }
  return plan;
}

absl::StatusOr<Collected> IrBackend::Collect(const RunRecord& run) const {
  injected::Launches launches(run.assignment != nullptr ? run.assignment->workload().kernels() : "",
                              run.started_monotonic_ns);
  std::vector<injected::Process> processes;
  std::vector<std::string> notes;
  for (const char* instrument : {"activity", "ir"}) {
    bool truncated = false;
    ASSIGN_OR_RETURN(const std::vector<std::string> files,
                     injected::ListFiles(run.results_dir, instrument, &truncated));
    if (truncated) notes.push_back("there were too many processes; not all were read");
    const bool has_launches = std::string(instrument) == "activity";
    for (const std::string& file : files) {
      absl::StatusOr<injected::Process> process = injected::ReadFile(
          run.results_dir / file,
          [&](const injected::Process& from, uint32_t type, std::string_view payload) {
            if (has_launches) launches.Take(from, type, payload);
          });
      if (!process.ok()) {
        notes.push_back(
            absl::StrCat("results file ", file, " was left out: ", process.status().message()));
        continue;
      }
      if (has_launches) launches.EndProcess(*process);
      processes.push_back(*std::move(process));
    }
  }
  launches.Finish();
  if (launches.launches().empty()) {
    return injected::NothingRecorded(run, processes, launches.WhyNone());
  }
  const injected::ResultsTree results(run.results_dir);
  Collected collected;
  collected.notes = injected::NotesOf(run, processes);
  collected.notes.insert(collected.notes.end(), notes.begin(), notes.end());
  const std::map<std::string, ir::Code> codes = ir::FindCodes(results, &collected.notes);
  std::map<std::string, injected::KernelFacts> facts;
  for (const injected::Kernel& kernel : launches.kernels()) {
    const auto code = codes.find(kernel.sass_digest);
    if (code != codes.end()) facts[kernel.sass_digest] = FactsOf(code->second, results);
  }
  collected.tables.push_back(launches.LaunchTable());
  collected.tables.push_back(launches.KernelTable(facts));
  AddFiles(launches, codes, results, &collected);
  return collected;
}

}  // namespace sextant::backends
