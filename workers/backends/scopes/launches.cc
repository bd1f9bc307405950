// The half of ScopesImporter that tells launches apart, and its last words.
#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "workers/backends/scopes/importer.h"

namespace sextant::backends::scopes {
namespace {

constexpr uint64_t kClocksApartNs = 5'000;  // of the GPU's clock and the host's, as they were compared

}  // namespace

// A launch has a %gridid of its own, but for the runs of a graph's node, which share one: there a
// warp that comes again belongs to the next run.
void ScopesImporter::FindLaunches() {
  std::vector<uint32_t> by_begin(pending_.size());
  std::iota(by_begin.begin(), by_begin.end(), 0);
  std::sort(by_begin.begin(), by_begin.end(), [this](uint32_t a, uint32_t b) {
    const Pending& x = pending_[a];
    const Pending& y = pending_[b];
    return std::tie(x.slot.begin_timer, a) < std::tie(y.slot.begin_timer, b);
  });
  using Node = std::tuple<size_t, uint64_t, uint32_t>;  // file, grid, kernel
  absl::flat_hash_map<Node, absl::flat_hash_map<uint64_t, uint32_t>> seen;
  absl::flat_hash_map<std::pair<Node, uint32_t>, uint32_t> index;
  std::vector<absl::flat_hash_map<uint32_t, bool>> ctas;
  for (const uint32_t i : by_begin) {
    Pending& pending = pending_[i];
    const Node node = {pending.file, pending.slot.grid, pending.slot.kernel};
    pending.occurrence = seen[node][uint64_t{pending.slot.cta} << 16 | pending.slot.warp]++;
    const auto [found, added] =
        index.emplace(std::make_pair(node, pending.occurrence), launches_.size());
    if (added) {
      launches_.push_back({.file = pending.file,
                           .kernel = pending.slot.kernel,
                           .grid = pending.slot.grid,
                           .ctas = pending.slot.ctas});
      ctas.emplace_back();
    }
    pending.launch = found->second;
    Launch& launch = launches_[found->second];
    launch.start_ns = std::min(launch.start_ns, pending.begin_ns);
    launch.end_ns = std::max({launch.end_ns, pending.end_ns, pending.begin_ns});
    launch.running = launch.running || pending.end_ns == 0;
    launch.ctas_recorded += ctas[found->second].emplace(pending.slot.cta, true).second;
  }
}

// In the order of %gridid, which is that of the launches, unless a graph ran a node again; then by
// their begin. Where another instrument saw launches, theirs are the numbers.
void ScopesImporter::NumberLaunches() {
  std::vector<uint32_t> order(launches_.size());
  std::iota(order.begin(), order.end(), 0);
  bool repeated = sources_.size() > 1;
  for (const Pending& pending : pending_) repeated = repeated || pending.occurrence > 0;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const Launch& x = launches_[a];
    const Launch& y = launches_[b];
    if (repeated) return std::tie(x.start_ns, x.grid, a) < std::tie(y.start_ns, y.grid, b);
    return std::tie(x.grid, x.start_ns, a) < std::tie(y.grid, y.start_ns, b);
  });
  if (known_.empty()) {
    for (uint32_t i = 0; i < order.size(); ++i) launches_[order[i]].number = i;
  } else {
    MatchKnown(order);
  }
  for (Pending& pending : pending_) pending.launch = launches_[pending.launch].number;
}

// The n-th launch of a kernel is its n-th there, where both saw as many; else the last that began
// before it.
void ScopesImporter::MatchKnown(const std::vector<uint32_t>& order) {
  std::map<std::string, std::vector<const KnownLaunch*>> known;
  uint32_t behind = 0;  // the first number that no known launch has
  for (const KnownLaunch& launch : known_) {
    known[KernelBaseName(launch.kernel)].push_back(&launch);
    behind = std::max(behind, launch.launch + 1);
  }
  std::map<std::string, std::vector<Launch*>> ours;
  for (const uint32_t i : order) {
    ours[KernelOf(sources_[launches_[i].file], launches_[i].kernel)].push_back(&launches_[i]);
  }
  for (auto& [kernel, launches] : ours) {
    std::vector<const KnownLaunch*>& candidates = known[kernel];
    const auto by_begin = [](const auto* a, const auto* b) { return a->start_ns < b->start_ns; };
    std::stable_sort(candidates.begin(), candidates.end(), by_begin);
    std::stable_sort(launches.begin(), launches.end(), by_begin);
    const bool equal = candidates.size() == launches.size();
    size_t next = 0;
    for (Launch* const launch : launches) {
      while (!equal && next + 1 < candidates.size() &&
             candidates[next + 1]->start_ns <= launch->start_ns + kClocksApartNs) {
        ++next;
      }
      if (next < candidates.size() &&
          (equal || candidates[next]->start_ns <= launch->start_ns + kClocksApartNs)) {
        launch->number = candidates[next++]->launch;
      } else {
        launch->number = behind++;
        ++unmatched_launches_;
      }
    }
  }
}

void ScopesImporter::MakeLaunchTable() {
  std::vector<const Launch*> order;
  for (const Launch& launch : launches_) order.push_back(&launch);
  std::sort(order.begin(), order.end(),
            [](const Launch* a, const Launch* b) { return a->number < b->number; });
  std::map<uint32_t, uint32_t> processes;
  LaunchTable launches;
  for (const Launch* launch : order) {
    const Source& source = sources_[launch->file];
    const uint32_t process = processes.emplace(source.pid, processes.size()).first->second;
    launches.Add({.launch = launch->number,
                  .process = process,
                  .device = source.device,
                  .kernel = KernelOf(source, launch->kernel),
                  .start_ns = launch->start_ns,
                  .end_ns = launch->end_ns,
                  .ctas = launch->ctas,
                  .ctas_recorded = launch->ctas_recorded});
  }
  out_.tables.push_back(launches.Finish());
}

void ScopesImporter::FinishNotes() {
  for (const std::string& error : out_.errors) {
    Note(absl::StrCat("the recorder could not fetch what kernels recorded: ", error,
                      "; with memory=host what was recorded before an error is kept"));
  }
  if (lost_ > 0) {
    Note(absl::StrCat(lost_, " records were overwritten because rings were full; the last ones of ",
                      "each warp were kept. Option records=N makes rings larger, scopes=A+B and ",
                      "ctas=1/N record less"));
  }
  if (without_ring_ > 0) {
    Note(absl::StrCat(without_ring_, " warps were not recorded: all rings were taken. Option ",
                      "arena_mb=N makes more, records=N smaller ones, ctas=1/N needs fewer"));
  }
  if (over_limit_ > 0) {
    Note(absl::StrCat(over_limit_, " scopes, marks or warps were left out: a pass may hold ",
                      limits_.max_instances, " scopes, ", limits_.max_barrier_rows, " marks, ",
                      limits_.max_tracks, " warps and ", limits_.max_regions, " names of regions"));
  }
  if (unended_ > 0) {
    Note(absl::StrCat(unended_, " warps had not left their kernel when the recording ended"));
  }
  if (open_warps_ > limits_.max_open_named) {
    Note(absl::StrCat(open_warps_ - limits_.max_open_named,
                      " more warps were inside a scope; table open_scopes lists them"));
  }
  if (ends_without_begin_ > 0 || begins_without_end_ > 0) {
    Note(absl::StrCat("scopes were not balanced: ", ends_without_begin_, " ends without a begin, ",
                      begins_without_end_, " begins without an end; these were left out"));
  }
  if (unmatched_launches_ > 0) {
    Note(absl::StrCat(unmatched_launches_,
                      " launches with scopes are not among those that the activity records show; "
                      "they are numbered behind them"));
  }
  if (unknown_gaps_ > 0) {
    Note(absl::StrCat("in ", unknown_gaps_, " warps more than 2^32 cycles passed between two ",
                      "records: scopes there are shorter than they were"));
  }
  if (cut_slots_ > 0) {
    Note(absl::StrCat("the records of ", cut_slots_, " warps are missing: the file was cut"));
  }
  if (malformed_ > 0) Note(absl::StrCat(malformed_, " records were malformed and left out"));
}

}  // namespace sextant::backends::scopes
