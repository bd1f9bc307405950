// PrivateLibraries of bundle.h: asks the program's own dynamic loader what it would load.
#include <elf.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/bundle.h"
#include "client/cli/process.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

constexpr double kListTimeoutS = 20;

// The path in PT_INTERP; empty for anything but a 64-bit dynamically linked program.
std::string InterpreterOf(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr head{};
  if (!file.read(reinterpret_cast<char*>(&head), sizeof head) ||
      std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
      head.e_phentsize != sizeof(Elf64_Phdr)) {
    return "";
  }
  for (int i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(head.e_phoff + i * sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return "";
    if (segment.p_type != PT_INTERP || segment.p_filesz == 0 || segment.p_filesz > 4096) continue;
    std::string path(segment.p_filesz, '\0');
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    if (!file.read(path.data(), static_cast<std::streamsize>(path.size()))) return "";
    return path.c_str();
  }
  return "";
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> PrivateLibraries(const std::string& program) {
  std::map<std::string, std::string> libraries;
  const std::string interpreter = InterpreterOf(program);
  if (interpreter.empty() || !IsSystemPath(interpreter)) return libraries;
  ASSIGN_OR_RETURN(const Output listing,
                   RunAndRead({interpreter, "--list", fs::absolute(program).string()}, kListTimeoutS),
                   "listing the shared libraries of ", Escape(program));
  // "\tlibx.so.1 => /path/libx.so.1 (0x…)", "\tlibx.so.1 => not found", "\tlinux-vdso.so.1 (0x…)".
  for (absl::string_view line : absl::StrSplit(listing.text, '\n')) {
    const size_t arrow = line.find(" => ");
    if (arrow == absl::string_view::npos) continue;
    absl::string_view soname = absl::StripLeadingAsciiWhitespace(line.substr(0, arrow));
    absl::string_view target = line.substr(arrow + 4);
    if (target == "not found") {
      return absl::InvalidArgumentError(
          absl::StrCat("program ", Escape(program), ": its shared library ", Escape(soname),
                       " is not found on this machine; set LD_LIBRARY_PATH or add --file"));
    }
    target = target.substr(0, target.rfind(" ("));
    std::error_code error;
    const std::string real = fs::weakly_canonical(std::string(target), error).string();
    if (IsSystemPath(std::string(target)) || IsSystemPath(real)) continue;
    libraries[fs::path(std::string(soname)).filename().string()] = std::string(target);
  }
  return libraries;
}

}  // namespace sextant::cli
