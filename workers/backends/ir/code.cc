#include "workers/backends/ir/code.h"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sextant::backends::ir {
namespace {

constexpr const char* kTritonForms[] = {"ttir", "ttgir", "llir", "ptx", "cubin", "json"};
constexpr const char* kTritonOptions[] = {"num_warps",   "num_ctas",        "num_stages",
                                          "maxnreg",     "warp_size",       "shared",
                                          "ptx_version", "enable_fp_fusion"};

std::string HexOf(const inject::Sha256Digest& digest) {
  return inject::Hex(digest.data(), digest.size());
}

// Reads cubins within the limits on their number and size.
class Finder {
 public:
  Finder(const injected::ResultsTree& results, const CodeLimits& limits,
         std::vector<std::string>* notes)
      : results_(results), limits_(limits), notes_(notes) {}

  // Calls `use(kernel's code)` for each kernel of the cubin at `path`.
  template <typename Use>
  void ForKernels(const std::vector<std::string>& path, Use&& use) {
    const uint64_t left = limits_.max_bytes - read_;
    absl::StatusOr<std::string> bytes = results_.Read(path, std::min(limits_.max_file_bytes, left));
    if (!bytes.ok()) return Note(bytes.status().message());
    read_ += bytes->size();
    inject::Cubin cubin;
    std::string why;
    if (!inject::ParseCubinUntrusted(*bytes, &cubin, &why)) {
      return Note(absl::StrCat(absl::StrJoin(path, "/"), " was left out: ", why));
    }
    const std::string digest = HexOf(inject::Sha256(bytes->data(), bytes->size()));
    for (const inject::CubinKernel& kernel : cubin.kernels) {
      Code code;
      code.mangled = std::string(kernel.name);
      code.sass_digest = HexOf(kernel.SassDigest());
      code.cubin_digest = digest;
      code.frame_bytes = kernel.frame_bytes;
      use(kernel, std::move(code));
    }
  }

  void Note(absl::string_view sentence) {
    constexpr size_t kMaxNotes = 8;
    if (notes_->size() < kMaxNotes) notes_->emplace_back(sentence);
  }

 private:
  const injected::ResultsTree& results_;
  const CodeLimits& limits_;
  std::vector<std::string>* const notes_;
  uint64_t read_ = 0;
};

// ir-<digest>.cubin, with .ptx and .<symbol>.sass beside it.
void FindLoaded(const injected::ResultsTree& results, const CodeLimits& limits, Finder* finder,
                std::map<std::string, Code>* codes) {
  size_t seen = 0;
  for (const std::string& name : results.List({}, 64 * 1024)) {
    if (!name.starts_with("ir-") || !name.ends_with(".cubin")) continue;
    if (++seen > limits.max_cubins) {
      return finder->Note(
          absl::StrCat("more than ", limits.max_cubins, " cubins were loaded; not all were read"));
    }
    const std::string stem = name.substr(0, name.size() - 6);
    finder->ForKernels({name}, [&](const inject::CubinKernel& kernel, Code code) {
      code.forms["cubin"] = {name};
      if (results.Has({stem + ".ptx"})) code.forms["ptx"] = {stem + ".ptx"};
      const std::string sass = absl::StrCat(stem, ".", kernel.symbol, ".sass");
      if (results.Has({sass})) code.forms["sass"] = {sass};
      const std::string digest = code.sass_digest;
      const auto [known, added] = codes->emplace(digest, code);
      // The same code may be in several cubins, and not all of them disassembled.
      if (!added) known->second.forms.insert(code.forms.begin(), code.forms.end());
    });
  }
}

// <folder>/<hash>/<kernel>.{ttir,…}: one compilation each.
void FindTriton(const injected::ResultsTree& results, const std::string& folder,
                const CodeLimits& limits, Finder* finder, std::map<std::string, Code>* codes) {
  for (const std::string& hash : results.List({folder}, limits.max_triton)) {
    for (const std::string& name : results.List({folder, hash}, 64)) {
      if (!name.ends_with(".cubin")) continue;
      const std::string stem = name.substr(0, name.size() - 6);
      finder->ForKernels({folder, hash, name}, [&](const inject::CubinKernel&, Code code) {
        const std::string digest = code.sass_digest;
        Code& known = codes->emplace(digest, std::move(code)).first->second;
        known.triton = true;
        for (const char* form : kTritonForms) {
          const std::vector<std::string> path = {folder, hash, absl::StrCat(stem, ".", form)};
          if (results.Has(path)) known.forms[form] = path;
        }
        const auto json = known.forms.find("json");
        if (json == known.forms.end() || !known.options.empty()) return;
        const absl::StatusOr<std::string> text = results.Read(json->second, 1 << 20);
        if (text.ok()) known.options = TritonOptions(*text);
      });
    }
  }
}

// The width of a local access in bytes, by the parts of its opcode after the first: "STL.64".
uint64_t WidthOf(std::string_view opcode) {
  uint64_t width = 4;
  while (!opcode.empty()) {
    const size_t end = std::min(opcode.find('.'), opcode.size());
    const std::string_view part = opcode.substr(0, end);
    if (part == "U8" || part == "S8") width = 1;
    if (part == "U16" || part == "S16") width = 2;
    if (part == "64") width = 8;
    if (part == "128") width = 16;
    opcode.remove_prefix(std::min(end + 1, opcode.size()));
  }
  return width;
}

}  // namespace

std::map<std::string, Code> FindCodes(const injected::ResultsTree& results,
                                      std::vector<std::string>* notes, const CodeLimits& limits) {
  std::map<std::string, Code> codes;
  Finder finder(results, limits, notes);
  FindLoaded(results, limits, &finder, &codes);
  FindTriton(results, kTritonDump, limits, &finder, &codes);
  FindTriton(results, kTritonCache, limits, &finder, &codes);
  return codes;
}

LocalTraffic CountLocal(std::string_view sass) {
  LocalTraffic traffic;
  while (!sass.empty()) {
    const size_t end = std::min(sass.find('\n'), sass.size());
    std::string_view line = sass.substr(0, end);
    sass.remove_prefix(std::min(end + 1, sass.size()));
    // "  /*0010*/  @!P0 STL.64 [R1], R2 ;": the first word after address and predicate.
    const size_t comment = line.find("*/");
    if (line.find("/*") == std::string_view::npos || comment == std::string_view::npos) continue;
    line.remove_prefix(comment + 2);
    const auto skip = [&line] {
      while (!line.empty() && isspace(static_cast<unsigned char>(line[0]))) line.remove_prefix(1);
    };
    const auto word = [&line] {
      return line.substr(0, std::min(line.find_first_of(" \t;"), line.size()));
    };
    skip();
    if (!line.empty() && line[0] == '@') {
      line.remove_prefix(word().size());
      skip();
    }
    const std::string_view opcode = word();
    const std::string_view base = opcode.substr(0, std::min(opcode.find('.'), opcode.size()));
    if (base == "STL") traffic.store_bytes += WidthOf(opcode.substr(base.size()));
    if (base == "LDL") traffic.load_bytes += WidthOf(opcode.substr(base.size()));
  }
  return traffic;
}

std::string TritonOptions(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return "";
  std::vector<std::string> options;
  for (const char* name : kTritonOptions) {
    const auto value = json.find(name);
    if (value == json.end() || !(value->is_number_integer() || value->is_boolean())) continue;
    options.push_back(absl::StrCat(
        name, "=", value->is_boolean() ? (value->get<bool>() ? 1 : 0) : value->get<int64_t>()));
  }
  return absl::StrJoin(options, " ");
}

std::string FileStem(std::string_view demangled) {
  // The name ends where its arguments begin; templates and "(anonymous namespace)" nest.
  std::string name;
  int depth = 0;
  for (size_t i = 0; i < demangled.size(); ++i) {
    const char c = demangled[i];
    if (c == '(' && demangled.substr(i).starts_with("(anonymous namespace)::")) {
      i += sizeof("(anonymous namespace)::") - 2;
      continue;
    }
    if (depth == 0 && c == '(') break;
    if (c == '<') ++depth;
    if (depth == 0) {
      if (c == ' ') {
        name.clear();  // what came before was the return type
      } else {
        name += isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' ? c : '_';
      }
    }
    if (c == '>' && depth > 0) --depth;
  }
  name.resize(std::min<size_t>(name.size(), 80));
  // No name of its own begins with a dot, which would hide the file.
  if (name.empty() || name[0] == '.') name.insert(0, "kernel");
  return name;
}

}  // namespace sextant::backends::ir
