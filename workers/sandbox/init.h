// What the first process inside the sandbox reports to the worker: fixed-size records over a pipe,
// each smaller than PIPE_BUF and so never torn.
#pragma once

#include <stdint.h>

enum InitReportKind {
  kInitStarted = 1,  // the program runs
  kInitFailed = 2,   // it could not be started: `value` is errno
  kInitEnded = 3,    // `value` is its wait status, the rest what it and its children used
};

struct InitReport {
  uint32_t kind;
  int32_t value;
  int64_t cpu_us;
  int64_t peak_bytes;  // of the largest single process
};
