/* The files a recording process leaves in $SEXTANT_RESULTS, for the recorder (scope.h) and for the
 * importer (workers/backends/host). C99 and C++. Byte order and alignment are the machine's: files
 * are read on the machine that wrote them.
 *
 *   sextant-<pid>-<n>.process      one a process: clock, names, what was lost. n counts up where
 * one pid makes several (exec, libraries that share no state) sextant-<pid>-<n>.<m>.thread records
 * of the m-th buffer: of one thread, and after its end of the next thread that takes the buffer
 * over sextant-<pid>-<n>.<m>.counters sums of hardware and software counters of that buffer's
 * threads
 *
 * Every file is mapped while it is written, so what was recorded survives SIGKILL. A record is
 * complete before `position` counts it.
 */
#ifndef SEXTANT_DETAIL_FORMAT_H_
#define SEXTANT_DETAIL_FORMAT_H_

#include <stdint.h>

#define SEXTANT_FORMAT_VERSION 1u
#define SEXTANT_HEADER_BYTES 4096u /* of each file; the payload follows */
#define SEXTANT_PROCESS_MAGIC "SXTPROC"
#define SEXTANT_THREAD_MAGIC "SXTTHRD"
#define SEXTANT_COUNTERS_MAGIC "SXTCNTR"

#define SEXTANT_MAX_NAMES 4096u     /* regions and roles together; id 0 is the empty name */
#define SEXTANT_MAX_NAME_BYTES 255u /* longer names are cut */
#define SEXTANT_NAMES_BYTES (256u * 1024u)
#define SEXTANT_MAX_THREADS ((1u << 20) - 1u) /* in a process, one after the other */
#define SEXTANT_PAGE_RECORDS 512u             /* capacity of a buffer is a multiple of it */
#define SEXTANT_DEFAULT_RECORDS (1u << 20)
#define SEXTANT_MAX_RECORDS (1u << 24) /* 128 MiB a buffer */
#define SEXTANT_DEFAULT_BUFFERS 1024u  /* threads recorded at one time */

/* A record is 8 bytes: ticks modulo 2^48 in the upper 48 bits, 15 bits of name id, 1 bit "end".
 * With the reserved id it is a mark instead, and the upper 48 bits say which thread:
 *   start  thread index (20 bits), 6 bits 0, thread id of the system (22 bits)
 *   end    thread index (20 bits), role id (14 bits), CPU (14 bits): the role that counts */
#define SEXTANT_MARK_ID 0x7fffu
#define SEXTANT_TICK_BITS 48

enum sextant_clock {
  SEXTANT_CLOCK_TSC = 1,      /* x86-64 time stamp counter, constant rate */
  SEXTANT_CLOCK_CNTVCT = 2,   /* arm64 virtual counter */
  SEXTANT_CLOCK_MONOTONIC = 3 /* CLOCK_MONOTONIC, ns: where there is no such counter */
};

struct sextant_process_file {
  char magic[8];
  uint32_t version;
  uint32_t clock; /* enum sextant_clock */
  uint32_t pid;
  uint32_t file_index;  /* n of the file's name */
  uint64_t image;       /* one program image: same in all state of a process until it execs */
  uint64_t first_ticks; /* taken together when recording began */
  uint64_t first_ns;    /* CLOCK_MONOTONIC */
  uint64_t last_ticks;  /* taken together when a thread or the process ended; 0: never */
  uint64_t last_ns;
  uint32_t threads;            /* started to record so far */
  uint32_t threads_unrecorded; /* found no buffer: all were taken, or the disk was full */
  uint32_t names;              /* in the table, the empty one not counted */
  uint32_t names_bytes;        /* of the table: for each name u16 length, then the bytes */
  uint32_t names_refused;      /* the table was full: scopes of these were not recorded */
  uint32_t ended;              /* 1: exit() was reached */
  uint32_t names_ready;        /* bytes of the table that the file has */
  uint32_t unused;
  char program[256]; /* as the kernel names it, zero-terminated */
};

struct sextant_thread_file {
  char magic[8];
  uint32_t version;
  uint32_t pid;
  uint32_t file_index; /* of its process file */
  uint32_t buffer;     /* m of the file's name */
  uint64_t position;   /* upper 32 bits: times the buffer was filled; lower: next record */
  uint32_t capacity;   /* records */
  uint32_t populated;  /* records whose pages exist */
  uint32_t thread;     /* index of the thread that has the buffer, plus 1; 0: none has */
  uint32_t role;       /* its name id */
  uint32_t tid;
  uint32_t short_of_disk; /* 1: capacity is less than asked for, the file could not grow */
  /* The recorder's own, meaningless to a reader: */
  struct sextant_thread_file* next_free;
  struct sextant_thread_file* next_buffer;
  struct sextant_counter_file* counters;
};

/* ---- counters ---------------------------------------------------------------------------------*/

#define SEXTANT_MAX_COUNTERS 8u
#define SEXTANT_COUNTER_SLOTS 4096u /* power of two; (role, region) pairs of one buffer */
#define SEXTANT_COUNTER_DEPTH 128u  /* scopes nested deeper are not counted */

struct sextant_counter_slot { /* open addressing by (role, region) */
  uint32_t key;               /* role id << 16 | region id; 0: free */
  uint32_t unused;
  uint64_t instances;
  uint64_t sums[SEXTANT_MAX_COUNTERS]; /* inclusive; a region inside itself is counted once */
};

struct sextant_counter_file {
  char magic[8];
  uint32_t version;
  uint32_t pid;
  uint32_t file_index;
  uint32_t buffer;
  uint32_t counters;      /* asked for */
  uint32_t slots_refused; /* sums lost because the table was full */
  uint32_t too_deep;      /* scopes not counted: nested deeper than SEXTANT_COUNTER_DEPTH */
  uint32_t read_failures;
  uint64_t enabled_ns; /* how long the counters were switched on, over all threads … */
  uint64_t running_ns; /* … and how long the hardware really counted */
  char names[SEXTANT_MAX_COUNTERS][24];
  int32_t errors[SEXTANT_MAX_COUNTERS]; /* errno with which the kernel refused; 0: it counts */
};

#endif /* SEXTANT_DETAIL_FORMAT_H_ */
