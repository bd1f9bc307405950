#include "server/analysis/sass.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace sextant::analysis {
namespace {

constexpr absl::string_view kTextSection = ".section\t.text.";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// "/*0a30*/" at the begin of `line`: its number, and the rest.
bool TakePc(absl::string_view* line, uint32_t* pc) {
  absl::string_view rest = *line;
  if (!absl::ConsumePrefix(&rest, "/*")) return false;
  const size_t end = rest.find("*/");
  if (end == absl::string_view::npos || end == 0 || end > 8) return false;
  uint64_t value = 0;
  for (const char c : rest.substr(0, end)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
    value = value * 16 + (c <= '9' ? c - '0' : absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10);
  }
  *pc = static_cast<uint32_t>(value);
  *line = absl::StripLeadingAsciiWhitespace(rest.substr(end + 2));
  return true;
}

// Triton's control columns: "04:-:1:Y:2" and a tab.
bool TakeControl(absl::string_view* line) {
  const size_t tab = line->find('\t');
  if (tab == absl::string_view::npos || tab > 16) return false;
  if (std::count(line->begin(), line->begin() + tab, ':') != 4) return false;
  *line = absl::StripLeadingAsciiWhitespace(line->substr(tab + 1));
  return true;
}

// "File "…", line 12" after "//## ".
bool TakeLine(absl::string_view line, std::string* file, uint32_t* number) {
  if (!absl::ConsumePrefix(&line, "//## File \"")) return false;
  const size_t end = line.find('"');
  if (end == absl::string_view::npos) return false;
  *file = std::string(line.substr(0, end));
  line = line.substr(end + 1);
  if (!absl::ConsumePrefix(&line, ", line ")) return false;
  return absl::SimpleAtoi(line.substr(0, line.find(' ')), number);
}

// Splits at commas that are in no bracket.
std::vector<std::string> Operands(absl::string_view text) {
  std::vector<std::string> operands;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    if (c == '[' || c == '(') ++depth;
    if (c == ']' || c == ')') --depth;
    if (c != ',' || (depth > 0 && i < text.size())) continue;
    const absl::string_view one = absl::StripAsciiWhitespace(text.substr(begin, i - begin));
    if (!one.empty()) operands.emplace_back(one);
    begin = i + 1;
  }
  return operands;
}

bool TakeInstruction(absl::string_view text, SassInstruction* out) {
  const size_t end = text.find(';');
  if (end == absl::string_view::npos) return false;
  text = absl::StripAsciiWhitespace(text.substr(0, end));
  if (absl::ConsumePrefix(&text, "@")) {
    const size_t space = text.find(' ');
    if (space == absl::string_view::npos) return false;
    out->guard = std::string(text.substr(0, space));
    text = absl::StripLeadingAsciiWhitespace(text.substr(space));
  }
  const size_t space = std::min(text.find(' '), text.size());
  out->opcode = std::string(text.substr(0, space));
  if (out->opcode.empty() || !absl::ascii_isupper(static_cast<unsigned char>(out->opcode[0]))) return false;
  out->operands = Operands(text.substr(space));
  return true;
}

}  // namespace

bool SassInstruction::Has(std::string_view modifier) const {
  for (size_t at = opcode.find('.'); at != std::string::npos;) {
    const size_t next = opcode.find('.', at + 1);
    if (std::string_view(opcode).substr(at + 1, next == std::string::npos ? next : next - at - 1) == modifier)
      return true;
    at = next;
  }
  return false;
}

uint32_t SassFunction::At(uint64_t pc) const {
  const auto found = std::lower_bound(code.begin(), code.end(), pc,
                                      [](const SassInstruction& one, uint64_t wanted) { return one.pc < wanted; });
  return found != code.end() && found->pc == pc ? static_cast<uint32_t>(found - code.begin())
                                                : static_cast<uint32_t>(code.size());
}

std::string SassFunction::TextOf(uint32_t index) const {
  const SassInstruction& one = code[index];
  return absl::StrCat(one.guard.empty() ? "" : absl::StrCat("@", one.guard, " "), one.opcode,
                      one.operands.empty() ? "" : " ", absl::StrJoin(one.operands, ", "));
}

absl::StatusOr<SassFunction> ParseSassUntrusted(std::string_view all) {
  SassFunction function;
  absl::flat_hash_map<std::string, uint32_t> files;
  uint32_t file = 0, number = 0;
  std::string name;
  absl::string_view text = View(all);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    absl::string_view line = absl::StripAsciiWhitespace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    if (absl::ConsumePrefix(&line, kTextSection)) {
      if (!function.code.empty()) break;   // the next function
      function.name = std::string(line.substr(0, line.find_first_of(",\"")));
      continue;
    }
    if (const size_t sm = line.find("EF_CUDA_SM"); sm != absl::string_view::npos || absl::StartsWith(line, ".target")) {
      if (function.architecture == 0) {
        const absl::string_view digits =
            sm != absl::string_view::npos ? line.substr(sm + 10) : line.substr(std::min(line.find("sm_"), line.size() - 3) + 3);
        uint32_t value = 0;
        for (size_t i = 0; i < digits.size() && i < 4 && absl::ascii_isdigit(static_cast<unsigned char>(digits[i])); ++i)
          value = value * 10 + (digits[i] - '0');
        function.architecture = value;
      }
      continue;
    }
    if (TakeLine(line, &name, &number)) {
      const auto [at, added] = files.try_emplace(name, static_cast<uint32_t>(function.files.size()));
      if (added) function.files.push_back(name);
      file = at->second;
      function.lines = true;
      continue;
    }
    if (line.back() == ':' && line.find(' ') == absl::string_view::npos) {
      function.labels[std::string(line.substr(0, line.size() - 1))] = static_cast<uint32_t>(function.code.size());
      continue;
    }
    SassInstruction one;
    one.pc = static_cast<uint32_t>(function.code.size()) * kSassBytes;
    if (!TakePc(&line, &one.pc) && !TakeControl(&line)) continue;
    if (!TakeInstruction(line, &one)) continue;
    if (!function.code.empty() && one.pc <= function.code.back().pc)
      return absl::InvalidArgumentError(absl::StrCat("SASS: the address ", absl::Hex(one.pc), " does not ascend"));
    if (function.code.size() >= kMaxSassInstructions)
      return absl::InvalidArgumentError(
          absl::StrCat("SASS: more than ", kMaxSassInstructions, " instructions in one kernel"));
    one.file = file;
    one.line = file == 0 ? 0 : number;
    function.code.push_back(std::move(one));
  }
  if (function.code.empty()) return absl::InvalidArgumentError("SASS: the text has no instruction");
  return function;
}

}  // namespace sextant::analysis
