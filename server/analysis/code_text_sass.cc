// Lines of SASS.
#include "server/analysis/code_lines.h"

namespace sextant::analysis {
namespace {

bool Writes(const SassInstruction& one) {
  const std::string_view mnemonic = one.mnemonic();
  for (const char* other : {"ST", "RED", "BRA", "EXIT", "BAR", "SYNCS", "NOP", "BSYNC", "CALL", "RET", "JMP", "UTMA",
                            "MEMBAR", "DEPBAR", "LDGDEPBAR", "WARPSYNC", "UBLKCP", "CCTL", "ERRBAR", "FENCE", "WARPGROUP"}) {
    if (absl::StartsWith(View(mnemonic), other)) return false;
  }
  return true;
}

// How many registers the result has.
uint8_t WidthOf(const SassInstruction& one) {
  const std::string_view mnemonic = one.mnemonic();
  if (mnemonic.find("GMMA") != std::string_view::npos) return 128;
  if (one.Has("128") || mnemonic == "HMMA" || mnemonic == "IMMA" || mnemonic == "LDSM") return 4;
  if (one.Has("64") || one.Has("WIDE") || mnemonic == "CS2R" || mnemonic == "R2UR" || mnemonic[0] == 'D') return 2;
  return 1;
}

// The register whose name begins at `at`, or 0: "R12", "UR4", "P0", "UP1", "B3"; not RZ, PT.
size_t EndOfRegister(absl::string_view text, size_t at) {
  if (at > 0 && (IsWord(text[at - 1]) || text[at - 1] == '.')) return 0;
  size_t i = at;
  if (i < text.size() && text[i] == 'U') ++i;
  if (i == text.size() || (text[i] != 'R' && text[i] != 'P' && text[i] != 'B')) return 0;
  size_t end = ++i;
  while (end < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[end]))) ++end;
  return end == i || (end < text.size() && IsWord(text[end])) ? 0 : end;
}

void AddOperand(const SassFunction& function, absl::string_view text, bool defined, uint8_t width, LineBuilder* build) {
  for (size_t i = 0; i < text.size();) {
    if (const size_t end = EndOfRegister(text, i); end != 0) {
      const absl::string_view name = text.substr(i, end - i);
      build->Name(name, name.substr(0, name.find_first_of("0123456789")), defined, width);
      i = end;
    } else if (IsWord(text[i]) || text[i] == '.') {
      const size_t word = EndOfName(text, i, ".");
      const absl::string_view name = text.substr(i, word - i);
      if (function.labels.contains(name)) {
        build->Name(name, "L", false);
      } else if (absl::StartsWith(name, ".reuse")) {
        build->Text(name.substr(6));   // a hint to the register file
      } else {
        build->Text(name.substr(0, 1));
        i += 1;
        continue;
      }
      i = word;
    } else {
      build->Text(text.substr(i++, 1));
    }
  }
}

}  // namespace

CodeText CodeOf(const SassFunction& function) {
  CodeText out;
  out.reuses_names = true;
  LineBuilder build(&out);
  absl::flat_hash_map<uint32_t, std::vector<std::string>> labels;
  for (const auto& [label, at] : function.labels) labels[at].push_back(label);
  for (uint32_t i = 0; i < function.code.size(); ++i) {
    const SassInstruction& one = function.code[i];
    if (one.opcode == "NOP") continue;   // fills the last line of the instruction cache
    if (auto here = labels.find(i); here != labels.end()) {
      std::sort(here->second.begin(), here->second.end());
      for (const std::string& label : here->second) {
        if (!absl::StrContains(label, ".L") && !absl::StartsWith(label, "LBB")) continue;   // the function's own
        build.Name(label, "L", true);
        build.Text(":");
        build.End();
      }
    }
    CodeLine& line = build.line();
    line.instruction = static_cast<int32_t>(i);
    line.opcode = std::string(one.mnemonic());
    if (one.line > 0 && one.file < function.files.size())
      line.where = absl::StrCat(FileName(function.files[one.file]), ":", one.line);
    if (!one.guard.empty()) {
      build.Text("@");
      AddOperand(function, one.guard, false, 1, &build);
      build.Text(" ");
    }
    build.Text(one.opcode);
    const bool writes = Writes(one);
    const uint8_t width = WidthOf(one);
    for (size_t k = 0; k < one.operands.size(); ++k) {
      build.Text(k == 0 ? " " : ", ");
      const std::string& operand = one.operands[k];
      const bool predicate = !operand.empty() && (operand[0] == 'P' || absl::StartsWith(operand, "UP"));
      const bool defined = writes && (k == 0 || (k == 1 && predicate));
      AddOperand(function, operand, defined, predicate ? 1 : width, &build);
    }
    build.End();
  }
  return out;
}

}  // namespace sextant::analysis
