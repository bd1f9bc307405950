// The codes that a pass left (workers/inject/ir.cc, and what Triton dumps), found by the digest of
// their instructions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/backends/injected/results_tree.h"
#include "workers/inject/cubin.h"

namespace sextant::backends::ir {

inline constexpr char kTritonDump[] = "triton";         // TRITON_DUMP_DIR, beneath the results
inline constexpr char kTritonCache[] = "triton-cache";  // TRITON_CACHE_DIR

struct CodeLimits {
  size_t max_cubins = 1024;
  size_t max_triton = 4096;  // compilations
  uint64_t max_file_bytes = 64u << 20;
  uint64_t max_bytes = uint64_t{1} << 30;  // read in all
};

// One kernel's code and where its forms are, as paths beneath the results directory.
struct Code {
  std::string mangled;
  std::string sass_digest;   // hex
  std::string cubin_digest;  // hex
  int32_t frame_bytes = -1;  // local memory of a thread; −1: not known
  bool triton = false;
  std::string options;  // Triton's compile options, "num_warps=4 …"
  std::map<std::string, std::vector<std::string>> forms;  // extension → path
};

// Every code of the pass by its sass_digest. What cannot be read is in `notes`.
std::map<std::string, Code> FindCodes(const injected::ResultsTree& results,
                                      std::vector<std::string>* notes,
                                      const CodeLimits& limits = {});

// Bytes a thread stores to and loads from local memory by the text of nvdisasm, each instruction
// once: what ptxas calls spills, and local arrays too. Widths by the instruction's suffixes.
struct LocalTraffic {
  uint64_t store_bytes = 0, load_bytes = 0;
};
LocalTraffic CountLocal(std::string_view sass);

// "num_warps=4 num_stages=3 …" from Triton's metadata; "" where it is none.
std::string TritonOptions(const std::string& json);

// A file name's stem for a kernel: its name without return type, arguments and template arguments,
// at most 80 characters of [A-Za-z0-9_.-].
std::string FileStem(std::string_view demangled);

}  // namespace sextant::backends::ir
