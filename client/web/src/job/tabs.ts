// What every tab of a job is told.
export interface TabProps {
  jobId: bigint;
  task: string;      // path of a profile task; "": the only one
  kernel: string;    // "": the one with most time, or all
  version: number;   // grows when the job's results may have changed
}
