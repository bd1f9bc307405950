/* Counters summed over regions, for SEXTANT_HOST_COUNTERS. Included by record.h alone.
 *
 * Hardware counters come from one perf_event_open(2) group a thread, user space only, read by RDPMC
 * where the kernel allows it and by read(2) else. task-clock, page-faults and context-switches come
 * from clock_gettime(2) and getrusage(2), which need no permission. What the kernel refuses stays
 * out, with its errno in the file.
 */
#ifndef SEXTANT_DETAIL_COUNTERS_H_
#define SEXTANT_DETAIL_COUNTERS_H_

#include <linux/perf_event.h>

SEXTANT_SLOW_ void* sextant_v1_map(const char* path, size_t bytes, size_t ready);

#define SEXTANT_COUNTER_FILE_BYTES_ \
  (SEXTANT_HEADER_BYTES + SEXTANT_COUNTER_SLOTS * sizeof(struct sextant_counter_slot))
#define SEXTANT_THREAD_CPU_CLOCK_ 1u /* sources of software counters */
#define SEXTANT_PAGE_FAULTS_ 2u
#define SEXTANT_CONTEXT_SWITCHES_ 3u
#define SEXTANT_SOFTWARE_ 100u /* stands for a perf event type: a source above is meant */

struct sextant_perf {
  struct sextant_perf* next; /* of all threads */
  struct sextant_perf* previous;
  int fds[SEXTANT_MAX_COUNTERS];             /* of hardware counters, the leader first */
  uint32_t fd_counter[SEXTANT_MAX_COUNTERS]; /* which counter each is */
  struct perf_event_mmap_page* pages[SEXTANT_MAX_COUNTERS];
  uint32_t hardware;
  uint32_t software[SEXTANT_MAX_COUNTERS]; /* source of each counter; 0: none */
  uint32_t needs_clock, needs_usage;
  uint32_t depth;
  uint32_t skipped; /* scopes open beyond the deepest counted */
  struct {
    uint32_t region;
    uint64_t values[SEXTANT_MAX_COUNTERS];
  } stack[SEXTANT_COUNTER_DEPTH];
};

/* Type and configuration of a counter by its name; false: no such counter. */
static inline int sextant_counter_named_(const char* name, uint32_t* type, uint64_t* config) {
  static const struct {
    const char* name;
    uint32_t type;
    uint64_t config;
  } kinds[] = {
      {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
      {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
      {"cache-references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES},
      {"cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
      {"branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
      {"branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
      {"ref-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES},
      {"task-clock", SEXTANT_SOFTWARE_, SEXTANT_THREAD_CPU_CLOCK_},
      {"page-faults", SEXTANT_SOFTWARE_, SEXTANT_PAGE_FAULTS_},
      {"context-switches", SEXTANT_SOFTWARE_, SEXTANT_CONTEXT_SWITCHES_},
  };
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    if (strcmp(kinds[i].name, name) != 0) continue;
    *type = kinds[i].type;
    *config = kinds[i].config;
    return 1;
  }
  return 0;
}

/* 0, or the errno with which this thread cannot have the counter. */
static inline int sextant_perf_add_(struct sextant_perf* perf, uint32_t counter, const char* name) {
  struct perf_event_attr attr;
  uint32_t type = 0;
  uint64_t config = 0;
  if (!sextant_counter_named_(name, &type, &config)) return EINVAL;
  if (type == SEXTANT_SOFTWARE_) {
    perf->software[counter] = (uint32_t)config;
    if (config == SEXTANT_THREAD_CPU_CLOCK_) perf->needs_clock = 1;
    if (config != SEXTANT_THREAD_CPU_CLOCK_) perf->needs_usage = 1;
    return 0;
  }
  memset(&attr, 0, sizeof(attr));
  attr.size = sizeof(attr);
  attr.type = type;
  attr.config = config;
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  attr.read_format =
      PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  const int leader = perf->hardware != 0 ? perf->fds[0] : -1;
  const int fd =
      (int)syscall(SYS_perf_event_open, &attr, 0, -1, leader, (unsigned long)PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return errno;
  void* const page = mmap(0, SEXTANT_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
  perf->pages[perf->hardware] =
      page == MAP_FAILED ? (struct perf_event_mmap_page*)0 : (struct perf_event_mmap_page*)page;
  perf->fds[perf->hardware] = fd;
  perf->fd_counter[perf->hardware++] = counter;
  return 0;
}

/* Opens the counters of this thread into the file of its buffer. Nothing on failure. */
static inline void sextant_perf_open_(struct sextant_state* state,
                                      struct sextant_thread_file* buffer) {
  if (buffer->counters == 0) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/sextant-%u-%u.%u.counters", state->directory, buffer->pid,
             buffer->file_index, buffer->buffer);
    struct sextant_counter_file* const file = (struct sextant_counter_file*)sextant_v1_map(
        path, SEXTANT_COUNTER_FILE_BYTES_, SEXTANT_COUNTER_FILE_BYTES_);
    if (file == 0) return;
    file->version = SEXTANT_FORMAT_VERSION;
    file->pid = buffer->pid;
    file->file_index = buffer->file_index;
    file->buffer = buffer->buffer;
    for (const char* at = state->counters; *at != 0 && file->counters < SEXTANT_MAX_COUNTERS;) {
      const size_t length = strcspn(at, ",+");
      const size_t most = sizeof(file->names[0]) - 1;
      memcpy(file->names[file->counters++], at, length < most ? length : most);
      at += length + (at[length] != 0);
    }
    memcpy(file->magic, SEXTANT_COUNTERS_MAGIC, sizeof(file->magic));
    buffer->counters = file;
  }
  struct sextant_perf* const perf = (struct sextant_perf*)calloc(1, sizeof(*perf));
  if (perf == 0) return;
  for (uint32_t i = 0; i < buffer->counters->counters; i++) {
    const int error = sextant_perf_add_(perf, i, buffer->counters->names[i]);
    if (error != 0) buffer->counters->errors[i] = error;
  }
  perf->next = state->perf;
  if (perf->next != 0) perf->next->previous = perf;
  state->perf = perf;
  sextant_v1_perf = perf;
}

static inline void sextant_perf_release_(struct sextant_perf* perf) {
  for (uint32_t i = 0; i < perf->hardware; i++) {
    if (perf->pages[i] != 0) munmap(perf->pages[i], SEXTANT_HEADER_BYTES);
    close(perf->fds[i]);
  }
  free(perf);
}

/* The end of this thread. */
static inline void sextant_perf_close_(struct sextant_state* state) {
  struct sextant_perf* const perf = sextant_v1_perf;
  if (perf == 0) return;
  if (perf->next != 0) perf->next->previous = perf->previous;
  if (perf->previous != 0) perf->previous->next = perf->next;
  if (state->perf == perf) state->perf = perf->next;
  sextant_v1_perf = 0;
  sextant_perf_release_(perf);
}

/* A forked child: no counter of the parent's is the child's. */
static inline void sextant_perf_forget_(struct sextant_state* state) {
  while (state->perf != 0) {
    struct sextant_perf* const perf = state->perf;
    state->perf = perf->next;
    sextant_perf_release_(perf);
  }
  sextant_v1_perf = 0;
}

/* One hardware counter without a system call; false where the kernel does not offer it now. */
static inline int sextant_rdpmc_(const struct perf_event_mmap_page* page, uint64_t* value) {
#if defined(__x86_64__)
  uint32_t sequence;
  do {
    sequence = __atomic_load_n(&page->lock, __ATOMIC_ACQUIRE);
    const uint32_t index = page->index;
    if (!page->cap_user_rdpmc || index == 0) return 0;
    uint32_t low, high;
    __asm__ volatile("rdpmc" : "=a"(low), "=d"(high) : "c"(index - 1));
    const uint32_t unused_bits = 64u - page->pmc_width;
    const int64_t count = (int64_t)(((uint64_t)high << 32 | low) << unused_bits) >> unused_bits;
    *value = (uint64_t)(page->offset + count);
    __asm__ volatile("" ::: "memory"); /* loads stay in order on x86 */
  } while (__atomic_load_n(&page->lock, __ATOMIC_RELAXED) != sequence);
  return 1;
#else
  (void)page;
  (void)value;
  return 0;
#endif
}

static inline void sextant_perf_read_(struct sextant_perf* perf, struct sextant_counter_file* file,
                                      uint64_t* values) {
  struct timespec cpu;
  struct rusage usage;
  if (perf->needs_clock) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  if (perf->needs_usage) getrusage(1 /* RUSAGE_THREAD */, &usage);
  for (uint32_t i = 0; i < file->counters; i++) {
    if (perf->software[i] == SEXTANT_THREAD_CPU_CLOCK_) {
      values[i] = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
    } else if (perf->software[i] == SEXTANT_PAGE_FAULTS_) {
      values[i] = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    } else if (perf->software[i] == SEXTANT_CONTEXT_SWITCHES_) {
      values[i] = (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
    }
  }
  if (perf->hardware == 0) return;
  uint32_t read_by_hand = 0;
  while (read_by_hand < perf->hardware && perf->pages[read_by_hand] != 0 &&
         sextant_rdpmc_(perf->pages[read_by_hand], &values[perf->fd_counter[read_by_hand]])) {
    read_by_hand++;
  }
  if (read_by_hand == perf->hardware) return;
  uint64_t group[3 + SEXTANT_MAX_COUNTERS]; /* count, enabled, running, values */
  const ssize_t bytes = (ssize_t)((3 + perf->hardware) * sizeof(uint64_t));
  if (read(perf->fds[0], group, sizeof(group)) != bytes) {
    file->read_failures++;
    return;
  }
  for (uint32_t i = 0; i < perf->hardware; i++) values[perf->fd_counter[i]] = group[3 + i];
  __atomic_store_n(&file->enabled_ns, group[1], __ATOMIC_RELAXED);
  __atomic_store_n(&file->running_ns, group[2], __ATOMIC_RELAXED);
}

static inline void sextant_perf_begin_(struct sextant_thread_file* buffer, uint32_t region) {
  struct sextant_perf* const perf = sextant_v1_perf;
  if (perf->depth >= SEXTANT_COUNTER_DEPTH) {
    perf->skipped++;
    buffer->counters->too_deep++;
    return;
  }
  perf->stack[perf->depth].region = region;
  const int saved_errno = errno;
  memset(perf->stack[perf->depth].values, 0, sizeof(perf->stack[0].values));
  sextant_perf_read_(perf, buffer->counters, perf->stack[perf->depth].values);
  perf->depth++;
  errno = saved_errno;
}

static inline struct sextant_counter_slot* sextant_counter_slot_(struct sextant_counter_file* file,
                                                                 uint32_t key) {
  struct sextant_counter_slot* const slots =
      (struct sextant_counter_slot*)((char*)file + SEXTANT_HEADER_BYTES);
  for (uint32_t i = 0; i < SEXTANT_COUNTER_SLOTS; i++) {
    struct sextant_counter_slot* const slot =
        &slots[(key * 2654435761u + i) & (SEXTANT_COUNTER_SLOTS - 1)];
    if (slot->key == 0) slot->key = key;
    if (slot->key == key) return slot;
  }
  file->slots_refused++;
  return 0;
}

static inline void sextant_perf_end_(struct sextant_thread_file* buffer, uint32_t region) {
  struct sextant_perf* const perf = sextant_v1_perf;
  if (perf->skipped != 0) {
    perf->skipped--;
    return;
  }
  uint32_t at = perf->depth;
  while (at > 0 && perf->stack[at - 1].region != region) at--;
  if (at == 0) return; /* an end without a begin */
  perf->depth = --at;
  int inside_itself = 0;
  for (uint32_t i = 0; i < at; i++) inside_itself |= perf->stack[i].region == region;
  struct sextant_counter_slot* const slot =
      sextant_counter_slot_(buffer->counters, buffer->role << 16 | region);
  if (slot == 0) return;
  slot->instances++;
  if (inside_itself) return;
  uint64_t now[SEXTANT_MAX_COUNTERS];
  memset(now, 0, sizeof(now));
  const int saved_errno = errno;
  sextant_perf_read_(perf, buffer->counters, now);
  errno = saved_errno;
  for (uint32_t i = 0; i < buffer->counters->counters; i++) {
    const uint64_t before = perf->stack[at].values[i];
    slot->sums[i] += now[i] > before ? now[i] - before : 0;
  }
}

#endif /* SEXTANT_DETAIL_COUNTERS_H_ */
