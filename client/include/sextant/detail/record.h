/* The recorder behind scope.h. Every function and variable of this file is weak: all translation
 * units and libraries of a process share one state. Libraries loaded with dlopen(RTLD_LOCAL) into a
 * program that does not export these symbols have a state, and so tracks, of their own.
 */
#ifndef SEXTANT_DETAIL_RECORD_H_
#define SEXTANT_DETAIL_RECORD_H_

#if !defined(__cplusplus) && defined(__STRICT_ANSI__) && !defined(_DEFAULT_SOURCE) && \
    !defined(_GNU_SOURCE)
#ifdef _FEATURES_H
#error "with a strict -std=c99, include sextant/scope.h first or compile with -D_DEFAULT_SOURCE"
#endif
#define _DEFAULT_SOURCE 1
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "sextant/detail/format.h"

#ifdef __cplusplus
extern "C" {
#define SEXTANT_ZERO_ \
  {}
#else
#define SEXTANT_ZERO_ \
  { 0 }
#endif

#define SEXTANT_SHARED_ __attribute__((weak, visibility("default")))
#define SEXTANT_SLOW_ SEXTANT_SHARED_ __attribute__((noinline, cold))
#define SEXTANT_TLS_ __attribute__((tls_model("initial-exec"))) SEXTANT_SHARED_ __thread
#define SEXTANT_GROW_RECORDS_ 8192u /* buffers grow by 64 KiB: 40 us once in 4096 scopes */
#define SEXTANT_GROW_PAGES_ 16u
#define SEXTANT_NAMES_STEP_ (4u * SEXTANT_HEADER_BYTES)
#define SEXTANT_REFUSED_ ((struct sextant_thread_file*)1)

struct sextant_perf; /* detail/counters.h: the counters of one thread */

/* One use of SEXTANT_SCOPE. */
struct sextant_site {
  const char* name;
  uint32_t region; /* 0: not known yet */
};

struct sextant_state {
  pthread_mutex_t lock; /* guards everything below, and the lists through the buffers' headers */
  struct sextant_process_file* file;        /* null in a forked child until it records */
  struct sextant_process_file* parent_file; /* there: where the names are copied from */
  struct sextant_thread_file* free;         /* buffers whose thread ended */
  struct sextant_thread_file* all;
  struct sextant_perf* perf; /* of all threads */
  const char* directory;
  const char* counters; /* null: none */
  uint32_t buffers;
  uint32_t max_buffers;
  uint32_t records;
  uint32_t clock;
  int started;
  int has_key;
  pthread_key_t key; /* its destructor gives the buffer back */
};

SEXTANT_SHARED_ struct sextant_state sextant_v1_state = SEXTANT_ZERO_;
/* 0: not recording. Set before main. */
SEXTANT_SHARED_ int sextant_v1_on = 0;
/* The buffer of this thread, where recording needs nothing but the time stamp counter; else null.
 */
SEXTANT_TLS_ struct sextant_thread_file* sextant_v1_thread = 0;
/* The buffer of this thread, or SEXTANT_REFUSED_. */
SEXTANT_TLS_ struct sextant_thread_file* sextant_v1_attached = 0;
SEXTANT_TLS_ struct sextant_perf* sextant_v1_perf = 0;

static inline uint64_t sextant_monotonic_ns_(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t sextant_counter_ticks_(void) {
#if defined(__x86_64__)
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  return sextant_monotonic_ns_();
#endif
}

static inline uint64_t* sextant_records_(struct sextant_thread_file* buffer) {
  return (uint64_t*)((char*)buffer + SEXTANT_HEADER_BYTES);
}

SEXTANT_SLOW_ void sextant_v1_turn(struct sextant_thread_file* buffer);
SEXTANT_SLOW_ void sextant_v1_record(uint64_t tag);
SEXTANT_SLOW_ uint32_t sextant_v1_intern(const char* name);

/* Appends one record. The record is written before the position that counts it. */
static inline void sextant_append_(struct sextant_thread_file* buffer, uint64_t time,
                                   uint64_t tag) {
  const uint64_t position = buffer->position;
  sextant_records_(buffer)[(uint32_t)position] = time << 16 | tag;
  __atomic_store_n(&buffer->position, position + 1, __ATOMIC_RELEASE);
  if (__builtin_expect(((position + 1) & (SEXTANT_PAGE_RECORDS - 1)) == 0, 0)) {
    sextant_v1_turn(buffer);
  }
}

static inline void sextant_record_(uint64_t tag) {
  struct sextant_thread_file* const buffer = sextant_v1_thread;
  if (__builtin_expect(buffer == 0, 0)) {
    sextant_v1_record(tag);
  } else {
    sextant_append_(buffer, sextant_counter_ticks_(), tag);
  }
}

static inline uint64_t sextant_ticks_(void) {
  return sextant_v1_state.clock == SEXTANT_CLOCK_MONOTONIC ? sextant_monotonic_ns_()
                                                           : sextant_counter_ticks_();
}

/* Takes ticks and CLOCK_MONOTONIC together: the closest of a few tries. */
SEXTANT_SLOW_ void sextant_v1_pair(uint64_t* ticks, uint64_t* ns, int tries) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < tries; i++) {
    const uint64_t before = sextant_ticks_();
    const uint64_t now = sextant_monotonic_ns_();
    const uint64_t apart = sextant_ticks_() - before;
    if (apart >= best) continue;
    best = apart;
    *ticks = before + apart / 2;
    *ns = now;
  }
}

#include "sextant/detail/counters.h"
#include "sextant/detail/files.h"

static inline void sextant_mark_(struct sextant_thread_file* buffer, uint64_t end, uint64_t what) {
  sextant_append_(buffer, (uint64_t)(buffer->thread - 1) << 28 | what,
                  (uint64_t)SEXTANT_MARK_ID << 1 | end);
}

/* At the end of a page: makes the next pages ready, or goes back to the first record. */
SEXTANT_SLOW_ void sextant_v1_turn(struct sextant_thread_file* buffer) {
  const uint64_t position = buffer->position;
  const uint32_t next = (uint32_t)position;
  if (next >= buffer->populated && next < buffer->capacity) {
    uint32_t more = buffer->capacity - next;
    if (more > SEXTANT_GROW_RECORDS_) more = SEXTANT_GROW_RECORDS_;
    char path[4096];
    sextant_buffer_path_(sextant_v1_state.file, buffer->buffer, path, sizeof(path));
    const size_t grown =
        sextant_v1_grow(path, buffer, sextant_buffer_bytes_(next), more * sizeof(uint64_t)) /
        sizeof(uint64_t);
    if (grown < more) { /* the disk is full: keep the tail in what there is */
      buffer->capacity = next + (uint32_t)grown;
      buffer->short_of_disk = 1;
    }
    buffer->populated = next + (uint32_t)grown;
  }
  if (next >= buffer->capacity) {
    __atomic_store_n(&buffer->position, ((position >> 32) + 1) << 32, __ATOMIC_RELEASE);
  }
}

/* Gives the buffer of an ending thread to the next one. Called by the C library. */
SEXTANT_SLOW_ void sextant_v1_detach(void* attached) {
  struct sextant_thread_file* const buffer = (struct sextant_thread_file*)attached;
  struct sextant_state* const state = &sextant_v1_state;
  sextant_v1_thread = 0;
  sextant_v1_attached = 0;
  unsigned cpu = 0;
  syscall(SYS_getcpu, &cpu, (void*)0, (void*)0);
  sextant_mark_(buffer, 1, (uint64_t)(buffer->role & 0x3fffu) << 14 | (cpu & 0x3fffu));
  pthread_mutex_lock(&state->lock);
  sextant_perf_close_(state);
  if (state->file != 0) sextant_v1_pair(&state->file->last_ticks, &state->file->last_ns, 1);
  buffer->thread = 0;
  buffer->next_free = state->free;
  state->free = buffer;
  pthread_mutex_unlock(&state->lock);
}

/* Finds this thread a buffer; null, and counted, when there is none. */
SEXTANT_SLOW_ struct sextant_thread_file* sextant_v1_attach(void) {
  struct sextant_state* const state = &sextant_v1_state;
  struct sextant_thread_file* buffer = 0;
  const int saved_errno = errno;
  pthread_mutex_lock(&state->lock);
  if (sextant_open_process_(state)) {
    buffer = state->file->threads < SEXTANT_MAX_THREADS ? state->free : 0;
    if (buffer != 0) {
      state->free = buffer->next_free;
    } else if (state->file->threads < SEXTANT_MAX_THREADS && state->buffers < state->max_buffers) {
      buffer = sextant_open_buffer_(state);
    }
    if (buffer == 0) {
      state->file->threads_unrecorded++;
    } else {
      buffer->tid = (uint32_t)syscall(SYS_gettid);
      buffer->role = 0;
      buffer->thread = ++state->file->threads;
      sextant_mark_(buffer, 0, buffer->tid & 0x3fffffu);
      if (state->counters != 0) sextant_perf_open_(state, buffer);
    }
  }
  pthread_mutex_unlock(&state->lock);
  sextant_v1_attached = buffer != 0 ? buffer : SEXTANT_REFUSED_;
  if (buffer != 0) {
    if (state->has_key) pthread_setspecific(state->key, buffer);
    if (state->counters == 0 && state->clock != SEXTANT_CLOCK_MONOTONIC) {
      sextant_v1_thread = buffer;
    }
  }
  errno = saved_errno;
  return buffer;
}

/* A record where more is to do than to read the counter: the thread's first, and other clocks. */
SEXTANT_SLOW_ void sextant_v1_record(uint64_t tag) {
  struct sextant_thread_file* buffer = sextant_v1_attached;
  if (buffer == SEXTANT_REFUSED_ || sextant_v1_on == 0) return;
  if (buffer == 0) {
    buffer = sextant_v1_attach();
    if (buffer == 0) return;
  }
  if (sextant_v1_perf != 0 && (tag & 1)) sextant_perf_end_(buffer, (uint32_t)(tag >> 1));
  sextant_append_(buffer, sextant_ticks_(), tag);
  if (sextant_v1_perf != 0 && !(tag & 1)) sextant_perf_begin_(buffer, (uint32_t)(tag >> 1));
}

SEXTANT_SLOW_ uint32_t sextant_v1_intern(const char* name) {
  struct sextant_state* const state = &sextant_v1_state;
  uint32_t id = 0;
  pthread_mutex_lock(&state->lock);
  if (sextant_open_process_(state)) id = sextant_name_(state->file, name);
  pthread_mutex_unlock(&state->lock);
  return id;
}

/* The region of a call site, asked for at its first use. A refused name stays refused. */
SEXTANT_SLOW_ uint32_t sextant_v1_resolve(struct sextant_site* site) {
  const char* const name = __atomic_load_n(&site->name, __ATOMIC_RELAXED);
  if (name == 0) return 0;
  const uint32_t region = sextant_v1_intern(name);
  if (region == 0) {
    __atomic_store_n(&site->name, (const char*)0, __ATOMIC_RELAXED);
  } else {
    __atomic_store_n(&site->region, region, __ATOMIC_RELAXED);
  }
  return region;
}

SEXTANT_SLOW_ void sextant_v1_role(const char* name) {
  struct sextant_thread_file* buffer = sextant_v1_attached;
  const uint32_t role = sextant_v1_intern(name);
  if (buffer == 0) buffer = sextant_v1_attach();
  if (buffer != 0 && buffer != SEXTANT_REFUSED_) buffer->role = role;
}

SEXTANT_SLOW_ void sextant_v1_before_fork(void) { pthread_mutex_lock(&sextant_v1_state.lock); }
SEXTANT_SLOW_ void sextant_v1_in_parent(void) { pthread_mutex_unlock(&sextant_v1_state.lock); }

/* A child has one thread and the parent's mappings: it leaves these, and opens its own files when
 * it records for the first time. Ids of names stay valid. */
SEXTANT_SLOW_ void sextant_v1_in_child(void) {
  struct sextant_state* const state = &sextant_v1_state;
  sextant_v1_thread = 0;
  sextant_v1_attached = 0;
  if (state->has_key) pthread_setspecific(state->key, 0);
  sextant_perf_forget_(state);
  for (struct sextant_thread_file* buffer = state->all; buffer != 0;) {
    struct sextant_thread_file* const next = buffer->next_buffer;
    sextant_unmap_buffer_(state, buffer);
    buffer = next;
  }
  state->all = 0;
  state->free = 0;
  state->buffers = 0;
  if (state->file != 0) {
    state->parent_file = state->file;
    state->file = 0;
  }
  pthread_mutex_unlock(&state->lock);
}

/* At exit, and when the library that holds the state is unloaded. */
SEXTANT_SLOW_ void sextant_v1_finish(void) {
  struct sextant_state* const state = &sextant_v1_state;
  pthread_mutex_lock(&state->lock);
  if (state->file != 0) {
    sextant_v1_pair(&state->file->last_ticks, &state->file->last_ns, 3);
    state->file->ended = 1;
  }
  if (state->has_key) pthread_key_delete(state->key);
  state->has_key = 0;
  pthread_mutex_unlock(&state->lock);
}

SEXTANT_SLOW_ uint32_t sextant_v1_number(const char* variable, uint32_t absent, uint32_t most) {
  const char* const text = getenv(variable);
  if (text == 0 || *text == 0) return absent;
  const unsigned long long value = strtoull(text, 0, 10);
  return value == 0 ? absent : value > most ? most : (uint32_t)value;
}

SEXTANT_SLOW_ uint32_t sextant_v1_clock(void) {
  const char* const wanted = getenv("SEXTANT_HOST_CLOCK");
  if (wanted != 0 && strcmp(wanted, "monotonic") == 0) return SEXTANT_CLOCK_MONOTONIC;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (wanted != 0 && strcmp(wanted, "tsc") == 0) return SEXTANT_CLOCK_TSC;
  if (__get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & 0x100u)) return SEXTANT_CLOCK_TSC;
  return SEXTANT_CLOCK_MONOTONIC;
#elif defined(__aarch64__)
  return SEXTANT_CLOCK_CNTVCT;
#else
  return SEXTANT_CLOCK_MONOTONIC;
#endif
}

/* Before main, once: decides whether this process records. */
SEXTANT_SLOW_ void sextant_v1_start(void) {
  struct sextant_state* const state = &sextant_v1_state;
  const char* const directory = getenv("SEXTANT_RESULTS");
  if (directory == 0 || *directory == 0 || state->started) return;
  state->started = 1;
  const uint32_t records =
      sextant_v1_number("SEXTANT_HOST_RECORDS", SEXTANT_DEFAULT_RECORDS, SEXTANT_MAX_RECORDS);
  state->records =
      (records + SEXTANT_PAGE_RECORDS - 1) / SEXTANT_PAGE_RECORDS * SEXTANT_PAGE_RECORDS;
  state->max_buffers =
      sextant_v1_number("SEXTANT_HOST_BUFFERS", SEXTANT_DEFAULT_BUFFERS, SEXTANT_MAX_THREADS);
  state->clock = sextant_v1_clock();
  state->directory = strdup(directory);
  const char* const counters = getenv("SEXTANT_HOST_COUNTERS");
  if (counters != 0 && *counters != 0) state->counters = strdup(counters);
  state->has_key = pthread_key_create(&state->key, sextant_v1_detach) == 0;
  sextant_v1_on = 1;
  if (state->directory == 0 || !sextant_open_process_(state)) return;
  atexit(sextant_v1_finish);
  pthread_atfork(sextant_v1_before_fork, sextant_v1_in_parent, sextant_v1_in_child);
}

static __attribute__((constructor(101), used)) void sextant_start_(void) { sextant_v1_start(); }

#ifdef __cplusplus
}  // extern "C"
#endif
#endif /* SEXTANT_DETAIL_RECORD_H_ */
