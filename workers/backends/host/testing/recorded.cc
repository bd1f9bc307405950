// A program that records in the way its first argument names, for host_backend_test.cc.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sextant/scope.h"

extern "C" void RecordFromC(void);  // recorded_c.c
#ifndef SEXTANT_LOADER
extern "C" void RecordFromLibrary(void);  // recorded_library.cc
#else
static void RecordFromLibrary() {}
#endif

namespace {

void Nested(int times) {
  for (int i = 0; i < times; ++i) {
    SEXTANT_SCOPE("outer");
    SEXTANT_SCOPE("inner");
  }
}

void Recurse(int depth) {
  SEXTANT_SCOPE("recursive");
  if (depth > 1) Recurse(depth - 1);
}

void Throw() {
  try {
    SEXTANT_SCOPE("thrown");
    throw 1;
  } catch (int) {
  }
}

// Threads one after the other.
void Churn(int threads) {
  for (int i = 0; i < threads; ++i) {
    std::thread([] {
      sextant_role("short");
      SEXTANT_SCOPE("brief");
    }).join();
  }
}

// Threads that all record before any of them ends.
void Together(int threads) {
  pthread_barrier_t all;
  pthread_barrier_init(&all, nullptr, threads);
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&all] {
      sextant_role("together");
      { SEXTANT_SCOPE("before"); }
      pthread_barrier_wait(&all);
    });
  }
  for (std::thread& thread : running) thread.join();
}

void Fork() {
  sextant_role("parent");
  SEXTANT_SCOPE("around");
  const pid_t child = fork();
  if (child == 0) {
    sextant_role("child");
    { SEXTANT_SCOPE("in_child"); }
    std::exit(0);
  }
  waitpid(child, nullptr, 0);
}

void Unbalanced() {
  const uint32_t a = sextant_region("a");
  const uint32_t b = sextant_region("b");
  sextant_scope_end(a);  // an end without a begin
  sextant_scope_begin(a);
  sextant_scope_begin(b);  // a begin without an end
  sextant_scope_end(a);
}

// The library once more, as a plugin that is loaded and unloaded.
void Plugin() {
  for (int i = 0; i < 2; ++i) {
    void* const plugin = dlopen(SEXTANT_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) std::abort();
    reinterpret_cast<void (*)()>(dlsym(plugin, "RecordFromLibrary"))();
    std::thread(reinterpret_cast<void (*)()>(dlsym(plugin, "RecordFromLibrary"))).join();
    dlclose(plugin);
  }
}

void ManyNames(int names) {
  for (int i = 0; i < names; ++i) {
    const uint32_t region = sextant_region(("name" + std::to_string(i)).c_str());
    sextant_scope_begin(region);
    sextant_scope_end(region);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int count = argc > 2 ? std::atoi(argv[2]) : 1;
  if (what == "nothing") return 0;
  if (what == "nested") sextant_role("main"), Nested(count);
  if (what == "recursive") Recurse(count);
  if (what == "throw") Throw();
  if (what == "churn") Churn(count);
  if (what == "together") Together(count);
  if (what == "fork") Fork();
  if (what == "unbalanced") Unbalanced();
  if (what == "names") ManyNames(count);
  if (what == "c") Nested(1), RecordFromC();
  if (what == "library") Nested(1), RecordFromLibrary();
  if (what == "plugin") Plugin(), Nested(1);
  if (what == "stuck") {
    SEXTANT_SCOPE("stuck");
    raise(SIGKILL);
  }
  if (what == "kill") {
    sextant_role("victim");
    Nested(count);
    SEXTANT_SCOPE("stuck");
    raise(SIGKILL);
  }
  if (what == "exit") {
    Nested(count);
    _exit(3);
  }
  return 0;
}
