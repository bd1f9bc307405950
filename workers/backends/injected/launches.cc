#include "workers/backends/injected/launches.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/chunk/chunk.h"
#include "proto/occupancy/occupancy.h"
#include "proto/table/table.h"
#include "workers/inject/cubin.h"

namespace sextant::backends::injected {
namespace {

constexpr size_t kMaxUnmatchedNames = 16;
constexpr size_t kMaxCodesOfName = 4096;
constexpr size_t kMaxDevices = 1024;

// Times that a recorder could have written.
bool Plausible(const inject::KernelRecord& record) {
  return record.start_ns <= record.end_ns && record.end_ns < chunk::kMaxTime;
}

std::tuple<uint32_t, uint64_t> KeyOf(const inject::KernelRecord& record) {
  return {record.correlation, record.graph_node};
}

occupancy::Multiprocessor MultiprocessorOf(const inject::DeviceRecord& device) {
  return {.major = device.major,
          .minor = device.minor,
          .warp_threads = device.warp_threads,
          .max_warps = device.max_warps,
          .max_blocks = device.max_blocks,
          .max_registers = device.max_registers,
          .max_shared_bytes = device.max_shared_bytes,
          .max_block_registers = device.max_block_registers,
          .max_block_threads = device.max_block_threads};
}

uint64_t ThreadsOf(const inject::KernelRecord& record) {
  // Three sides of a block cannot multiply to more than a few thousand; hostile ones are cut.
  uint64_t threads = 1;
  for (const uint32_t side : record.block) threads *= std::min<uint64_t>(side, 65536);
  return threads;
}

}  // namespace

Launches::Launches(const std::string& kernels, uint64_t began_ns, LaunchLimits limits)
    : expression_(kernels), began_ns_(began_ns), limits_(limits) {
  std::string why;
  filter_.SetFilter(kernels, &why);
}

bool Launches::Take(const Process& process, uint32_t type, std::string_view payload) {
  switch (type) {
    case inject::kKernels:
      ForRecords<inject::KernelRecord>(payload, [&](const auto& record) { TakeKernel(record); });
      return true;
    case inject::kLaunched:
      ForRecords<inject::LaunchedRecord>(payload, [&](const auto& record) {
        if (launched_.size() < limits_.max_launches) launched_[record.correlation] = record;
      });
      return true;
    case inject::kDevices:
      ForRecords<inject::DeviceRecord>(payload, [&](const auto& record) {
        if (devices_.size() >= kMaxDevices) return;
        devices_[record.device] = record;
        device_names_[record.device] = process.Text(record.name);
      });
      return true;
    default:
      return false;
  }
}

void Launches::TakeKernel(const inject::KernelRecord& record) {
  if (record.start_ns == 0 || record.end_ns == 0) {
    if (running_.size() < limits_.max_launches) running_.push_back(record);
    return;
  }
  if (!Plausible(record)) {
    ++malformed_;
    return;
  }
  if (taken_ >= limits_.max_launches) {
    ++left_out_;
    return;
  }
  ++taken_;
  ended_.push_back(record);
}

bool Launches::Matches(const std::string& demangled) {
  const auto [known, added] = matches_.emplace(demangled, false);
  if (added) known->second = filter_.Matches(demangled);
  return known->second;
}

void Launches::EndProcess(const Process& process) {
  codes_.clear();
  demangled_.clear();
  std::map<uint32_t, const inject::ModuleRecord*> modules;
  for (const inject::ModuleRecord& module : process.modules) modules[module.module] = &module;
  for (const inject::FunctionRecord& function : process.functions) {
    const auto module = modules.find(function.module);
    std::vector<Code>& codes = codes_[function.name];
    if (module == modules.end() || codes.size() >= kMaxCodesOfName) continue;
    codes.push_back(
        {function, module->second->loaded_monotonic_ns,
         inject::Hex(module->second->cubin_digest, sizeof(module->second->cubin_digest))});
  }

  Pending pending;
  pending.opened_ns = process.header.opened_monotonic_ns;
  pending.pid = process.header.pid;
  pending.taken = static_cast<uint32_t>(processes_.size());
  const auto before = [](const auto& a, const auto& b) { return KeyOf(a) < KeyOf(b); };
  std::sort(ended_.begin(), ended_.end(), before);
  // Those that ended after all are no longer running.
  std::sort(running_.begin(), running_.end(), before);
  const auto same = [](const auto& a, const auto& b) { return KeyOf(a) == KeyOf(b); };
  running_.erase(std::unique(running_.begin(), running_.end(), same), running_.end());
  std::erase_if(running_, [&](const inject::KernelRecord& record) {
    return std::binary_search(ended_.begin(), ended_.end(), record, before);
  });
  for (auto* records : {&ended_, &running_}) {
    for (inject::KernelRecord& record : *records) {
      if (record.registers == 0) AddFacts(CodeOf(record), &record);
      std::string& name = demangled_[record.name];
      if (name.empty()) name = inject::Demangle(process.Text(record.name).c_str());
      if (!Matches(name)) {
        ++unmatched_launches_;
        if (unmatched_.size() < kMaxUnmatchedNames || unmatched_.contains(name)) {
          ++unmatched_[name];
        }
        continue;
      }
      const uint32_t kernel = KernelOf(process, record);
      const bool ended = records == &ended_;
      ++kernels_[kernel].launches;
      if (ended) kernels_[kernel].duration_ns += record.end_ns - record.start_ns;
      pending.launches.push_back({.record = record, .kernel = kernel, .ended = ended});
    }
  }
  processes_.push_back(std::move(pending));
  ended_.clear();
  running_.clear();
  launched_.clear();
}

const Launches::Code* Launches::CodeOf(const inject::KernelRecord& record) const {
  const auto found = codes_.find(record.name);
  if (found == codes_.end() || found->second.empty()) return nullptr;
  const std::vector<Code>& codes = found->second;
  if (const auto launched = launched_.find(record.correlation); launched != launched_.end()) {
    for (const Code& code : codes) {
      if (code.function.module == launched->second.module &&
          code.function.symbol == launched->second.symbol) {
        return &code;
      }
    }
  }
  // Else the one that was loaded last when it started.
  const Code* last = &codes.front();
  for (const Code& code : codes) {
    if (record.start_ns == 0 || code.loaded_ns <= record.start_ns) last = &code;
  }
  return last;
}

// CUPTI leaves the size in its record 0 where the driver sizes local memory once for all.
uint32_t Launches::LocalBytes(const inject::KernelRecord& record, const Code* code) {
  if (code == nullptr || code->function.frame_bytes < 0) return record.local_bytes;
  return std::max(record.local_bytes, static_cast<uint32_t>(code->function.frame_bytes));
}

// What times launches by events knows no more than the call says; the cubin says the rest.
void Launches::AddFacts(const Code* code, inject::KernelRecord* record) {
  if (code == nullptr) return;
  record->registers = static_cast<uint16_t>(std::clamp(code->function.registers, 0, 0xffff));
  record->static_shared_bytes = static_cast<uint32_t>(std::max(0, code->function.shared_bytes));
}

uint32_t Launches::KernelOf(const Process& process, const inject::KernelRecord& record) {
  const Code* const code = CodeOf(record);
  const std::string digest =
      code != nullptr ? inject::Hex(code->function.sass_digest, sizeof(code->function.sass_digest))
                      : kNoDigest;
  const std::string& mangled = process.Text(record.name);
  const std::string key = absl::StrCat(mangled, " ", digest);
  const auto found = kernel_index_.find(key);
  if (found != kernel_index_.end()) return found->second;
  const bool room = kernels_.size() < limits_.max_kernels;
  if (!room) return static_cast<uint32_t>(kernels_.size() - 1);
  kernel_index_[key] = static_cast<uint32_t>(kernels_.size());
  kernels_.push_back({.name = demangled_[record.name],
                      .mangled = mangled,
                      .sass_digest = digest,
                      .cubin_digest = code != nullptr ? code->cubin_digest : kNoDigest,
                      .registers = record.registers,
                      .static_shared_bytes = record.static_shared_bytes,
                      .local_bytes = LocalBytes(record, code),
                      .max_threads = code != nullptr ? code->function.max_threads : -1});
  return static_cast<uint32_t>(kernels_.size() - 1);
}

void Launches::Finish() {
  std::sort(processes_.begin(), processes_.end(), [](const Pending& a, const Pending& b) {
    return std::tie(a.opened_ns, a.pid) < std::tie(b.opened_ns, b.pid);
  });
  for (uint32_t process = 0; process < processes_.size(); ++process) {
    std::vector<Launch>& launches = processes_[process].launches;
    std::sort(launches.begin(), launches.end(),
              [](const Launch& a, const Launch& b) { return KeyOf(a.record) < KeyOf(b.record); });
    int64_t number = 0;
    for (Launch& launch : launches) {
      launch.process = process;
      launch.pid = processes_[process].pid;
      launch.taken = processes_[process].taken;
      launch.number = number++;
      launches_.push_back(launch);
    }
  }
  processes_.clear();
}

std::string Launches::WhyNone() const {
  if (!launches_.empty()) return "";
  if (unmatched_launches_ == 0) return "the program started CUDA, but no kernel ran";
  std::vector<std::string> names;
  for (const auto& [name, count] : unmatched_) names.push_back(name.substr(0, 120));
  return absl::StrCat("none of the ", unmatched_launches_,
                      " launches was of a kernel that matches \"", expression_, "\"; there were ",
                      absl::StrJoin(names, ", "));
}

v1::DataTable Launches::LaunchTable() const {
  table::Builder table("launches");
  const auto launch = table.Int("launch");
  const auto process = table.Int("process");
  const auto kernel = table.Text("kernel");
  const auto mangled = table.Text("mangled");
  const auto device = table.Int("device");
  const auto context = table.Int("context");
  const auto stream = table.Int("stream");
  const auto graph = table.Int("graph");
  const auto graph_node = table.Int("graph_node");
  const auto correlation = table.Int("correlation");
  const auto start = table.Int("start_ns", "ns");
  const auto end = table.Int("end_ns", "ns");
  const auto duration = table.Int("duration_ns", "ns");
  const table::Builder::IntColumn grid[] = {table.Int("grid_x"), table.Int("grid_y"),
                                            table.Int("grid_z")};
  const table::Builder::IntColumn block[] = {table.Int("block_x"), table.Int("block_y"),
                                             table.Int("block_z")};
  const table::Builder::IntColumn cluster[] = {table.Int("cluster_x"), table.Int("cluster_y"),
                                               table.Int("cluster_z")};
  const auto registers = table.Int("registers");
  const auto static_shared = table.Int("static_shared_bytes", "bytes");
  const auto dynamic_shared = table.Int("dynamic_shared_bytes", "bytes");
  const auto local = table.Int("local_bytes", "bytes");
  const auto occupancy = table.Number("occupancy_pct", "%");
  const auto limiter = table.Text("occupancy_limiter");
  const auto digest = table.Text("sass_digest");
  for (const Launch& row : launches_) {
    if (!row.ended) continue;
    const inject::KernelRecord& record = row.record;
    table.Set(launch, row.number);
    table.Set(process, row.process);
    table.Set(kernel, kernels_[row.kernel].name);
    table.Set(mangled, kernels_[row.kernel].mangled);
    table.Set(device, record.device);
    table.Set(context, record.context);
    table.Set(stream, record.stream);
    table.Set(graph, record.graph);
    table.Set(graph_node, static_cast<int64_t>(record.graph_node));
    table.Set(correlation, record.correlation);
    // May be negative by the error of the clocks; never cut, so that differences stay exact.
    table.Set(start, static_cast<int64_t>(record.start_ns - began_ns_));
    table.Set(end, static_cast<int64_t>(record.end_ns - began_ns_));
    table.Set(duration, static_cast<int64_t>(record.end_ns - record.start_ns));
    for (int i = 0; i < 3; ++i) {
      table.Set(grid[i], record.grid[i]);
      table.Set(block[i], record.block[i]);
      table.Set(cluster[i], record.cluster[i]);
    }
    table.Set(registers, record.registers);
    table.Set(static_shared, record.static_shared_bytes);
    table.Set(dynamic_shared, record.dynamic_shared_bytes);
    table.Set(local, kernels_[row.kernel].local_bytes);
    table.Set(digest, kernels_[row.kernel].sass_digest);
    const auto of_device = devices_.find(record.device);
    if (of_device != devices_.end()) {
      const occupancy::Occupancy calculated = occupancy::CalculateOccupancy(
          MultiprocessorOf(of_device->second),
          {.threads = ThreadsOf(record),
           .registers = record.registers,
           .shared_bytes = uint64_t{record.static_shared_bytes} + record.dynamic_shared_bytes});
      table.Set(occupancy, calculated.percent);
      table.Set(limiter, NameOf(calculated.limiter));
    }
    table.EndRow();
  }
  return table.Finish();
}

v1::DataTable Launches::KernelTable(const std::map<std::string, KernelFacts>& facts) const {
  table::Builder table("kernels");
  const auto kernel = table.Text("kernel");
  const auto mangled = table.Text("mangled");
  const auto sass_digest = table.Text("sass_digest");
  const auto cubin_digest = table.Text("cubin_digest");
  const auto registers = table.Int("registers");
  const auto spill_store = table.Number("spill_store_bytes", "bytes");
  const auto spill_load = table.Number("spill_load_bytes", "bytes");
  const auto static_shared = table.Int("static_shared_bytes", "bytes");
  const auto local = table.Int("local_bytes", "bytes");
  const auto max_threads = table.Number("max_threads");
  const auto source = table.Text("source");
  const auto options = table.Text("options");
  for (const Kernel& row : kernels_) {
    const auto found = facts.find(row.sass_digest);
    const KernelFacts known = found != facts.end() ? found->second : KernelFacts();
    table.Set(kernel, row.name);
    table.Set(mangled, row.mangled);
    table.Set(sass_digest, row.sass_digest);
    table.Set(cubin_digest, row.cubin_digest);
    table.Set(registers, row.registers);
    table.Set(spill_store, known.spill_store_bytes);
    table.Set(spill_load, known.spill_load_bytes);
    table.Set(static_shared, row.static_shared_bytes);
    table.Set(local, row.local_bytes);
    if (row.max_threads >= 0) table.Set(max_threads, row.max_threads);
    table.Set(source, known.source);
    table.Set(options, known.options);
    table.EndRow();
  }
  return table.Finish();
}

}  // namespace sextant::backends::injected
