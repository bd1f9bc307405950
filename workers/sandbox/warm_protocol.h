// What the worker and the first process of a warm container say to each other, over a socket that
// keeps messages apart (SOCK_SEQPACKET). docs/decisions/2026-11-26-warm-start.md tells the story.
//
//   init → worker   kWarmNamespace (with the mount namespace), then kWarmReady or kWarmUnable, then
//                   for each run kInitStarted or kInitFailed, and kInitEnded (InitReport's kinds)
//   worker → init   kWarmRun with four descriptors: standard input, output, error, and a file of what
//                   to run; kWarmKill: end the run that is on
//   init ↔ zygote   kWarmRun handed on as it came; "ready" or "unable WHY" when it has imported
//                   what it should; "started" from each forked process, whose pid the kernel vouches
//                   for
#pragma once

#include <stdint.h>

#include "workers/sandbox/init.h"

enum WarmKind {
  kWarmNamespace = 16,
  kWarmReady = 17,
  kWarmUnable = 18,
  kWarmRun = 19,
  kWarmKill = 20,
};

enum { kWarmTextBytes = 512, kWarmRunFds = 4 };

struct WarmMessage {
  struct InitReport report;  // kind is a WarmKind or an InitReportKind
  char text[kWarmTextBytes];  // kWarmUnable: why, zero-terminated
};

#ifdef __cplusplus
extern "C" {
#endif

// Modes of the init program. Starts `program` (the zygote) and serves the worker over `control_fd`
// until one of them is gone; the status to exit with. `enter` is called in the child before exec.
int WarmMain(int control_fd, char** program, int (*enter)(char** program));

// `sextant-init lay FD WORK RESULTS BYTES`: outside of a container, enters the mount namespace FD and
// puts a run's directories (paths inside the container) over /work and /results, fresh file systems
// in memory over /tmp and /dev/shm, and hides kWarmPasses. 0, or the number of the step that failed.
int LayMain(int argc, char** argv);

#ifdef __cplusplus
}
#endif

// Inside a warm container: the directory beneath which the runs' directories lie.
#define SEXTANT_WARM_PASSES "/sextant/passes"
