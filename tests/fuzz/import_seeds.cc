// Seeds for import_fuzz: small files of each kind.
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const char* const kSeeds[] = {
      R"({"deviceProperties":[{"name":"G"}],"baseTimeNanoseconds":17,"traceEvents":[{"ph":"M","name":"thread_name","pid":1,"tid":2,"args":{"name":"t"}},{"ph":"X","cat":"kernel","name":"_Z1fv","pid":0,"tid":7,"ts":10.5,"dur":2.25,"args":{"device":0,"stream":7,"correlation":3,"grid":[2,3,4],"block":[32,1,1],"registers per thread":8}},{"ph":"X","cat":"gpu_memcpy","name":"Memcpy HtoD","pid":0,"tid":7,"ts":1,"dur":2,"args":{"bytes":5}}]})",
      R"([{"ph":"B","name":"a","pid":1,"tid":"m","ts":1.001},{"ph":"E","pid":1,"tid":"m","ts":2},)",
      R"({"traceEvents":[{"ph":"X","name":"x","pid":"k Core1 CTA2","tid":"warp 3","ts":1e3,"dur":0}]})",
      "==PROF== log\n\"ID\",\"Process ID\",\"Kernel Name\",\"m\"\n\"\",\"\",\"\",\"byte\"\n",
      "warp_id,region_id,instruction,count\n0,0,FADD,1\n",
      "{\"type\":\"kernel_metadata\",\"block\":[32,1,1]}\n",
      "[{\"frame\":{\"name\":\"R\"},\"metrics\":{},\"children\":[]}]",
      "SXTSCOP", "\x1f\x8b\x08",
  };
  int number = 0;
  for (const char* seed : kSeeds)
    std::ofstream(std::string(argv[1]) + "/" + std::to_string(number++), std::ios::binary) << seed;
  return 0;
}
