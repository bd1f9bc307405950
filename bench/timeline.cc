// How fast a statistical timeline is answered, and whether the number of passes matters.
//
//   bench_timeline [--events N] [--queries N] [--no-peers]
//
// p95_ms_1_pass, p95_ms_100_passes   GetTimeline through gRPC: 64 regions × 1,024 buckets × 5
//                                    quantiles over N events in one pass, and in a hundred
// rows_s      the same table of quantiles by percentile_disc over the events as rows of the same
//             PostgreSQL
// duckdb_s    the same by DuckDB over the events as a Parquet file (bench/peers/duckdb_timeline.py)
#include <charconv>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "bench/service.h"
#include "bench/synthetic.h"
#include "bench/synthetic_job.h"
#include "proto/chunk/encoder.h"

namespace sextant::bench {
namespace {

constexpr uint32_t kBuckets = 1024;
constexpr size_t kPiece = 1 << 20;
constexpr char kQuantiles[] = "0.05,0.2,0.5,0.8,0.95";

v1::Timeline Ask(Service& service, int64_t job_id) {
  v1::GetTimelineRequest request;
  request.set_job_id(job_id);
  request.set_buckets(kBuckets);
  request.set_without_instances(true);
  for (const double q : {0.05, 0.2, 0.5, 0.8, 0.95}) request.add_quantiles(q);
  grpc::ClientContext context;
  v1::Timeline timeline;
  Must(service.client().GetTimeline(&context, request, &timeline), "GetTimeline");
  return timeline;
}

struct Answered {
  double first_ms = 0;   // merges what passes left; once for a task
  double p50_ms = 0;
  double p95_ms = 0;
};

Answered Time(Service& service, int64_t job_id, uint64_t events, int queries) {
  Answered answered;
  double begin = NowS();
  const v1::Timeline first = Ask(service, job_id);
  answered.first_ms = (NowS() - begin) * 1e3;
  // The answer must be the whole one.
  uint64_t counted = 0;
  for (const auto& region : first.regions()) counted += region.count();
  if (first.buckets_size() != 64 || counted != events) {
    Check(absl::InternalError(absl::StrCat("the timeline has ", first.buckets_size(),
                                           " regions over time and counts ", counted, " of ",
                                           events, " events")));
  }
  std::vector<double> ms;
  for (int i = 0; i < queries; ++i) {
    begin = NowS();
    Ask(service, job_id);
    ms.push_back((NowS() - begin) * 1e3);
  }
  answered.p50_ms = Quantile(ms, 0.5);
  answered.p95_ms = Quantile(ms, 0.95);
  return answered;
}

// The events of one pass as lines "region,start,duration" into a program's standard input.
void Pipe(const std::string& command, uint64_t events) {
  FILE* pipe = popen(command.c_str(), "w");
  if (pipe == nullptr) Check(absl::InternalError(absl::StrCat("cannot start ", command)));
  Synthetic source(1);
  std::string text;
  for (uint64_t done = 0; done < events;) {
    const auto piece = source.Next(std::min<uint64_t>(kPiece, events - done), kStepNs);
    done += piece.size();
    text.resize(piece.size() * 48);
    char* at = text.data();
    for (const chunk::Instance& e : piece) {
      at = std::to_chars(at, at + 12, e.region).ptr;
      *at++ = ',';
      at = std::to_chars(at, at + 20, e.start).ptr;
      *at++ = ',';
      at = std::to_chars(at, at + 12, e.duration).ptr;
      *at++ = '\n';
    }
    if (fwrite(text.data(), 1, at - text.data(), pipe) != static_cast<size_t>(at - text.data()))
      break;
  }
  if (pclose(pipe) != 0) Check(absl::InternalError(absl::StrCat("failed: ", command)));
}

// Seconds of the query alone.
double Rows(Service& service, uint64_t events) {
  const std::string psql = absl::StrCat("psql -X -q -v ON_ERROR_STOP=1 '", service.Conninfo(), "' ");
  if (std::system((psql + "-c 'CREATE UNLOGGED TABLE rows "
                          "(region smallint, start bigint, duration bigint)'").c_str()) != 0)
    Check(absl::InternalError("psql cannot reach the private PostgreSQL"));
  Pipe(psql + "-c 'COPY rows FROM STDIN WITH (FORMAT csv)' >/dev/null", events);
  if (std::system((psql + "-c 'VACUUM ANALYZE rows'").c_str()) != 0)
    Check(absl::InternalError("ANALYZE failed"));
  const double begin = NowS();
  const std::string query = absl::StrCat(
      psql, "-c \"SET work_mem = '1GB'; CREATE TEMP TABLE answer AS SELECT region, "
      "start / (1 + (SELECT max(start) FROM rows) / ", kBuckets, ") AS bucket, count(*), "
      "percentile_disc(ARRAY[", kQuantiles, "]) WITHIN GROUP (ORDER BY duration) AS q "
      "FROM rows GROUP BY 1, 2\"");
  if (std::system(query.c_str()) != 0) Check(absl::InternalError("the query over rows failed"));
  return NowS() - begin;
}

double DuckDb(Service& service, uint64_t events) {
  const std::string out = service.directory() + "/duckdb.txt";
  Pipe(absl::StrCat("bench/peers/duckdb_timeline.sh '", service.directory(), "' ", kBuckets, " ",
                    kQuantiles, " >", out), events);
  FILE* file = std::fopen(out.c_str(), "r");
  double seconds = NAN;
  if (file == nullptr || std::fscanf(file, "%lf", &seconds) != 1)
    Check(absl::InternalError("DuckDB gave no time"));
  std::fclose(file);
  return seconds;
}

void Run(uint64_t events, int queries, bool peers) {
  // The worker that is only a stream does not renew its lease.
  Service service({"--limit", "worker_lease_s=3600"});
  events = events / 100 * 100;
  std::printf("%llu events, 64 regions × %u buckets × 5 quantiles\n",
              static_cast<unsigned long long>(events), kBuckets);
  std::printf("%-38s %12s %12s %12s\n", "", "first", "p50", "p95");
  const auto row = [](const char* what, const Answered& a) {
    std::printf("%-38s %9.0f ms %9.1f ms %9.1f ms\n", what, a.first_ms, a.p50_ms, a.p95_ms);
    std::fflush(stdout);
  };
  const Answered one = Time(service, MakeJob(service, 1, events), events, queries);
  row("GetTimeline, 1 pass", one);
  const Answered hundred = Time(service, MakeJob(service, 100, events), events, queries);
  row("GetTimeline, 100 passes", hundred);
  Figures figures;
  figures.Add("p95_ms_1_pass", one.p95_ms);
  figures.Add("p95_ms_100_passes", hundred.p95_ms);
  if (peers) {
    const auto peer = [&](const char* name, const char* what, double seconds) {
      std::printf("%-38s %11.1f s  %11.0f × ours\n", what, seconds, seconds * 1e3 / one.p50_ms);
      std::fflush(stdout);
      figures.Add(name, seconds);
    };
    peer("rows_s", "percentile_disc over rows", Rows(service, events));
    peer("duckdb_s", "DuckDB over Parquet", DuckDb(service, events));
  }
  figures.Add("events", static_cast<double>(events));
  figures.Print("timeline");
}

}  // namespace
}  // namespace sextant::bench

int main(int argc, char** argv) {
  CLI::App app("How fast a statistical timeline is answered");
  uint64_t events = 100'000'000;
  int queries = 100;
  bool no_peers = false;
  app.add_option("--events", events, "in each of the two jobs")->check(CLI::Range(100, 1'000'000'000));
  app.add_option("--queries", queries, "of which the quantiles are taken")->check(CLI::Range(1, 100000));
  app.add_flag("--no-peers", no_peers, "neither rows nor DuckDB");
  CLI11_PARSE(app, argc, argv);
  sextant::bench::Run(events, queries, !no_peers);
  return 0;
}
