// Writes job graphs of several kinds into the folder argv[1], in all four ways that graph_fuzz reads.
#include <google/protobuf/text_format.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "sextant/v1/sextant.pb.h"

namespace {

const char* const kGraphs[] = {
    R"(name: "one" tasks { name: "a" build { workload { argv: "true" } } })",
    R"(tasks { name: "b" outputs { name: "o" path: "out/o" } build { workload { argv: "cc"
         env { key: "A" value: "1" } limits { memory_bytes: 1000000 wall_s: 5 pids: 3 } } } }
       tasks { name: "p" inputs { task: "b" artifact: "o" path: "o" }
         profile { workload { argv: "./o" } passes { backend: "host" repeat: 5
           options { key: "k" value: "v" } } passes { backend: "run" } } }
       tasks { name: "t" analyze { builtin: "timeline" of_task: "p" } }
       tasks { name: "v" after: "p" after: "t" verify { workload { argv: "cmp" } } })",
    R"(tasks { name: "g" group {} } tasks { name: "h" parent: "g" group { open: true } }
       tasks { name: "x" parent: "g/h" build { workload { argv: "x" } } }
       tasks { name: "y" parent: "g/h" after: "x" rewrite { workload { argv: "y" } } }
       tasks { name: "e" parent: "g" external { instructions: "look" } }
       tasks { name: "z" after: "g" inputs { task: "g/e" artifact: "q" }
         build { workload { argv: "z" rootfs: "/roots/a" stdin_text: "in" } } })",
    R"(open: true priority: -7 deadline_s: 60 fresh: true salt: "s" keep: true
       labels { key: "a" value: "b" })",
    R"(tasks { name: "a" after: "b" build { workload { argv: "1" } } }
       tasks { name: "b" after: "a" build { workload { argv: "1" } } })",
    R"(tasks { name: "f" priority: 3 deadline_s: 2.5 max_attempts: 2 profile { workload {
         files { path: "d/f" digest: "01234567890123456789012345678901" size_bytes: 4 mode: 493 }
         argv: "d/f" kernels: ".*" } passes { backend: "exec:mine" } } })",
};

int written = 0;

void Write(const std::string& folder, char kind, const std::string& bytes) {
  std::ofstream(folder + "/seed" + std::to_string(written++), std::ios::binary) << kind << bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: graph_seeds FOLDER\n");
    return 2;
  }
  using google::protobuf::TextFormat;
  for (const char* text : kGraphs) {
    sextant::v1::JobGraph graph;
    if (!TextFormat::ParseFromString(text, &graph)) return 1;
    sextant::v1::AddTasksRequest added;
    *added.mutable_tasks() = graph.tasks();
    std::string added_text;
    TextFormat::PrintToString(added, &added_text);
    Write(argv[1], 0, graph.SerializeAsString());
    Write(argv[1], 1, added.SerializeAsString());
    Write(argv[1], 2, text);
    Write(argv[1], 3, added_text);
  }
  return 0;
}
