#include "server/store/pass_writer.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "server/store/pq.h"

namespace sextant::store {

void PassWriter::Add(const TaskToPlan& task, bool changed,
                     std::vector<job::PlannedPasses> planned) {
  auto& entry = tasks_.emplace_back();
  entry.task = &task;
  entry.changed = changed;
  std::map<std::string, int> next_sample;
  for (auto& group : planned) {
    const int n = group.spec.repeat();
    group.spec.set_repeat(1);
    int& sample = next_sample[group.key.digest];
    for (int i = 0; i < n; ++i) {
      auto& pass = passes_.emplace_back();
      pass.task = tasks_.size() - 1;
      pass.group = groups_.size();
      pass.ordinal = entry.passes++;
      pass.sample = sample++;
    }
    groups_.push_back(std::move(group));
  }
}

void PassWriter::Write() {
  if (tasks_.empty()) return;
  NumberPasses();
  RememberKeys();
  if (!change_.fresh()) ShareSamples();
  WritePasses();
  std::vector<PassToQueue> queue;
  for (const auto& pass : passes_) {
    auto& entry = tasks_[pass.task];
    entry.cached += pass.source == v1::CACHED;
    entry.merged += pass.source == v1::MERGED;
    if (pass.source != v1::EXECUTED) continue;
    ++entry.queued;
    const auto& group = groups_[pass.group];
    queue.push_back({pass.pass_id, entry.task->task_id, group.pool, group.needs,
                     change_.priority() + entry.task->priority});
  }
  WriteTasks();
  if (!queue.empty()) Enqueue(change_, queue);
  for (const auto& entry : tasks_) {
    NoteGroup(*entry.task, "queued", v1::READY, entry.queued);
    NoteGroup(*entry.task, "merged", v1::WAITING, entry.merged);
    NoteGroup(*entry.task, "cached", v1::DONE, entry.cached);
  }
  EndFromCache();
  tasks_.clear();
  groups_.clear();
  passes_.clear();
}

void PassWriter::NumberPasses() {
  const auto ids = ExecPrepared(
      change_.tx(),
      "SELECT nextval(pg_get_serial_sequence('passes', 'pass_id')) FROM generate_series(1, $1)",
      static_cast<int>(passes_.size()));
  for (size_t i = 0; i < passes_.size(); ++i)
    passes_[i].pass_id = ids[static_cast<int>(i)][0].as<int64_t>();
}

void PassWriter::RememberKeys() {
  std::map<std::string, const job::CacheKey*> by_digest;  // sorted, as locks ask
  for (const auto& group : groups_)
    if (!group.key.digest.empty()) by_digest[group.key.digest] = &group.key;
  if (by_digest.empty()) return;
  ArrayLiteral digests, subjects, components;
  for (const auto& [digest, key] : by_digest) {
    v1::TaskExplanation parts;
    for (const auto& component : key->components) *parts.add_components() = component;
    digests.AddBytes(digest);
    subjects.AddText(key->subject);
    components.AddBytes(parts.SerializeAsString());
  }
  ExecPrepared(change_.tx(),
               "INSERT INTO cache_keys (cache_key, subject, components) "
               "SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[]) "
               "ON CONFLICT (cache_key) DO NOTHING",
               digests.Finish(), subjects.Finish(), components.Finish());
}

void PassWriter::ShareSamples() {
  std::map<Sample, Pass*> open;                // not decided yet; sorted, as locks ask
  std::vector<std::pair<Pass*, Pass*>> twins;  // the same sample twice: the second, the first
  for (auto& pass : passes_) {
    const std::string& key = groups_[pass.group].key.digest;
    if (key.empty()) continue;
    const auto [first, is_first] = open.emplace(Sample{key, pass.sample}, &pass);
    if (!is_first) twins.push_back({&pass, first->second});
  }
  while (!open.empty()) {
    ArrayLiteral keys, samples, ids;
    for (const auto& [sample, pass] : open) {
      keys.AddBytes(sample.first);
      samples.Add(sample.second);
      ids.Add(pass->pass_id);
    }
    const auto own =
        ExecPrepared(change_.tx(),
                     "INSERT INTO samples (cache_key, sample, pass_id) "
                     "SELECT * FROM unnest($1::bytea[], $2::integer[], $3::bigint[]) "
                     "  AS e(cache_key, sample, pass_id) ORDER BY cache_key, sample "
                     "ON CONFLICT (cache_key, sample) DO NOTHING RETURNING cache_key, sample",
                     keys.Finish(), samples.Finish(), ids.Finish());
    for (const auto& row : own) open.erase({FieldBytes(row[0]), row[1].as<int>()});
    if (open.empty()) break;
    const auto held =
        ExecPrepared(change_.tx(),
                     "SELECT s.cache_key, s.sample, s.pass_id, s.done FROM samples s "
                     "JOIN unnest($1::bytea[], $2::integer[]) AS e(cache_key, sample) "
                     "  USING (cache_key, sample) ORDER BY s.cache_key, s.sample FOR SHARE OF s",
                     keys.Finish(), samples.Finish());
    for (const auto& row : held) {
      const auto it = open.find({FieldBytes(row[0]), row[1].as<int>()});
      if (it == open.end()) continue;  // just taken
      const bool done = row[3].as<bool>();
      it->second->state = done ? v1::DONE : v1::WAITING;
      it->second->source = done ? v1::CACHED : v1::MERGED;
      it->second->source_pass_id = row[2].as<int64_t>();
      open.erase(it);
    }
  }
  for (const auto& [second, first] : twins) {
    const bool executes = first->source == v1::EXECUTED;
    second->state = executes ? v1::WAITING : first->state;
    second->source = executes ? v1::MERGED : first->source;
    second->source_pass_id = executes ? first->pass_id : first->source_pass_id;
  }
}

void PassWriter::WritePasses() {
  ArrayLiteral numbers, backends, specs, keys;
  for (size_t i = 0; i < groups_.size(); ++i) {
    numbers.Add(static_cast<int64_t>(i));
    backends.AddText(groups_[i].spec.backend());
    specs.AddBytes(groups_[i].spec.SerializeAsString());
    if (groups_[i].key.digest.empty()) {
      keys.AddNull();
    } else {
      keys.AddBytes(groups_[i].key.digest);
    }
  }
  ArrayLiteral ids, task_ids, groups, ordinals, samples, states, sources, source_ids;
  for (const auto& pass : passes_) {
    ids.Add(pass.pass_id);
    task_ids.Add(tasks_[pass.task].task->task_id);
    groups.Add(static_cast<int64_t>(pass.group));
    ordinals.Add(pass.ordinal);
    samples.Add(pass.sample);
    states.Add(pass.state);
    sources.Add(pass.source);
    source_ids.Add(pass.source_pass_id);
  }
  ExecPrepared(
      change_.tx(),
      "INSERT INTO passes (pass_id, task_id, job_id, ordinal, backend, spec, cache_key, sample, "
      "  state, source, source_pass_id, result, trace_digest, events, dropped, worker, device, "
      "  finished_at) "
      "SELECT e.pass_id, e.task_id, $1, e.ordinal, g.backend, g.spec, g.cache_key, e.sample, "
      "  e.state, e.source, nullif(e.source_id, 0), s.result, s.trace_digest, "
      "  coalesce(s.events, 0), coalesce(s.dropped, 0), s.worker, s.device, "
      "  CASE WHEN e.state = 4 THEN now() END "
      "FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[], "
      "    $7::smallint[], $8::smallint[], $9::bigint[]) "
      "  AS e(pass_id, task_id, n, ordinal, sample, state, source, source_id) "
      "JOIN unnest($10::bigint[], $11::text[], $12::bytea[], $13::bytea[]) "
      "  AS g(n, backend, spec, cache_key) USING (n) "
      "LEFT JOIN passes s ON s.pass_id = e.source_id AND e.state = 4",
      change_.job_id(), ids.Finish(), task_ids.Finish(), groups.Finish(), ordinals.Finish(),
      samples.Finish(), states.Finish(), sources.Finish(), source_ids.Finish(), numbers.Finish(),
      backends.Finish(), specs.Finish(), keys.Finish());
}

void PassWriter::WriteTasks() {
  ArrayLiteral ids, specs, passes, cached;
  for (const auto& entry : tasks_) {
    ids.Add(entry.task->task_id);
    if (entry.changed) {
      specs.AddBytes(entry.task->spec.SerializeAsString());
    } else {
      specs.AddNull();
    }
    passes.Add(entry.passes);
    cached.Add(entry.cached);
  }
  ExecPrepared(change_.tx(),
               "UPDATE tasks t SET planned = true, plan_note = '', "
               "  spec = coalesce(e.spec, t.spec), passes = e.passes, passes_done = e.cached, "
               "  passes_cached = e.cached "
               "FROM unnest($1::bigint[], $2::bytea[], $3::integer[], $4::integer[]) "
               "  AS e(id, spec, passes, cached) WHERE t.task_id = e.id",
               ids.Finish(), specs.Finish(), passes.Finish(), cached.Finish());
}

void PassWriter::NoteGroup(const TaskToPlan& task, const char* what, v1::State state, int n) {
  if (n == 0) return;
  v1::Event event;
  event.set_task_id(task.task_id);
  event.set_task(task.path);
  event.set_what(what);
  event.set_state(state);
  event.set_message(absl::StrCat(n, n == 1 ? " pass" : " passes"));
  change_.Note(std::move(event));
}

void PassWriter::EndFromCache() {
  std::vector<TaskEnd> ends;
  ArrayLiteral ids;
  for (const auto& entry : tasks_) {
    if (entry.cached != entry.passes) continue;
    ids.Add(entry.task->task_id);
    ends.push_back({entry.task->task_id, v1::DONE, {}});
  }
  if (ends.empty()) return;
  ExecPrepared(change_.tx(),
               "UPDATE tasks t SET state = 3, started_at = now(), artifacts = p.result "
               "FROM passes p WHERE t.task_id = ANY($1::bigint[]) AND p.task_id = t.task_id "
               "  AND p.ordinal = 0",
               ids.Finish());
  change_.MarkStarted();
  change_.End(std::move(ends));
}

void Enqueue(JobChange& change, const std::vector<PassToQueue>& passes) {
  ArrayLiteral pass_ids, task_ids, pools, needs, priorities;
  for (const auto& pass : passes) {
    pass_ids.Add(pass.pass_id);
    task_ids.Add(pass.task_id);
    pools.Add(pass.pool);
    needs.AddText(TextArray(pass.needs));  // an array cannot hold arrays of different lengths
    priorities.Add(pass.priority);
  }
  // Start-time fair queuing: a submitter's k-th waiting pass stands k - 1 places behind the front, so
  // submitters take turns whatever the length of their queues.
  ExecPrepared(change.tx(),
               "INSERT INTO queue (pass_id, task_id, job_id, submitter, pool, needs, priority, "
               "vtime, state, tenant) "
               "SELECT e.pass_id, e.task_id, $1, $2, e.pool, e.needs::text[], e.priority, "
               "  (SELECT coalesce(min(vtime), 0) FROM queue WHERE state = 2) + "
               "  (SELECT count(*) FROM queue WHERE tenant = $8 AND submitter = $2 AND state = 2) + e.n - 1, 2, $8 "
               "FROM unnest($3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::integer[]) "
               "  WITH ORDINALITY AS e(pass_id, task_id, pool, needs, priority, n)",
               change.job_id(), change.submitter(), pass_ids.Finish(), task_ids.Finish(),
               pools.Finish(), needs.Finish(), priorities.Finish(), change.tenant());
}

}  // namespace sextant::store
