/* The file that a program with scopes in its CUDA kernels leaves, for the recorder (scope.cuh) and
 * for the importer (workers/backends/scopes). C99 and C++. Byte order is little endian.
 *
 *   sextant-scopes-<pid>-<n>.bin    one a Recorder: a device of a process
 *
 *   offset 0                        struct sextant_scopes_file
 *   SEXTANT_SCOPES_NAMES_AT         names: for each u16 length, then the bytes; `names_bytes` in all
 *   SEXTANT_SCOPES_SLOTS_AT         `slots_in_file` struct sextant_scopes_slot
 *   records_at                      records of slot 0, then of slot 1, …
 *
 * A slot is the ring of one warp. In a packed file (written at the end) a slot has the records that
 * it kept and no more: min(count, ring_records), and ring_records where it has no end. In one that is
 * not packed (written while the kernels run) each has ring_records.
 *
 * Names are the strings of the program's modules; what a record or a slot has is the id of one,
 * sextant_scopes_id(). A file may have names that no record means.
 */
#ifndef SEXTANT_DETAIL_SCOPES_FORMAT_H_
#define SEXTANT_DETAIL_SCOPES_FORMAT_H_

#ifdef __CUDACC_RTC__ /* has no headers of its own */
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

#define SEXTANT_SCOPES_VERSION 1u
#define SEXTANT_SCOPES_MAGIC "SXTSCOP"
#define SEXTANT_SCOPES_NAMES_AT 4096u
#define SEXTANT_SCOPES_MAX_NAMES_BYTES (252u * 1024u)
#define SEXTANT_SCOPES_SLOTS_AT (256u * 1024u)
#define SEXTANT_SCOPES_MAX_NAME_BYTES 1023u
#define SEXTANT_SCOPES_MAX_SLOTS (1u << 22)
#define SEXTANT_SCOPES_MIN_RING 16u        /* records; a power of two */
#define SEXTANT_SCOPES_MAX_RING (1u << 20)

/* A record is 8 bytes: u32 tag, u32 %clock. Tag, from the lowest bit:
 *   kind  3 bits, enum sextant_scopes_kind; 0: nothing was written here
 *   slot  8 bits: of a barrier, modulo 256; 0 for scopes
 *   id   21 bits: of the name */
#define SEXTANT_SCOPES_KIND_BITS 3
#define SEXTANT_SCOPES_SLOT_BITS 8
#define SEXTANT_SCOPES_ID_BITS 21

enum sextant_scopes_kind {
  SEXTANT_SCOPES_BEGIN = 1,
  SEXTANT_SCOPES_END = 2,
  SEXTANT_SCOPES_WAIT_BEGIN = 3, /* the id is the barrier's */
  SEXTANT_SCOPES_WAIT_END = 4,
  SEXTANT_SCOPES_SIGNAL = 5
};

struct sextant_scopes_slot {
  uint64_t grid;          /* %gridid: one a launch; the same for each run of a node of a graph */
  uint64_t begin_timer;   /* %globaltimer, ns, and %clock when the warp came */
  uint32_t begin_clock;
  uint32_t kernel;        /* sextant_scopes_hash of the kernel's name; 0: not written yet */
  uint32_t cta;           /* linear */
  uint32_t ctas;          /* of the launch */
  uint16_t warp;          /* in its CTA */
  uint16_t sm;
  uint32_t role;          /* sextant_scopes_id; 0: none */
  uint32_t count;         /* records written in all, modulo 2^29 */
  uint32_t end_clock;     /* when the warp left */
  uint64_t end_timer;     /* 0: it did not */
};

struct sextant_scopes_clock { /* both clocks at one moment */
  uint64_t timer;             /* %globaltimer */
  uint64_t ns;                /* CLOCK_MONOTONIC */
  uint64_t error_ns;          /* they may be so far apart; 0: was not read */
};

struct sextant_scopes_file {
  char magic[8];
  uint32_t version;
  uint32_t pid;
  uint32_t file_index;    /* n of the file's name */
  uint32_t packed;
  uint64_t image;         /* one program image, as in struct sextant_process_file */
  uint32_t device;        /* ordinal as the program sees it */
  uint32_t sms;
  uint32_t capability;    /* 90: sm_90 */
  uint32_t clock_khz;     /* of the SMs, the highest; 0: unknown */
  uint8_t uuid[16];
  uint64_t started_ns;    /* CLOCK_MONOTONIC when the Recorder was made */
  struct sextant_scopes_clock first;
  struct sextant_scopes_clock last;
  uint32_t ring_records;
  uint32_t slots;         /* there were */
  uint64_t claimed;       /* warps that asked for one; those above `slots` were not recorded */
  uint32_t slots_in_file;
  uint32_t names_bytes;
  uint64_t records_at;
  uint32_t cta_period;    /* 1: every CTA was recorded, 8: every eighth */
  uint32_t in_host_memory;
  uint32_t shared;        /* 1: rings were in shared memory */
  uint32_t ended;         /* 1: all is here; 0: the process died before the end */
  uint32_t modules;       /* translation units with kernels */
  uint32_t unused;
  char scopes[256];       /* the names that were to be recorded, joined by +; "": all */
  char error[256];        /* why nothing, or not all, could be fetched; "": it could */
  char device_name[128];
  char program[256];
};

/* FNV-1a. A literal is hashed while compiling. */
#ifdef __cplusplus
constexpr
#ifdef __CUDACC__
    __host__ __device__
#endif
    uint32_t
    sextant_scopes_hash(const char* name) {
  uint32_t hash = 2166136261u;
  for (; *name != 0; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 16777619u;
  return hash == 0 ? 1 : hash;
}
constexpr
#ifdef __CUDACC__
    __host__ __device__
#endif
    uint32_t
    sextant_scopes_id(const char* name) {
  const uint32_t hash = sextant_scopes_hash(name);
  const uint32_t id = (hash >> SEXTANT_SCOPES_ID_BITS ^ hash) & ((1u << SEXTANT_SCOPES_ID_BITS) - 1u);
  return id == 0 ? 1 : id;
}
#endif

#endif /* SEXTANT_DETAIL_SCOPES_FORMAT_H_ */
