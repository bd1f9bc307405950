// The files that the injection library leaves: one for each process and instrument, named
// inject-<pid>-<instrument>.bin. Written by workers/inject, read back by workers/backends/inject as
// hostile. Little-endian, like every machine that CUDA runs on.
//
//   0     FileHeader, 4096 bytes; mapped by the writer, so that it is true at any time it dies
//   4096  frames: FrameHeader, payload, zeros up to the next multiple of 8
//
// A frame is appended by one writev(2): a process that is killed loses at most the last frame.
// After a write that was cut short (disk full, size limit) nothing more is appended; what is lost
// then is counted in the header.
//
// This header is C-like on purpose: no dependency but <stdint.h>.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sextant::inject {

inline constexpr char kFileMagic[8] = {'S', 'X', 'I', 'N', 'J', 'E', 'C', 'T'};
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint32_t kHeaderBytes = 4096;
inline constexpr uint32_t kMaxPayloadBytes = 16u << 20;

enum FileState : uint32_t {
  kOpened = 1,   // the process has CUDA; the instrument did not start yet
  kStarted = 2,  // it records
  kStopped = 3,  // it was stopped in order, and everything recorded was written
  kFailed = 4,   // it could not start: `failure` says why
};

struct FileHeader {
  char magic[8];
  uint32_t version;
  uint32_t state;  // FileState
  uint32_t pid;
  uint32_t parent_pid;
  uint64_t process_start_ticks;  // field 22 of /proc/self/stat: with the pid it names the process
  uint64_t opened_monotonic_ns;
  uint64_t opened_unix_ns;
  uint64_t last_write_monotonic_ns;
  uint64_t frames;
  uint64_t dropped_frames;   // could not be written
  uint64_t dropped_records;  // lost by CUPTI before they came to us
  uint32_t write_errno;      // of the write that was cut short, or 0
  uint32_t inside;           // threads that are inside the library now
  uint32_t cupti_version;
  uint32_t driver_version;
  char instrument[32];
  char program[256];   // its executable
  char failure[1024];  // a sentence, when state is kFailed
};
static_assert(sizeof(FileHeader) <= kHeaderBytes);

struct FrameHeader {
  uint32_t length;  // of the payload
  uint32_t type;    // FrameType
  uint32_t check;   // CheckBegin(type), the payload, CheckEnd
  uint32_t reserved;
};
static_assert(sizeof(FrameHeader) == 16);

// What a payload is. Numbers never change their meaning; each instrument has its own range, and a
// header that describes them (activity_format.h, …).
enum FrameType : uint32_t {
  kText = 1,      // u64 id, bytes: names that records refer to by id, before their first use
  kNote = 2,      // bytes: a sentence for PassResult.notes
  kModule = 3,    // ModuleRecord
  kFunction = 4,  // FunctionRecord
  kActivityFrames = 16,
  kIrFrames = 48,
  kCounterFrames = 64,
  kPcSamplingFrames = 96,
  kSassMetricsFrames = 128,
  kPmSamplingFrames = 160,
};

// A cubin that was loaded.
struct ModuleRecord {
  uint64_t loaded_monotonic_ns;
  uint32_t module;  // CUPTI's id, unique in the process
  uint32_t context;
  uint64_t cubin_bytes;
  uint8_t cubin_digest[32];  // SHA-256
};

// A kernel of it.
struct FunctionRecord {
  uint32_t module;
  uint32_t name;         // text id; mangled
  uint32_t symbol;       // index in the cubin's symbol table, which some tools call function index
  uint32_t code_bytes;   // of its instructions
  // What the cubin says of it; −1: nothing.
  int32_t registers;
  int32_t frame_bytes;   // local memory of a thread
  int32_t shared_bytes;  // static
  int32_t max_threads;   // of a block
  uint8_t sass_digest[32];  // SHA-256 of its instructions alone
};

// FNV-1a, eight bytes a step, 32 bits of it. Finds torn and foreign frames, not forgeries. A payload
// may be hashed in pieces where all but the last are multiples of 8 bytes long.
inline uint64_t CheckBegin(uint32_t type) { return 0xcbf29ce484222325u ^ type; }
inline uint64_t CheckMore(uint64_t hash, const void* bytes, size_t count) {
  const unsigned char* at = static_cast<const unsigned char*>(bytes);
  for (; count >= 8; count -= 8, at += 8) {
    uint64_t word;
    __builtin_memcpy(&word, at, 8);
    hash = (hash ^ word) * 0x100000001b3u;
    hash ^= hash >> 29;
  }
  for (; count > 0; --count, ++at) hash = (hash ^ *at) * 0x100000001b3u;
  return hash;
}
inline uint32_t CheckEnd(uint64_t hash) { return static_cast<uint32_t>(hash ^ (hash >> 32)); }

}  // namespace sextant::inject
