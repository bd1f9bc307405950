// Commands that submit.
#include "client/cli/command_line.h"
#include "client/cli/pass_syntax.h"

namespace sextant::cli {

void CommandLine::Submitting() {
  RunOptions& r = v_.run;
  CLI::App* run = Command("run", "Profile a program: send it, run its passes, show its timeline",
                          [this](Context& c) { return Run(c, v_.run); });
  run->footer("Usage: sextant run [OPTIONS] -- ./program ARGS…");
  run->add_option("program", r.argv, "The program and its arguments, after --");
  run->add_option("--pass", r.passes, absl::StrCat("NAME[:key=value,…][*N], repeatable; default ", kDefaultPass))
      ->expected(1)->take_all();
  run->add_option("--name", r.name, "Name of the job; default: the program's");
  run->add_option("--file", r.files, "FILE[:PATH] to send as PATH, repeatable")->expected(1)->take_all();
  run->add_option("--dir", r.directories, "DIR[:PATH] to send with all below it")->expected(1)->take_all();
  run->add_option("--env", r.env, "KEY=VALUE, or KEY to pass on its value here")->expected(1)->take_all();
  run->add_option("--label", r.labels, "KEY=VALUE, kept with the job")->expected(1)->take_all();
  run->add_flag("--fresh", r.fresh, "Measure again, do not answer from the cache");
  run->add_flag("--keep", r.keep, "Keep the passes' directories for `sextant shell`");
  run->add_flag("--no-warm", r.no_warm,
                "Start every pass of a Python program by itself, not by a fork that has imported already");
  run->add_option("--salt", r.salt, "Measure separately under this name");
  run->add_option("--priority", r.priority, "-100 to 100, higher first")->check(CLI::Range(-100, 100));
  run->add_option("--deadline", r.deadline, "Give up after this time: 10m");
  run->add_option("--memory", r.memory, "Memory limit: 2G");
  run->add_option("--disk", r.disk, "Limit on everything written: 10G");
  run->add_option("--cpus", r.cpus, "CPU limit in cores: 1.5")->check(CLI::PositiveNumber);
  run->add_option("--wall", r.wall, "Time limit of one pass: 60s");
  run->add_option("--hang", r.hang, "Stop a pass without output and CPU use for this long: 30s");
  run->add_option("--pids", r.pids, "Limit on processes and threads")->check(CLI::PositiveNumber);
  run->add_flag("--gpu", r.gpu, "The program needs a GPU in every pass; found out by itself when a pass looks into kernels");
  run->add_option("--kernels", r.kernels,
                  "Extended regular expression of the names of GPU kernels that matter; default: all");
  run->add_option("--rootfs", r.rootfs, "Directory on the worker used as root file system");
  run->add_option("--stdin", r.stdin_file, "File given to the program's standard input, at most 1 MiB");
  run->add_option("--request-id", r.request_id, "Submitting twice with one id makes one job");
  run->add_flag("--detach", r.detach, "Print the job's id and exit");
  run->add_flag("--plan", r.plan, "Show the passes, their cost and perturbation; submit nothing");
  run->add_flag("--graph", r.graph, "Print the job as JSON, submit nothing");
  run->add_flag("--local", r.local, "Start the service of this machine when it does not run");
  run->add_flag("--no-clean", r.no_clean,
                "Add no clean passes (activity:light=1*3) beside those that disturb kernels");
  run->add_flag("--no-timeline", r.no_timeline, "Do not show the timeline at the end");
  TimelineFlags(run, r.timeline);

  ImportOptions& i = v_.imported;
  CLI::App* imported = Command("import", "Make a job of what other tools left: Proton, ncu, CUTracer, rocprofv3, PyTorch's "
                                         "profiler, Chrome traces, scope files; each file (or folder) is a pass",
                               [this](Context& c) { return Import(c, v_.imported); });
  imported->add_option("FILES", i.files, "Files and folders, also gzipped; all files of a folder are one pass")->required();
  imported->add_flag("--together", i.together, "All of them are one pass");
  imported->add_option("--kind", i.kind, "proton, proton-host, ncu, cutracer, rocprofv3, kineto, chrome, scopes or host; default: by content");
  imported->add_option("--machine", i.machine, "Where they were measured, such as \"NVIDIA H200\"; default: as far as the files tell");
  imported->add_option("--kernel", i.kernel, "Raw buffers of Proton: the kernel's name");
  imported->add_option("--scopes", i.scopes, "Raw buffers of Proton: the scopes' names by id, joined by +");
  imported->add_option("--name", i.name, "Name of the job; default: the first file's");
  imported->add_option("--label", i.labels, "KEY=VALUE, repeatable")->expected(1)->take_all();
  imported->add_flag("--again", i.again, "Make a new job even when the same files were imported before");
  imported->add_flag("--detach", i.detach, "Submit, print the job's id, return");
  imported->add_flag("--no-timeline", i.no_timeline, "Do not show the timeline at the end");

  CLI::App* submit = Command("submit", "Submit a graph of tasks written as JSON (JobGraph)",
                             [this](Context& c) { return Submit(c, v_.submit); });
  submit->add_option("GRAPH", v_.submit.graph, "Path, or - for standard input")->required();
  submit->add_option("--file", v_.submit.files, "LOCAL:PATH for files the graph names without digest")
      ->expected(1)->take_all();
  submit->add_flag("--wait", v_.submit.wait, "Follow the job to its end");
  submit->add_option("--request-id", v_.submit.request_id, "Submitting twice with one id makes one job");

  CLI::App* complete = Command("complete-task", "Supply the result of an external task",
                               [this](Context& c) {
                                 v_.complete.job_id = v_.job_id;
                                 return CompleteTask(c, v_.complete);
                               });
  JobId(complete);
  complete->add_option("TASK", v_.complete.task, "Path of the task")->required();
  complete->add_flag("--failed", v_.complete.failed, "It did not succeed");
  complete->add_option("--message", v_.complete.message, "What was found");
  complete->add_option("--artifact", v_.complete.artifacts, "NAME=FILE, repeatable")->expected(1)->take_all();
}

}  // namespace sextant::cli
