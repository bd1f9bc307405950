#include "workers/backends/activity/importer.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"
#include "workers/backends/activity/labels.h"
#include "workers/inject/kernels.h"

namespace sextant::backends::activity {
namespace {

constexpr char kOther[] = "(other names)";
constexpr size_t kMaxOpenRanges = 1u << 20;

}  // namespace

Importer::Importer(const std::string& kernels, uint64_t began_ns, ImportLimits limits)
    : began_ns_(began_ns), limits_(limits), launches_(kernels, began_ns) {}

uint32_t Importer::RegionOf(std::string_view name) {
  const auto found = regions_.find(absl::string_view(name.data(), name.size()));
  if (found != regions_.end()) return found->second;
  // The last place is kept for all that have none.
  if (out_.trace.regions.size() + 1 >= limits_.max_regions && name != kOther) {
    return RegionOf(kOther);
  }
  const uint32_t region = static_cast<uint32_t>(out_.trace.regions.size());
  out_.trace.regions.emplace_back(name);
  regions_.emplace(std::string(name), region);
  return region;
}

void Importer::Add(Kind kind, uint32_t context, uint32_t id, std::string_view region,
                   uint64_t start_ns, uint64_t end_ns) {
  if (end_ns < start_ns || end_ns >= chunk::kMaxTime) {
    ++malformed_;
    return;
  }
  const TrackKey key = {process_, kind, context, id};
  auto track = tracks_.find(key);
  if ((track == tracks_.end() && tracks_.size() >= limits_.max_tracks) ||
      out_.instances.size() >= limits_.max_instances) {
    ++over_limit_;
    return;
  }
  if (track == tracks_.end()) {
    track = tracks_.emplace(key, static_cast<uint32_t>(tracks_.size())).first;
  }
  // The GPU's times are fitted to the CPU's clock: an early one may come out before the begin.
  if (start_ns < began_ns_) ++before_begin_;
  out_.instances.push_back({.track = track->second,
                            .region = RegionOf(region),
                            .start = std::max(start_ns, began_ns_) - began_ns_,
                            .duration = end_ns - start_ns});
}

void Importer::Take(const injected::Process& process, uint32_t type, std::string_view payload) {
  launches_.Take(process, type, payload);
  switch (type) {
    case inject::kKernels:
      injected::ForRecords<inject::KernelRecord>(payload, [&](const auto& record) {
        if (record.start_ns == 0 || record.end_ns == 0) return;
        ++out_.kernels;
        std::string& name = names_[record.name];
        if (name.empty()) name = inject::Demangle(process.Text(record.name).c_str());
        Add(Kind::kStream, record.context, record.stream, name, record.start_ns, record.end_ns);
      });
      return;
    case inject::kCopies:
      injected::ForRecords<inject::CopyRecord>(payload, [&](const auto& record) {
        if (record.start_ns == 0 || record.end_ns == 0) return;
        Add(Kind::kStream, record.context, record.stream, CopyRegion(record.kind), record.start_ns,
            record.end_ns);
        if (copies_.size() < table::kMaxRows) copies_.push_back({record, process_});
      });
      return;
    case inject::kApiCalls:
      injected::ForRecords<inject::ApiRecord>(payload, [&](const auto& record) {
        const std::string_view name = ApiRegion(process.Text(record.name));
        Add(Kind::kApi, 0, record.thread, name, record.start_ns, record.end_ns);
        if (IsLaunch(name)) launched_ns_[{process_, record.correlation}] = record.start_ns;
      });
      return;
    case inject::kSyncs:
      injected::ForRecords<inject::SyncRecord>(payload, [&](const auto& record) {
        Add(Kind::kWaiting, 0, 0, WaitRegion(record.type), record.start_ns, record.end_ns);
      });
      return;
    case inject::kMarkers:
      injected::ForRecords<inject::MarkerRecord>(payload, [&](const auto& record) {
        if (markers_.size() < limits_.max_instances) markers_.push_back(record);
      });
      return;
    default:
      return;
  }
}

void Importer::TakeMarker(const injected::Process& process, const inject::MarkerRecord& record) {
  const auto name_of = [&](uint32_t id) -> std::string_view {
    const std::string& text = process.Text(id);
    return text.empty() ? "(unnamed)" : std::string_view(text);
  };
  switch (record.kind) {
    case inject::kInstant:
      Add(Kind::kNvtxThread, 0, record.thread, name_of(record.name), record.at_ns, record.at_ns);
      return;
    case inject::kBegin:
      if (ranges_.size() < kMaxOpenRanges) {
        ranges_[record.id] = {record.at_ns, record.name, record.thread};
      }
      return;
    case inject::kEnd: {
      const auto begin = ranges_.find(record.id);
      if (begin == ranges_.end()) return;
      const Range range = begin->second;
      ranges_.erase(begin);
      // One that ended elsewhere nests with no thread's calls.
      const bool same = range.thread == record.thread;
      Add(same ? Kind::kNvtxThread : Kind::kNvtx, 0, same ? range.thread : 0, name_of(range.name),
          range.begin_ns, record.at_ns);
      return;
    }
    default:
      ++malformed_;
  }
}

void Importer::EndProcess(const injected::Process& process) {
  launches_.EndProcess(process);
  // Buffers of threads come in any order; a begin and its end need not be in one.
  std::stable_sort(markers_.begin(), markers_.end(),
                   [](const auto& a, const auto& b) { return a.at_ns < b.at_ns; });
  for (const inject::MarkerRecord& marker : markers_) TakeMarker(process, marker);
  markers_.clear();
  processes_.push_back(
      {process.header.opened_monotonic_ns, process.header.pid, process.header.program});
  open_ranges_ += ranges_.size();
  ranges_.clear();
  names_.clear();
  ++process_;
}

std::vector<uint32_t> Importer::ProcessOrder() const {
  std::vector<uint32_t> by_begin(processes_.size());
  std::iota(by_begin.begin(), by_begin.end(), 0);
  std::sort(by_begin.begin(), by_begin.end(), [this](uint32_t a, uint32_t b) {
    const Began &x = processes_[a], &y = processes_[b];
    return std::tie(x.opened_ns, x.pid) < std::tie(y.opened_ns, y.pid);
  });
  std::vector<uint32_t> order(processes_.size());
  for (uint32_t i = 0; i < by_begin.size(); ++i) order[by_begin[i]] = i;
  return order;
}

void Importer::NumberTracks(Imported* out) {
  const std::vector<uint32_t> order = ProcessOrder();
  // Contexts of a process that have streams, and threads in order of their ids.
  std::map<uint32_t, std::map<uint32_t, bool>> contexts;
  std::map<uint32_t, std::map<uint32_t, uint32_t>> threads;
  for (const auto& [key, number] : tracks_) {
    const auto& [process, kind, context, id] = key;
    if (kind == Kind::kStream) contexts[process][context] = true;
    if (kind == Kind::kApi || kind == Kind::kNvtxThread) threads[process][id] = 0;
  }
  for (auto& [process, ids] : threads) {
    uint32_t next = 0;
    for (auto& [id, number] : ids) number = next++;
  }
  std::map<std::string, uint32_t> roles;
  std::vector<std::pair<TrackKey, uint32_t>> sorted(tracks_.begin(), tracks_.end());
  std::sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
    TrackKey x = a.first, y = b.first;
    std::get<0>(x) = order[std::get<0>(x)];
    std::get<0>(y) = order[std::get<0>(y)];
    return x < y;
  });
  std::vector<uint32_t> renumbered(tracks_.size());
  std::map<uint32_t, uint32_t> next_warp;
  for (const auto& [key, number] : sorted) {
    const auto& [process, kind, context, id] = key;
    std::string role;
    switch (kind) {
      case Kind::kStream:
        role = contexts[process].size() > 1 ? absl::StrCat("context ", context, " stream ", id)
                                            : absl::StrCat("stream ", id);
        break;
      case Kind::kApi:
        role = absl::StrCat("api thread ", threads[process][id]);
        break;
      case Kind::kNvtxThread:
        role = absl::StrCat("nvtx thread ", threads[process][id]);
        break;
      case Kind::kNvtx:
        role = "nvtx";
        break;
      case Kind::kWaiting:
        role = "waiting";
        break;
    }
    auto named = roles.find(role);
    if (named == roles.end()) {
      if (out->trace.roles.size() + 1 >= limits_.max_regions) {
        named = roles.emplace("(other tracks)", out->trace.roles.size()).first;
      } else {
        named = roles.emplace(role, out->trace.roles.size()).first;
      }
      if (named->second == out->trace.roles.size()) out->trace.roles.push_back(named->first);
    }
    renumbered[number] = static_cast<uint32_t>(out->trace.tracks.size());
    const uint32_t launch = order[process];
    out->trace.tracks.push_back(
        {.launch = launch, .warp = next_warp[launch]++, .role = named->second});
  }
  for (chunk::Instance& instance : out->instances) instance.track = renumbered[instance.track];
}

v1::DataTable Importer::CopyTable(const std::vector<uint32_t>& order) const {
  table::Builder table("copies");
  const auto process = table.Int("process");
  const auto kind = table.Text("kind");
  const auto device = table.Int("device");
  const auto context = table.Int("context");
  const auto stream = table.Int("stream");
  const auto graph_node = table.Int("graph_node");
  const auto correlation = table.Int("correlation");
  const auto start = table.Int("start_ns", "ns");
  const auto end = table.Int("end_ns", "ns");
  const auto duration = table.Int("duration_ns", "ns");
  const auto size = table.Int("size_bytes", "bytes");
  for (const Copy& copy : copies_) {
    const inject::CopyRecord& record = copy.record;
    if (record.end_ns < record.start_ns || record.end_ns >= chunk::kMaxTime) continue;
    table.Set(process, order[copy.process]);
    table.Set(kind, CopyName(record.kind));
    table.Set(device, record.device);
    table.Set(context, record.context);
    table.Set(stream, record.stream);
    table.Set(graph_node, static_cast<int64_t>(record.graph_node));
    table.Set(correlation, record.correlation);
    table.Set(start, static_cast<int64_t>(record.start_ns - began_ns_));
    table.Set(end, static_cast<int64_t>(record.end_ns - began_ns_));
    table.Set(duration, static_cast<int64_t>(record.end_ns - record.start_ns));
    table.Set(size, static_cast<int64_t>(record.bytes));
    table.EndRow();
  }
  return table.Finish();
}

void Importer::Count(Imported* out) const {
  // One kernel may have several codes; counters are by name.
  std::map<std::string, std::pair<uint64_t, uint64_t>> sums;
  for (const injected::Kernel& kernel : launches_.kernels()) {
    auto& [launches, duration_ns] = sums[kernel.name];
    launches += kernel.launches;
    duration_ns += kernel.duration_ns;
  }
  for (const auto& of : sums) {
    if (out->counters.size() + 2 > limits_.max_counters) return;
    const auto add = [&](const char* name, const char* unit, uint64_t value) {
      v1::Counter& counter = out->counters.emplace_back();
      counter.set_name(name);
      counter.set_unit(unit);
      counter.set_kernel(of.first);
      counter.set_value(static_cast<double>(value));
      counter.set_instances(of.second.first);
    };
    add("launches", "events", of.second.first);
    add("kernel_time", "ns", of.second.second);
  }
}

// Notes on kernels that never ended, on what was left out, and why there is nothing.
void Importer::Explain(Imported* out) const {
  // What ended later on a stream says that all before it ended too.
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint32_t> last_ended;
  const auto stream_of = [](const injected::Launch& launch) {
    return std::make_tuple(launch.process, launch.record.context, launch.record.stream);
  };
  for (const injected::Launch& launch : launches_.launches()) {
    uint32_t& last = last_ended[stream_of(launch)];
    if (launch.ended) last = std::max(last, launch.record.correlation);
  }
  size_t running = 0, unknown = 0;
  for (const injected::Launch& launch : launches_.launches()) {
    if (launch.ended) continue;
    if (last_ended[stream_of(launch)] > launch.record.correlation) {
      ++unknown;
      continue;
    }
    if (++running > limits_.max_running_named) continue;
    // Launches carry the order of begin; calls were taken in the order of files.
    const auto called = launched_ns_.find({launch.taken, launch.record.correlation});
    const std::string since =
        called == launched_ns_.end()
            ? ""
            : absl::StrCat(", launched ", (called->second - began_ns_) / 1'000'000,
                           " ms after the begin");
    out->notes.push_back(absl::StrCat("launch ", launch.number, " of ",
                                      launches_.kernels()[launch.kernel].name,
                                      " had not ended when its process did", since));
  }
  if (running > limits_.max_running_named) {
    out->notes.push_back(absl::StrCat(running, " launches in all had not ended"));
  }
  if (unknown > 0) {
    out->notes.push_back(absl::StrCat(
        unknown,
        " launches ran longer than the instrument waits for one; when they ended is not known"));
  }
  const uint64_t left_out = over_limit_ + launches_.left_out();
  if (left_out > 0) {
    out->notes.push_back(absl::StrCat(left_out, " records were left out: a pass may hold ",
                                      limits_.max_instances, " instances on ", limits_.max_tracks,
                                      " tracks. Record less: light=1, or api=0"));
  }
  if (malformed_ + launches_.malformed() > 0) {
    out->notes.push_back(absl::StrCat(malformed_, " records had impossible times"));
  }
  if (before_begin_ > 0) {
    out->notes.push_back(absl::StrCat(
        before_begin_, " records began before the program did, by the clocks; they count as 0"));
  }
  if (open_ranges_ > 0) {
    out->notes.push_back(absl::StrCat(open_ranges_, " NVTX ranges never ended"));
  }
  out->nothing = launches_.WhyNone();
}

Imported Importer::Finish() {
  launches_.Finish();
  NumberTracks(&out_);
  if (out_.trace.roles.empty()) out_.trace.roles.push_back("");
  const std::vector<uint32_t> order = ProcessOrder();
  for (uint32_t process = 0; process < order.size(); ++process) {
    if (order[process] != 0) continue;
    const std::string& program = processes_[process].program;
    out_.trace.kernel = program.substr(program.rfind('/') + 1);
  }
  out_.tables.push_back(launches_.LaunchTable());
  out_.tables.push_back(launches_.KernelTable());
  if (!copies_.empty()) out_.tables.push_back(CopyTable(order));
  Count(&out_);
  Explain(&out_);
  out_.dropped = over_limit_ + launches_.left_out();
  return std::move(out_);
}

}  // namespace sextant::backends::activity
