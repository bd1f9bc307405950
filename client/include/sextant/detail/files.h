/* Making and mapping the recorder's files. Included by record.h alone; callers hold the lock. */
#ifndef SEXTANT_DETAIL_FILES_H_
#define SEXTANT_DETAIL_FILES_H_

#include <sys/uio.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Lets a mapped file grow from `from` by `bytes` of zeros, both multiples of 4096, and returns by
 * how much it did. Nothing behind the end of the file may be touched: where the disk is full, that
 * would end the program with SIGBUS. Written rather than allocated, because then the kernel takes
 * large pages, which cost a third of small ones; and not read ahead, which takes milliseconds where
 * that is set to megabytes. */
SEXTANT_SLOW_ size_t sextant_v1_grow_fd(int fd, void* map, size_t from, size_t bytes) {
  static const char zeros[SEXTANT_HEADER_BYTES] = {0};
  struct iovec pieces[SEXTANT_GROW_PAGES_];
  size_t grown = 0;
  while (grown < bytes) {
    int count = 0;
    for (size_t at = grown; at < bytes && count < (int)SEXTANT_GROW_PAGES_; count++) {
      pieces[count].iov_base = (void*)(uintptr_t)zeros;
      pieces[count].iov_len = SEXTANT_HEADER_BYTES;
      at += SEXTANT_HEADER_BYTES;
    }
    const ssize_t written = pwritev(fd, pieces, count, (off_t)(from + grown));
    if (written < 0 && errno == EINTR) continue;
    if (written < (ssize_t)SEXTANT_HEADER_BYTES) break;
    grown += (size_t)written / SEXTANT_HEADER_BYTES * SEXTANT_HEADER_BYTES;
  }
  /* Where the kernel does not know this, the pages are mapped as they are touched. */
  if (grown > 0) madvise((char*)map + from, grown, MADV_POPULATE_WRITE);
  return grown;
}

/* The same by name: no descriptor of the recorder's stays open in the program. */
SEXTANT_SLOW_ size_t sextant_v1_grow(const char* path, void* map, size_t from, size_t bytes) {
  const int saved_errno = errno;
  const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  const size_t grown = fd < 0 ? 0 : sextant_v1_grow_fd(fd, map, from, bytes);
  if (fd >= 0) close(fd);
  errno = saved_errno;
  return grown;
}

/* A new file, mapped for up to `bytes`, that has its first `ready` bytes. Null with errno. */
SEXTANT_SLOW_ void* sextant_v1_map(const char* path, size_t bytes, size_t ready) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) {
    errno = EFBIG;
    return 0;
  }
  const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return 0;
  int error = 0;
  void* const map = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    error = errno;
  } else if (sextant_v1_grow_fd(fd, map, 0, ready) < ready) {
    error = ENOSPC;
    munmap(map, bytes);
  }
  close(fd);
  if (error == 0) return map;
  unlink(path);
  errno = error;
  return 0;
}

static inline void sextant_process_path_(const struct sextant_state* state, uint32_t index,
                                         char* path, size_t bytes) {
  snprintf(path, bytes, "%s/sextant-%d-%u.process", state->directory, (int)getpid(), index);
}

static inline void sextant_buffer_path_(const struct sextant_process_file* process, uint32_t buffer,
                                        char* path, size_t bytes) {
  snprintf(path, bytes, "%s/sextant-%u-%u.%u.thread", sextant_v1_state.directory, process->pid,
           process->file_index, buffer);
}

/* True when the table of names has room for `bytes` in all. */
static inline int sextant_names_fit_(struct sextant_process_file* file, size_t bytes) {
  char path[4096];
  if (bytes > SEXTANT_NAMES_BYTES) return 0;
  while (bytes > file->names_ready) {
    sextant_process_path_(&sextant_v1_state, file->file_index, path, sizeof(path));
    const size_t grown =
        sextant_v1_grow(path, file, SEXTANT_HEADER_BYTES + file->names_ready, SEXTANT_NAMES_STEP_);
    if (grown == 0) return 0;
    file->names_ready += (uint32_t)grown;
  }
  return 1;
}

/* The id of a name; adds it to the table. 0 for the empty name and when the table is full. */
static inline uint32_t sextant_name_(struct sextant_process_file* file, const char* name) {
  char* const table = (char*)file + SEXTANT_HEADER_BYTES;
  uint16_t length = 0;
  uint32_t at = 0;
  while (length < SEXTANT_MAX_NAME_BYTES && name[length] != 0) length++;
  if (length == 0) return 0;
  for (uint32_t id = 1; id <= file->names; id++) {
    uint16_t other;
    memcpy(&other, table + at, sizeof(other));
    if (other == length && memcmp(table + at + sizeof(other), name, length) == 0) return id;
    at += (uint32_t)sizeof(other) + other;
  }
  if (file->names + 1 >= SEXTANT_MAX_NAMES ||
      !sextant_names_fit_(file, at + sizeof(length) + length)) {
    file->names_refused++;
    return 0;
  }
  memcpy(table + at, &length, sizeof(length));
  memcpy(table + at + sizeof(length), name, length);
  __atomic_store_n(&file->names_bytes, at + (uint32_t)sizeof(length) + length, __ATOMIC_RELEASE);
  __atomic_store_n(&file->names, file->names + 1, __ATOMIC_RELEASE);
  return file->names;
}

static inline void sextant_program_name_(char* name, size_t bytes) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return;
  path[length] = 0;
  const char* const slash = strrchr(path, '/');
  const char* const base = slash != 0 ? slash + 1 : path;
  memcpy(name, base, strnlen(base, bytes - 1));
}

/* True when this process has its file. Otherwise recording is over, and stderr says why. */
static inline int sextant_open_process_(struct sextant_state* state) {
  if (state->file != 0) return 1;
  if (sextant_v1_on == 0) return 0;
  const size_t bytes = SEXTANT_HEADER_BYTES + SEXTANT_NAMES_BYTES;
  struct sextant_process_file* file = 0;
  uint32_t index = 0;
  char path[4096];
  for (; index < 4096; index++) {
    sextant_process_path_(state, index, path, sizeof(path));
    file = (struct sextant_process_file*)sextant_v1_map(path, bytes,
                                                        SEXTANT_HEADER_BYTES + SEXTANT_NAMES_STEP_);
    if (file != 0 || errno != EEXIST) break;
  }
  if (file == 0) {
    fprintf(stderr, "sextant: nothing is recorded: cannot make %s: %s\n", path, strerror(errno));
    sextant_v1_on = 0;
    return 0;
  }
  file->names_ready = SEXTANT_NAMES_STEP_;
  file->version = SEXTANT_FORMAT_VERSION;
  file->clock = state->clock;
  file->pid = (uint32_t)getpid();
  file->file_index = index;
  const unsigned char* const random = (const unsigned char*)getauxval(AT_RANDOM);
  for (int i = 0; random != 0 && i < 16; i++) {
    file->image = (file->image ^ random[i]) * UINT64_C(0x100000001b3);
  }
  sextant_program_name_(file->program, sizeof(file->program));
  sextant_v1_pair(&file->first_ticks, &file->first_ns, 5);
  if (state->parent_file != 0) {
    const struct sextant_process_file* const parent = state->parent_file;
    if (sextant_names_fit_(file, parent->names_bytes)) {
      memcpy((char*)file + SEXTANT_HEADER_BYTES, (const char*)parent + SEXTANT_HEADER_BYTES,
             parent->names_bytes);
      file->names_bytes = parent->names_bytes;
      file->names = parent->names;
    }
    munmap(state->parent_file, bytes);
    state->parent_file = 0;
  }
  memcpy(file->magic, SEXTANT_PROCESS_MAGIC, sizeof(file->magic));
  state->file = file;
  return 1;
}

static inline size_t sextant_buffer_bytes_(uint32_t records) {
  return SEXTANT_HEADER_BYTES + (size_t)records * sizeof(uint64_t);
}

/* A new buffer; null when the disk is full or files may not be that large. */
static inline struct sextant_thread_file* sextant_open_buffer_(struct sextant_state* state) {
  uint32_t ready =
      state->records < SEXTANT_GROW_RECORDS_ / 8 ? state->records : SEXTANT_GROW_RECORDS_ / 8;
  char path[4096];
  sextant_buffer_path_(state->file, state->buffers, path, sizeof(path));
  struct sextant_thread_file* const buffer = (struct sextant_thread_file*)sextant_v1_map(
      path, sextant_buffer_bytes_(state->records), sextant_buffer_bytes_(ready));
  if (buffer == 0) return 0;
  buffer->version = SEXTANT_FORMAT_VERSION;
  buffer->pid = state->file->pid;
  buffer->file_index = state->file->file_index;
  buffer->buffer = state->buffers++;
  buffer->capacity = state->records;
  buffer->populated = ready;
  buffer->next_buffer = state->all;
  state->all = buffer;
  memcpy(buffer->magic, SEXTANT_THREAD_MAGIC, sizeof(buffer->magic));
  return buffer;
}

static inline void sextant_unmap_buffer_(struct sextant_state* state,
                                         struct sextant_thread_file* buffer) {
  if (buffer->counters != 0) munmap(buffer->counters, SEXTANT_COUNTER_FILE_BYTES_);
  munmap(buffer, sextant_buffer_bytes_(state->records));
}

#endif /* SEXTANT_DETAIL_FILES_H_ */
