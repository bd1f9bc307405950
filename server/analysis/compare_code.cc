#include "server/analysis/compare_code.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/opcode/opcode_class.h"
#include "proto/status/status.h"
#include "server/analysis/code_diff.h"
#include "server/analysis/columns.h"
#include "server/analysis/evidence.h"
#include "server/analysis/line_regions.h"
#include "server/analysis/region_code.h"
#include "server/analysis/region_lines.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

constexpr size_t kDigestInName = 8;   // <kernel>.<first digits of the digest>.<form>

// One code of a kernel: where its forms are.
struct Code {
  std::string digest, mangled;
  uint64_t launches = 0;
  std::map<std::string, const v1::Artifact*> forms;   // by level
};
using Codes = std::map<std::string, std::vector<Code>>;   // by kernel

absl::StatusOr<Codes> FindCodes(const CodeSources& sources, absl::Span<const v1::PassInfo> passes, bool* any) {
  Codes codes;
  for (const v1::PassInfo& pass : passes) {
    if (!EndedWell(pass) || MeasuredAs(pass).backend() != "ir" || !PassTables::HasTable(pass, "kernels")) continue;
    *any = true;
    const auto kernels = sources.table(pass, "kernels");
    if (absl::IsNotFound(kernels.status())) continue;
    RETURN_IF_ERROR(kernels.status());
    std::map<std::string, uint64_t> launches;   // by digest
    if (PassTables::HasTable(pass, "launches")) {
      const auto table = sources.table(pass, "launches");
      if (table.ok()) {
        const TextColumn digest(**table, "sass_digest");
        for (uint64_t row = 0; row < (*table)->rows(); ++row) ++launches[std::string(digest[row])];
      }
    }
    const TextColumn name(**kernels, "kernel"), mangled(**kernels, "mangled"), digest(**kernels, "sass_digest");
    for (uint64_t row = 0; row < (*kernels)->rows(); ++row) {
      if (digest[row].size() < kDigestInName) continue;
      std::vector<Code>& known = codes[std::string(name[row])];
      auto code = std::find_if(known.begin(), known.end(), [&](const Code& one) { return one.digest == digest[row]; });
      if (code == known.end()) {
        known.push_back({.digest = std::string(digest[row]), .mangled = std::string(mangled[row])});
        code = std::prev(known.end());
      }
      code->launches += launches[code->digest];
      for (const v1::Artifact& artifact : pass.result().artifacts())
        for (const std::string_view level : kCodeLevels)
          if (artifact.kind() == "ir" &&
              absl::EndsWith(artifact.name(), absl::StrCat(".", code->digest.substr(0, kDigestInName), ".",
                                                           std::string(level))))
            code->forms.emplace(level, &artifact);
    }
  }
  return codes;
}

const Code& MostLaunched(const std::vector<Code>& codes) {
  return *std::max_element(codes.begin(), codes.end(),
                           [](const Code& a, const Code& b) { return a.launches < b.launches; });
}

// Regions whose time moved.
std::vector<std::string> Moved(const v1::Comparison& comparison) {
  std::set<std::string> moved;
  for (const v1::Delta& row : comparison.deltas())
    if (row.kind() == "region" && (row.verdict() == "faster" || row.verdict() == "slower")) moved.insert(row.name());
  return {moved.begin(), moved.end()};
}

// "kernel.py" of a path: lines of code texts have no more.
std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }   // npos + 1 is 0

// Which of `names` the changed lines lie in, by the source lines that a proton pass kept of the kernel's scopes.
void RegionsOfLines(const CodeText& text, const std::vector<bool>& changed, LineRegions* lines, std::set<std::string>* found) {
  for (size_t i = 0; i < text.lines.size(); ++i) {
    const std::string& where = text.lines[i].where;
    const size_t colon = where.rfind(':');
    uint32_t line = 0;
    if (!changed[i] || colon == std::string::npos || !absl::SimpleAtoi(where.substr(colon + 1), &line)) continue;
    for (int32_t region : lines->Of(where.substr(0, colon), line))
      for (; region >= 0; region = lines->regions()[static_cast<size_t>(region)].parent)
        found->insert(lines->regions()[static_cast<size_t>(region)].name);
  }
}

// Which of `names` the changed lines of SASS lie in. False: the code has no records.
bool RegionsOfSass(const SassFunction& function, const CodeText& text, const std::vector<bool>& changed,
                   const std::vector<std::string>& names, std::set<std::string>* found) {
  const RegionCode code = FindRegionCode(function, FlowOf(function));
  // Proton's scope ids have no names in the code.
  if (code.regions.empty() || code.format != RecordFormat::kScopes) return false;
  for (size_t i = 0; i < text.lines.size(); ++i) {
    if (!changed[i] || text.lines[i].instruction < 0) continue;
    const auto at = static_cast<size_t>(text.lines[i].instruction);
    if (at >= code.innermost.size()) continue;
    for (int32_t region = code.innermost[at]; region >= 0; region = code.regions[static_cast<size_t>(region)].parent) {
      const CodeRegion& one = code.regions[static_cast<size_t>(region)];
      if (std::string name = NameOfScopeId(one.id, one.wait, names); !name.empty()) found->insert(std::move(name));
    }
  }
  return true;
}

// proton.record start "load" … proton.record end "load", as lines stand. False: there is none.
bool RegionsOfMlir(const CodeText& text, const std::vector<bool>& changed, const std::vector<std::string>& names,
                   std::set<std::string>* found) {
  std::vector<std::string> open;
  bool any = false;
  for (size_t i = 0; i < text.lines.size(); ++i) {
    const std::string& line = text.lines[i].text;
    if (absl::StrContains(line, "proton.record")) {
      any = true;
      const size_t begin = line.find('"'), end = line.rfind('"');
      const std::string name = begin < end ? line.substr(begin + 1, end - begin - 1) : "";
      if (absl::StrContains(line, "record start")) open.push_back(name);
      else if (const auto last = std::find(open.rbegin(), open.rend(), name); last != open.rend()) open.erase(std::next(last).base());
      continue;
    }
    if (!changed[i]) continue;
    for (const std::string& name : open)
      if (std::find(names.begin(), names.end(), name) != names.end()) found->insert(name);
  }
  return any;
}

// Of SASS the classes first ("tensor"), then the opcodes ("HGMMA").
void AddMix(const CodeDiff& diff, bool sass, v1::CodeDifference* out) {
  std::map<std::string, int64_t> classes;
  for (const auto& [opcode, change] : diff.mix_change)
    if (sass) classes[std::string(opcode::ClassOf(opcode))] += change;
  for (const std::map<std::string, int64_t>& of : {std::cref(classes), std::cref(diff.mix_change)}) {
    std::vector<std::pair<std::string, int64_t>> mix(of.begin(), of.end());
    std::erase_if(mix, [](const auto& one) { return one.second == 0; });
    std::stable_sort(mix.begin(), mix.end(), [](const auto& x, const auto& y) {
      return std::abs(x.second) > std::abs(y.second);
    });
    if (mix.size() > kMaxMixChanges) mix.resize(kMaxMixChanges);
    for (const auto& [name, change] : mix) {
      v1::NamedShare* one = out->add_mix_change();
      one->set_name(name);
      one->set_value(static_cast<double>(change));
      one->set_share(diff.instructions_a == 0 ? 0 : static_cast<double>(change) / static_cast<double>(diff.instructions_a));
    }
  }
}

class Comparer {
 public:
  Comparer(const CodeSources& sources, absl::Span<const v1::PassInfo> a, absl::Span<const v1::PassInfo> b,
           v1::Comparison* comparison)
      : sources_(sources), a_(a), b_(b), comparison_(comparison), moved_(Moved(*comparison)) {}

  absl::Status Compare(const std::string& kernel, const Code& a, const Code& b) {
    if (!moved_.empty()) {
      ASSIGN_OR_RETURN(lines_a_, LinesOf(kernel, a, a_));
      ASSIGN_OR_RETURN(lines_b_, LinesOf(kernel, b, b_));
    }
    for (const std::string_view level : kCodeLevels) {
      const auto form_a = a.forms.find(std::string(level)), form_b = b.forms.find(std::string(level));
      if (form_a == a.forms.end() || form_b == b.forms.end()) continue;
      const auto text_a = sources_.artifact(*form_a->second, kMaxCodeBytes);
      const auto text_b = sources_.artifact(*form_b->second, kMaxCodeBytes);
      for (const auto* text : {&text_a, &text_b})
        if (!text->ok() && !absl::IsNotFound(text->status()) && !absl::IsOutOfRange(text->status()) &&
            !absl::IsResourceExhausted(text->status()))
          return text->status();
      if (!text_a.ok() || !text_b.ok()) {
        Note(kernel, level, text_a.ok() ? text_b.status() : text_a.status());
        continue;
      }
      AddLevel(kernel, level, *text_a, a.mangled, *text_b, b.mangled);
    }
    return absl::OkStatus();
  }

 private:
  // Where the kernel's regions that moved stand in the source, in files without their paths.
  absl::StatusOr<LineRegions> LinesOf(const std::string& kernel, const Code& code, absl::Span<const v1::PassInfo> passes) {
    const auto read = [&](const v1::Artifact& artifact) -> absl::StatusOr<std::string> {
      auto text = sources_.artifact(artifact, kMaxCodeBytes);
      if (absl::IsNotFound(text.status())) return std::string();   // removed by retention
      return text;
    };
    std::vector<RegionLines> lines;
    std::set<std::string> digests;
    for (const v1::PassInfo& pass : passes)
      for (const v1::Artifact& artifact : pass.result().artifacts()) {
        if (!EndedWell(pass) || !absl::EndsWith(artifact.name(), kScopeTextEnding) ||
            !absl::StartsWith(artifact.name(), absl::StrCat(kernel, ".")) || !digests.insert(artifact.digest()).second)
          continue;
        ASSIGN_OR_RETURN(const std::string text, read(artifact));
        const auto found = RegionLinesOfMlirUntrusted(text);
        const auto first = static_cast<int32_t>(lines.size());
        if (!found.ok()) continue;
        for (RegionLines one : found->regions) {
          one.file = FileName(one.file);
          if (one.parent >= 0) one.parent += first;
          lines.push_back(std::move(one));
        }
      }
    InlinedAt inlined;
    const auto ttgir = code.forms.find("ttgir");
    if (!lines.empty() && ttgir != code.forms.end()) {
      ASSIGN_OR_RETURN(const std::string text, read(*ttgir->second));
      for (const auto& [line, ways] : InlinedAtOfMlirUntrusted(text))
        for (std::vector<SourceLine> way : ways) {
          for (SourceLine& frame : way) frame.file = FileName(frame.file);
          inlined[{FileName(line.file), line.line}].insert(std::move(way));
        }
    }
    return LineRegions(lines, std::move(inlined), moved_);
  }

  void Note(const std::string& kernel, std::string_view level, const absl::Status& why) {
    comparison_->add_notes(absl::StrCat(std::string(level), " of ", kernel, " was not compared: ", why.message()));
  }

  void AddLevel(const std::string& kernel, std::string_view level, const std::string& text_a, const std::string& mangled_a,
                const std::string& text_b, const std::string& mangled_b) {
    SassFunction sass_a, sass_b;
    absl::StatusOr<CodeText> a = Read(level, text_a, mangled_a, &sass_a), b = Read(level, text_b, mangled_b, &sass_b);
    if (!a.ok() || !b.ok()) return Note(kernel, level, a.ok() ? b.status() : a.status());
    const CodeDiff diff = DiffCode(*a, *b);
    v1::CodeDifference* out = comparison_->add_code();
    out->set_kernel(kernel);
    out->set_level(std::string(level));
    out->set_same(diff.removals == 0 && diff.additions == 0);
    out->set_removed(diff.removals);
    out->set_added(diff.additions);
    out->set_diff(diff.unified);
    out->set_shortened(diff.shortened);
    AddMix(diff, level == "sass", out);
    if (moved_.empty() || out->same()) return;
    std::set<std::string> regions;
    bool records = false;
    if (level == "sass") {
      records |= RegionsOfSass(sass_a, *a, diff.removed, moved_, &regions);
      records |= RegionsOfSass(sass_b, *b, diff.added, moved_, &regions);
    } else if (level == "ttir" || level == "ttgir") {
      records |= RegionsOfMlir(*a, diff.removed, moved_, &regions);
      records |= RegionsOfMlir(*b, diff.added, moved_, &regions);
    }
    if (!records) {
      RegionsOfLines(*a, diff.removed, &*lines_a_, &regions);
      RegionsOfLines(*b, diff.added, &*lines_b_, &regions);
    }
    for (const std::string& region : regions) out->add_regions(region);
  }

  static absl::StatusOr<CodeText> Read(std::string_view level, const std::string& text, const std::string& mangled,
                                       SassFunction* sass) {
    if (level != "sass") return ReadCodeUntrusted(level, text, mangled);
    ASSIGN_OR_RETURN(*sass, ParseSassUntrusted(text));
    return CodeOf(*sass);
  }

  const CodeSources& sources_;
  const absl::Span<const v1::PassInfo> a_, b_;
  v1::Comparison* const comparison_;
  const std::vector<std::string> moved_;
  std::optional<LineRegions> lines_a_, lines_b_;   // of the kernel that is compared, where something moved
};

}  // namespace

absl::Status CompareCode(const CodeSources& sources, absl::Span<const v1::PassInfo> a, absl::Span<const v1::PassInfo> b,
                         v1::Comparison* comparison) {
  bool any_a = false, any_b = false;
  ASSIGN_OR_RETURN(const Codes codes_a, FindCodes(sources, a, &any_a));
  ASSIGN_OR_RETURN(const Codes codes_b, FindCodes(sources, b, &any_b));
  if (!any_a || !any_b) {
    const bool differs = std::any_of(comparison->environment().begin(), comparison->environment().end(),
                                     [](const auto& one) { return absl::StartsWith(one.what(), "code of "); });
    if (differs)
      comparison->add_notes(absl::StrCat("kernels ran other code; a pass `ir` in ",
                                         !any_a && !any_b ? "both jobs" : any_a ? "B" : "A", " shows what changed"));
    return absl::OkStatus();
  }
  std::vector<std::string> kernels;   // by time
  for (const v1::Delta& row : comparison->deltas())
    if (row.kind() == "kernel" && codes_a.contains(row.name()) && codes_b.contains(row.name())) kernels.push_back(row.name());
  for (const auto& [kernel, codes] : codes_a)
    if (codes_b.contains(kernel) && std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
      kernels.push_back(kernel);
  Comparer comparer(sources, a, b, comparison);
  size_t compared = 0, left_out = 0;
  for (const std::string& kernel : kernels) {
    const Code &one = MostLaunched(codes_a.at(kernel)), &other = MostLaunched(codes_b.at(kernel));
    if (one.digest == other.digest) continue;
    if (compared == kMaxCodeKernels) {
      ++left_out;
      continue;
    }
    ++compared;
    for (const auto* codes : {&codes_a, &codes_b})
      if (codes->at(kernel).size() > 1)
        comparison->add_notes(absl::StrCat(kernel, " ran ", codes->at(kernel).size(), " codes in ",
                                           codes == &codes_a ? "A" : "B", "; the one launched most is compared"));
    RETURN_IF_ERROR(comparer.Compare(kernel, one, other), "code of ", kernel);
  }
  if (left_out > 0)
    comparison->add_notes(absl::StrCat("the code of ", left_out, " more kernels differs; at most ", kMaxCodeKernels,
                                       " are compared, those that take most time"));
  return absl::OkStatus();
}

}  // namespace sextant::analysis
