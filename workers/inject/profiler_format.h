// The frames of the instruments `counters`, `pcsampling`, `sassmetrics` and `pmsampling` (format.h).
// Each payload is one record, or an array where that is said. Times are ns of CLOCK_MONOTONIC unless
// a field says otherwise; names are ids of kText frames, 0 is none.
#pragma once

#include <cstdint>

#include "workers/inject/format.h"

namespace sextant::inject {

// Why an instrument could not do what was asked. Followed by the sentence for the user.
enum ProfilerProblem : uint32_t {
  kUnknownMetric = 1,  // the chip has no metric of that name
  kNoPermission = 2,   // the driver keeps counters for administrators
  kBusy = 3,           // another profiler holds the counters
  kNotSupported = 4,   // by the chip, the driver, or the way the GPU is shared
  kTooManyPasses = 5,  // the metrics do not fit into one hardware pass, and must
  kOtherProblem = 6,
};

struct ProblemRecord {
  uint32_t problem;  // ProfilerProblem
  uint32_t result;   // CUptiResult, 0 where it was not CUPTI's
};

// The same numbers in all four ranges.
enum ProfilerFrame : uint32_t {
  kProblemFrame = 0,  // ProblemRecord
  kMetricFrame = 1,   // MetricRecord: metrics in the order of values, each before its first value
  kPlanFrame = 2,     // PlanRecord
  kLaunchFrame = 3,   // counters: LaunchRecord, then `metrics` doubles
                      // sassmetrics: InstructionRecord[]
                      // pcsampling: PcRecord, then its StallCount[]
                      // pmsampling: SampleRecord, then `metrics` doubles, again and again
  kCodeFrame = 4,     // CodeRecord: instructions that other records name
  kTotalFrame = 5,    // pcsampling: PcTotals
};

struct MetricRecord {
  uint32_t index;
  uint32_t name;
  uint32_t unit;      // dimension of the base metric, as CUPTI names it
  uint32_t reserved;
};

enum Replay : uint32_t {
  kKernelReplay = 1,       // a launch runs once for each hardware pass, its memory put back between
  kApplicationReplay = 2,  // every launch runs once: one hardware pass
};

struct PlanRecord {
  uint32_t device;
  uint32_t chip;             // text id: "GH100"
  uint32_t metrics;
  uint32_t hardware_passes;  // of this run's metrics
  uint32_t replay;           // Replay
  uint32_t part, parts;      // application replay: which of how many runs, from 1; else 1, 1
  uint32_t interval_ns;      // pmsampling
  uint32_t period_cycles;    // pcsampling: 0 where CUPTI did not say
  uint32_t serialized;       // pcsampling: kernels did not overlap
  uint64_t setup_ns;         // how long the instrument held the program up before its first kernel
};

// What the counters of a launch were; for several at once where a graph could not be taken apart.
struct LaunchRecord {
  int64_t launch;     // the first of them
  uint64_t begin_ns;  // the API call, replay included
  uint64_t end_ns;
  uint32_t kernel;    // mangled
  uint32_t launches;
  uint32_t grid[3];
  uint32_t block[3];
  uint32_t metrics;   // values that follow
  uint32_t graph;     // 1: from a graph
};
static_assert(sizeof(LaunchRecord) == 64);

// An executed instruction and one metric of it.
struct InstructionRecord {
  int64_t launch;      // −1: of all launches
  uint64_t value;
  uint32_t cubin_crc;  // CUPTI's
  uint32_t symbol;     // index of the function in the cubin's symbol table
  uint32_t kernel;     // mangled
  uint32_t pc;         // bytes from the function's begin
  uint32_t metric;     // index
  uint32_t reserved;
};
static_assert(sizeof(InstructionRecord) == 40);

struct PcRecord {
  uint64_t cubin_crc;
  uint64_t pc;
  uint32_t symbol;
  uint32_t kernel;       // mangled
  uint32_t correlation;  // 0: not known
  uint32_t stalls;       // StallCounts that follow
};

struct StallCount {
  uint32_t stall;    // index of a metric frame
  uint32_t samples;
};

struct PcTotals {
  uint64_t samples;    // taken, those of other kernels and dropped ones included
  uint64_t dropped;    // by the hardware
  uint64_t foreign;    // of kernels that are not the program's
  uint64_t left_out;   // PCs that did not fit into the buffer
  uint32_t buffer_full;
  uint32_t reserved;
};

// What an instruction is and where it came from. Without line information `line` is 0.
struct CodeRecord {
  uint64_t cubin_crc;
  uint32_t pc;
  uint32_t symbol;
  uint32_t kernel;
  uint32_t directory;
  uint32_t file;
  uint32_t line;
  uint32_t architecture;     // 90 for sm_90
  uint32_t bytes;            // of `instruction` that are known: 16, or 0
  uint8_t instruction[16];
  uint8_t sass_digest[32];   // of the function
};
static_assert(sizeof(CodeRecord) == 88);

// Counters of one interval.
struct SampleRecord {
  uint64_t start_ns;
  uint64_t end_ns;
  uint32_t metrics;
  uint32_t flags;  // kOverflowBefore
};
// The hardware's buffer overflowed before this sample: some are missing.
inline constexpr uint32_t kOverflowBefore = 1;

}  // namespace sextant::inject
