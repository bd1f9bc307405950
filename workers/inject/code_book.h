// What the instructions are that samples and counts refer to: their bytes, their function's digest,
// their source lines. Keeps the cubins that were loaded, because lines are asked for later.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "workers/inject/cubin.h"
#include "workers/inject/instruments.h"
#include "workers/inject/profiler_format.h"

namespace sextant::inject {

// Thread-safe. Writes to the session's file in frames of `range`.
class CodeBook {
 public:
  CodeBook(Session& session, uint32_t range) : session_(session), range_(range) {}

  void AddModule(std::string_view cubin);

  // Notes an instruction that a record names; its CodeRecord is written by Write().
  void Add(uint64_t cubin_crc, uint32_t symbol, const char* kernel, uint32_t pc);

  // Writes the records of instructions added since.
  void Write();

 private:
  struct Module {
    std::string bytes;
    Cubin cubin;
  };
  struct Function {
    const Module* module = nullptr;
    const CubinKernel* kernel = nullptr;
    Sha256Digest digest = {};
    std::unordered_set<uint32_t> known;  // pcs
  };

  Function* Find(uint64_t cubin_crc, uint32_t symbol, const char* kernel);
  void Line(const Function& function, const char* kernel, CodeRecord* record);

  Session& session_;
  const uint32_t range_;
  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  // Guarded by lock_:
  std::unordered_map<uint64_t, std::unique_ptr<Module>> modules_;  // by CRC
  std::unordered_map<std::string, Function> functions_;            // by CRC and name
  uint64_t held_bytes_ = 0;
  bool full_ = false;
  std::vector<CodeRecord> pending_;
};

}  // namespace sextant::inject
