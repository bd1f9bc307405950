#include "server/analysis/region_map.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/analysis/line_regions.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/region_code.h"
#include "server/analysis/region_lines.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

constexpr char kQuestion[] = "which instructions belong to which region";
constexpr uint64_t kMaxTextBytes = 16u << 20;
constexpr size_t kMaxSources = 16;     // files looked into for scopes
constexpr uint32_t kMaxNeighbours = 256;
// By line: what the compiler moves over the borders of regions is taken for theirs. How much that is, nobody tells.
constexpr double kByLineConfidence = 0.8;

std::string NameOf(const RegionCode& code, const CodeRegion& region, absl::Span<const std::string> names) {
  if (code.format == RecordFormat::kProton) return absl::StrCat("scope ", region.id);   // Proton's names are in no code
  const std::string known = NameOfScopeId(region.id, region.wait, names);
  return known.empty() ? absl::StrFormat("%sscope 0x%x", region.wait ? "wait " : "", region.id) : known;
}

// The source line of each instruction, by pc; line 0: it has none.
std::map<uint64_t, SourceLine> LinesOf(const KernelCode* code, const std::map<uint64_t, PcCount>& counts,
                                       const std::map<uint64_t, PcSamples>& samples) {
  std::map<uint64_t, SourceLine> lines;
  const auto add = [&](uint64_t pc, const std::string& file, int64_t line) {
    SourceLine& at = lines[pc];
    if (at.line == 0 && line > 0) at = {file, static_cast<uint32_t>(line)};
  };
  if (code != nullptr)
    for (const SassInstruction& one : code->function.code) add(one.pc, code->function.files[one.file], one.line);
  for (const auto& [pc, count] : counts) add(pc, count.file, count.line);
  for (const auto& [pc, sample] : samples) add(pc, sample.file, sample.line);
  return lines;
}

// Line ranges of the kernel's regions, and where they are from.
class LinesReader {
 public:
  LinesReader(const Evidence& evidence, const std::map<uint64_t, SourceLine>& lines, v1::Basis* basis)
      : evidence_(evidence), basis_(basis) {
    for (const auto& [pc, line] : lines)
      if (line.line > 0) files_.insert(line.file);
  }

  absl::StatusOr<std::vector<RegionLines>> Read() {
    RETURN_IF_ERROR(OfCompiler());
    if (found_.empty()) RETURN_IF_ERROR(OfSources());
    return std::move(found_);
  }
  const std::set<std::string>& files() const { return files_; }

 private:
  // What `proton` passes kept of the front end. Kernels of one program are told apart by their files alone.
  absl::Status OfCompiler() {
    std::set<std::string> digests;
    v1::PassSet used;
    for (const v1::PassInfo& pass : evidence_.passes()) {
      if (!EndedWell(pass)) continue;
      bool took = false;
      for (const v1::Artifact& artifact : pass.result().artifacts()) {
        if (!absl::EndsWith(artifact.name(), kScopeTextEnding)) continue;
        const absl::string_view kernel(artifact.name());
        if (!evidence_.IsKernel(kernel.substr(0, kernel.find('.')))) continue;
        if (!digests.insert(artifact.digest()).second) {
          took = true;
          continue;
        }
        const auto text = evidence_.ReadArtifact(artifact, kMaxTextBytes);
        if (absl::IsNotFound(text.status())) continue;   // removed by retention
        RETURN_IF_ERROR(text.status(), "reading ", artifact.name(), " of pass ", pass.pass_id());
        Add(RegionLinesOfMlirUntrusted(*text), absl::StrCat(artifact.name(), " of pass ", pass.pass_id()));
        took = true;
      }
      if (took) {
        used.set_backend(KindOfPass(MeasuredAs(pass)));
        used.add_pass_ids(pass.pass_id());
      }
    }
    if (used.pass_ids().empty()) return absl::OkStatus();
    used.set_used_for("source lines of regions");
    *basis_->add_passes() = std::move(used);
    return absl::OkStatus();
  }

  absl::Status OfSources() {
    size_t read = 0;
    for (const std::string& file : files_) {
      if (!absl::EndsWith(file, ".py") || read >= kMaxSources) continue;
      const auto text = evidence_.ReadSource(file, kMaxTextBytes);
      if (absl::IsNotFound(text.status())) continue;
      RETURN_IF_ERROR(text.status(), "reading ", file);
      ++read;
      Add(RegionLinesOfPythonUntrusted(*text, file), file);
    }
    return absl::OkStatus();
  }

  void Add(absl::StatusOr<FoundLines> found, const std::string& from) {
    if (!found.ok()) {
      basis_->add_notes(absl::StrCat(from, ": ", std::string(found.status().message())));
      return;
    }
    for (const std::string& note : found->notes) basis_->add_notes(absl::StrCat(from, ": ", note));
    const auto first = static_cast<int32_t>(found_.size());
    for (RegionLines& one : found->regions) {
      if (one.parent >= 0) one.parent += first;
      found_.push_back(std::move(one));
    }
  }

  const Evidence& evidence_;
  v1::Basis* const basis_;
  std::set<std::string> files_;
  std::vector<RegionLines> found_;
};

// Where lines were inlined, of the IR of evidence.code().
absl::StatusOr<InlinedAt> ReadInlinedAt(const Evidence& evidence) {
  for (const char* const level : {"ttgir", "ttir"}) {
    ASSIGN_OR_RETURN(const std::string text, ReadCodeLevel(evidence, level, kMaxTextBytes));
    if (!text.empty()) return InlinedAtOfMlirUntrusted(text);
  }
  return InlinedAt();
}

// Of an instruction whose line is in several regions: which of them, by the closest instruction of its block that lies
// nearer to one of them than to the others. −2: none does.
int32_t ByNeighbours(const LineRegions& regions, const std::vector<int32_t>& ways, const KernelCode& code, uint32_t at,
                     const std::vector<const std::vector<int32_t>*>& ways_of) {
  const SassBlock& block = code.flow.blocks[code.flow.block_of[at]];
  for (uint32_t step = 1; step <= kMaxNeighbours; ++step) {
    for (const bool before : {true, false}) {
      if (before ? at < block.begin + step : at + step >= block.end) continue;
      const std::vector<int32_t>* const other = ways_of[before ? at - step : at + step];
      if (other == nullptr || other->size() != 1) continue;
      int32_t best = -2;
      uint32_t distance = UINT32_MAX;
      for (const int32_t way : ways) {
        const uint32_t here = regions.Distance(way, (*other)[0]);
        if (here == distance) best = -2;
        if (here < distance) best = way;
        distance = std::min(distance, here);
      }
      if (best != -2) return best;
    }
  }
  return -2;
}

absl::StatusOr<RegionMap> RegionsByLines(const Evidence& evidence, absl::Span<const std::string> names,
                                         const KernelCode* code, const std::map<uint64_t, SourceLine>& lines,
                                         const std::map<uint64_t, PcCount>& counts, v1::Basis* basis) {
  RegionMap map;
  LinesReader reader(evidence, lines, basis);
  ASSIGN_OR_RETURN(const auto ranges, reader.Read());
  if (ranges.empty()) return map;
  ASSIGN_OR_RETURN(auto inlined, ReadInlinedAt(evidence));
  LineRegions regions(ranges, std::move(inlined), {names.begin(), names.end()});
  std::vector<const std::vector<int32_t>*> ways_of(code == nullptr ? 0 : code->function.code.size());
  for (uint32_t i = 0; i < ways_of.size(); ++i)
    if (const SourceLine& line = lines.at(code->function.code[i].pc); line.line > 0)
      ways_of[i] = &regions.Of(line.file, line.line);
  double all = 0, without = 0, guessed = 0;
  for (const auto& [pc, line] : lines) {
    const auto count = counts.find(pc);
    const double weight = counts.empty() ? 1 : count == counts.end() ? 0 : count->second.executed;
    all += weight;
    if (line.line == 0) {
      without += weight;
      continue;
    }
    std::vector<int32_t> ways = regions.Of(line.file, line.line);
    if (const uint32_t at = code == nullptr ? 0 : code->function.At(pc); ways.size() > 1 && at < ways_of.size())
      if (const int32_t way = ByNeighbours(regions, ways, *code, at, ways_of); way != -2) {
        ways = {way};
        guessed += weight;
      }
    LineRegions::Common common = regions.CommonOf(ways);
    if (common.region >= 0 || !common.doubtful.empty()) map.at[pc] = {common.region, std::move(common.doubtful), false};
  }
  if (map.at.empty()) return map;
  map.by = RegionsBy::kLines;
  for (const LineRegion& one : regions.regions())
    map.regions.push_back({one.name, one.parent, {one.code.begin(), one.code.end()}, {}, true});
  map.confidence = kByLineConfidence * (all > 0 ? 1 - without / all : 1);
  map.why = absl::StrFormat("by source line: the compiler moves code over borders of regions; %.1f %% of the kernel's instructions "
                            "have no line", all > 0 ? 100 * without / all : 0.0);
  if (guessed > 0)
    absl::StrAppend(&map.why, absl::StrFormat(", the lines of %.1f %% were inlined in several regions and go by their neighbours",
                                              100 * guessed / all));
  return map;
}

}  // namespace

bool RegionMap::IsWithin(int32_t inner, int32_t outer) const {
  for (; inner >= 0; inner = regions[static_cast<size_t>(inner)].parent)
    if (inner == outer) return true;
  return false;
}

RegionMap RegionsByRecords(const KernelCode& code, absl::Span<const std::string> names) {
  RegionMap map;
  const RegionCode found = FindRegionCode(code.function, code.flow);
  map.notes = found.notes;
  if (found.regions.empty()) return map;
  map.by = RegionsBy::kRecords;
  auto ranges = found.Ranges(code.function);
  for (size_t i = 0; i < found.regions.size(); ++i) {
    const CodeRegion& one = found.regions[i];
    RegionMap::Region& region = map.regions.emplace_back();
    region.name = NameOf(found, one, names);
    region.parent = one.parent;
    region.code = std::move(ranges[i]);
    region.reached = !one.begins.empty();
    for (const uint32_t begin : one.begins) region.begins.push_back(code.function.code[begin].pc);
  }
  for (size_t i = 0; i < found.innermost.size(); ++i)
    if (found.innermost[i] >= 0 || !found.doubtful[i].empty() || found.recording[i])
      map.at[code.function.code[i].pc] = {found.innermost[i], found.doubtful[i], found.recording[i]};
  return map;
}

absl::StatusOr<RegionMap> ReadRegionMap(const Evidence& evidence, absl::Span<const std::string> names,
                                        const KernelCode* code, const std::map<uint64_t, PcCount>& counts,
                                        const std::map<uint64_t, PcSamples>& samples, v1::Basis* basis) {
  RegionMap map;
  if (code != nullptr) map = RegionsByRecords(*code, names);
  const auto lines = LinesOf(code, counts, samples);
  if (map.by == RegionsBy::kNothing && !lines.empty()) {
    ASSIGN_OR_RETURN(map, RegionsByLines(evidence, names, code, lines, counts, basis));
  }
  for (const std::string& note : map.notes) basis->add_notes(note);
  if (map.by != RegionsBy::kNothing || names.empty() || (code == nullptr && lines.empty())) return map;
  const bool any = std::any_of(lines.begin(), lines.end(), [](const auto& one) { return one.second.line > 0; });
  evidence.Abstain(kQuestion,
                   any ? "the code of the kernel has no record of a scope, and the source lines of its regions are not known: no "
                         "proton pass kept them, and the workload's bundle does not have the source"
                       : "the code of the kernel has no record of a scope, and no line table (Proton instruments a copy)",
                   any ? "proton" : "cutracer", basis);
  return map;
}

}  // namespace sextant::analysis
