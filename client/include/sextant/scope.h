/* Regions of CPU threads, recorded when the program runs under Sextant. Header-only; C++17 and C99;
 * needs libc and POSIX threads on Linux (elsewhere everything below compiles to nothing).
 *
 *   #include "sextant/scope.h"
 *
 *   void Loader() {
 *     sextant_role("producer");            // what this thread does; its lane in the timeline
 *     while (...) {
 *       SEXTANT_SCOPE("load");             // from here to the end of the block
 *       ...
 *     }
 *   }
 *
 * Cost. Not under Sextant: one load and one predictable branch a scope. Recording: two reads of the
 * time stamp counter and two stores of 8 bytes; bench/scope.cc measures it. Compiled with
 * -DSEXTANT_DISABLE: nothing at all.
 *
 * What is recorded: start and end of each scope in ticks of a constant-rate counter (converted to
 * ns afterwards), per thread, in a circular buffer whose tail is kept. Any thread may record at any
 * time, but not a signal handler. A forked child records into files of its own. Recording never
 * fails towards the program: what could not be recorded is counted and reported with the result.
 *
 * Environment, set by the worker's `host` backend:
 *   SEXTANT_RESULTS        directory for the files; unset: nothing is recorded
 *   SEXTANT_HOST_RECORDS   records a thread keeps (two a scope), default 1048576 = 8 MiB of disk
 *   SEXTANT_HOST_BUFFERS   threads recorded at one time, default 1024
 *   SEXTANT_HOST_CLOCK     "tsc" or "monotonic"; default: the best there is
 *   SEXTANT_HOST_COUNTERS  "cycles,instructions,…": also sum these over each region
 * (detail/counters.h); a scope then costs two system calls
 */
#ifndef SEXTANT_SCOPE_H_
#define SEXTANT_SCOPE_H_

#if !defined(SEXTANT_DISABLE) && !(defined(__linux__) && defined(__GNUC__))
#define SEXTANT_DISABLE
#endif

#define SEXTANT_JOIN_INNER_(a, b) a##b
#define SEXTANT_JOIN_(a, b) SEXTANT_JOIN_INNER_(a, b)

#ifdef SEXTANT_DISABLE

#define SEXTANT_SCOPE(name) ((void)0)
#define sextant_role(name) ((void)0)
#define sextant_region(name) 0u
#define sextant_scope_begin(region) ((void)0)
#define sextant_scope_end(region) ((void)0)
#define sextant_recording() 0

#else

#include "sextant/detail/record.h"

/* Records from here to the end of the enclosing block under `name`, a string literal of at most 255
 * bytes. Scopes nest; leaving by return, break or (C++) an exception ends them. In C the end is
 * recorded by the `cleanup` attribute. At most 4,095 different names of regions and roles. */
#define SEXTANT_SCOPE(name) SEXTANT_SCOPE_NUMBERED_(name, __COUNTER__)
#define SEXTANT_SCOPE_NUMBERED_(name, n) \
  SEXTANT_SCOPE_NAMED_(name, SEXTANT_JOIN_(sextant_site_, n), SEXTANT_JOIN_(sextant_scope_, n))
#ifdef __cplusplus
#define SEXTANT_SCOPE_NAMED_(name, site, scope)   \
  static struct sextant_site site = {"" name, 0}; \
  const ::sextant::Scope scope(&site)
#else
#define SEXTANT_SCOPE_NAMED_(name, site, scope)                                 \
  static struct sextant_site site = {"" name, 0};                               \
  __attribute__((cleanup(sextant_scope_leave_), unused)) const uint32_t scope = \
      sextant_scope_enter_(&site)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Names what this thread does. The last call before the thread ends counts; at most 255 bytes. */
static inline void sextant_role(const char* name) {
  if (__builtin_expect(sextant_v1_on, 0)) sextant_v1_role(name);
}

/* The id of a region for sextant_scope_begin and _end; 0, which these ignore, when not recording or
 * when there are too many names. Valid in the whole process and in its forks. Takes a lock. */
static inline uint32_t sextant_region(const char* name) {
  return __builtin_expect(sextant_v1_on, 0) ? sextant_v1_intern(name) : 0u;
}

/* For regions that are no block. Begin and end on one thread, properly nested with the others: an
 * end without a begin is counted and ignored, and so is a begin whose outer region ends first. */
static inline void sextant_scope_begin(uint32_t region) {
  if (region != 0) sextant_record_((uint64_t)region << 1);
}
static inline void sextant_scope_end(uint32_t region) {
  if (region != 0) sextant_record_((uint64_t)region << 1 | 1u);
}

/* 1 when this process records. */
static inline int sextant_recording(void) { return sextant_v1_on != 0; }

static inline uint32_t sextant_scope_enter_(struct sextant_site* site) {
  uint32_t region = 0;
  if (__builtin_expect(sextant_v1_on, 0)) {
    region = __atomic_load_n(&site->region, __ATOMIC_RELAXED);
    if (__builtin_expect(region == 0, 0)) region = sextant_v1_resolve(site);
    sextant_scope_begin(region);
  }
  return region;
}
static inline void sextant_scope_leave_(const uint32_t* region) { sextant_scope_end(*region); }

#ifdef __cplusplus
}  // extern "C"

namespace sextant {

// What SEXTANT_SCOPE makes. Lives on one thread's stack.
class Scope {
 public:
  explicit Scope(struct sextant_site* site) : region_(sextant_scope_enter_(site)) {}
  ~Scope() { sextant_scope_end(region_); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  const uint32_t region_;
};

}  // namespace sextant
#endif

#endif /* SEXTANT_DISABLE */
#endif /* SEXTANT_SCOPE_H_ */
