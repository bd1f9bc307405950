"""Programs that end in every way there is, on a real GPU, through the whole service.

Each ends with a typed outcome, keeps what it recorded until then, and the next pass on the same GPU is
clean. Needs what gpu_case.py says."""

import unittest

from gpu_case import GpuTest


class Robustness(GpuTest):
    def launches(self, info):
        """Launches by kernel name, from the counters."""
        return {c["kernel"]: int(c["value"]) for c in info["result"].get("counters", [])
                if c["name"] == "launches"}

    def check_clean(self):
        """The GPU serves the next pass as if nothing had been."""
        info = self.run_pass("work")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(self.launches(info), {"Scale(float*, float, int)": 20, "Mix(float*, int)": 5,
                                               "Spin(unsigned long long)": 3})

    def check_program_failed(self, info, least_launches, code=None, signal=None):
        self.assertEqual(info["state"], "FAILED", info)
        self.assertEqual(self.cause(info), "PROGRAM_FAILED", info["result"])
        end = info["result"]["exit"]
        if code is not None:
            self.assertEqual((end["verdict"], end["exit_code"]), ("EXITED", code), end)
        if signal is not None:
            self.assertEqual((end["verdict"], end["signal"]), ("SIGNALLED", signal), end)
        self.assertTrue(info["result"]["partial"], info["result"])
        self.assertGreaterEqual(sum(self.launches(info).values()), least_launches)

    # ---- programs that end well ----
    def test_a_program_that_ends_well(self):
        self.check_clean()

    def test_many_launches(self):
        info = self.run_pass("many_launches", "10000")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(self.launches(info), {"Nothing()": 20000})

    def test_a_graph(self):
        info = self.run_pass("graph")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(sum(self.launches(info).values()), 30)

    def test_threads_and_processes(self):
        info = self.run_pass("threads")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(self.launches(info), {"Scale(float*, float, int)": 2200})

    def test_forks_after_cuda_was_used(self):
        info = self.run_pass("forks")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(self.launches(info), {"Scale(float*, float, int)": 100})

    def test_one_name_with_two_codes(self):
        info = self.run_pass("modules", "twice2.cubin", "twice3.cubin")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(self.launches(info), {"twice": 10})

    def test_the_code_of_kernels(self):
        info = self.run_pass("work", backend="ir")
        self.assertEqual(info["state"], "DONE", info)
        names = {a["name"] for a in info["result"]["artifacts"] if a["kind"] == "ir"}
        forms = {name.split(".", 1)[0] + "." + name.rsplit(".", 1)[1] for name in names}
        self.assertLessEqual({f"{kernel}.{form}" for kernel in ("Scale", "Mix", "Spin")
                              for form in ("cubin", "sass")}, forms)

    # ---- programs that end badly ----
    def test_exit_with_kernels_under_way(self):
        self.check_program_failed(self.run_pass("ends", "exit"), 400, code=3)
        self.check_clean()

    def test_exit_without_handlers(self):
        info = self.run_pass("ends", "_exit")
        self.check_program_failed(info, 400, code=3)
        self.assertIn("ended without its exit handlers", self.notes(info))

    def test_abort(self):
        self.check_program_failed(self.run_pass("ends", "abort"), 400, signal=6)

    def test_segfault(self):
        self.check_program_failed(self.run_pass("ends", "segfault"), 400, signal=11)
        self.check_clean()

    def test_illegal_access(self):
        info = self.run_pass("ends", "illegal")
        self.check_program_failed(info, 400, code=5)
        self.assertIn("WriteNowhere(int*) had not ended", self.notes(info))
        self.check_clean()

    def test_trap(self):
        self.check_program_failed(self.run_pass("ends", "trap"), 400, code=5)
        self.check_clean()

    def test_device_out_of_memory(self):
        self.check_program_failed(self.run_pass("ends", "memory"), 400, code=4)
        self.check_clean()

    def test_a_kernel_that_never_returns(self):
        info = self.run_pass("ends", "hang")
        self.assertEqual(info["state"], "FAILED", info)
        self.assertEqual(info["result"]["exit"]["verdict"], "TIMED_OUT", info["result"])
        self.assertTrue(info["result"]["partial"], info["result"])
        self.assertGreaterEqual(sum(self.launches(info).values()), 400)
        self.assertRegex(self.notes(info), r"of Hang\(int volatile\*\) had not ended when its "
                                           r"process did, launched \d+ ms after the begin")
        self.check_clean()

    def test_a_hang_that_uses_no_gpu(self):
        info = self.run_pass("/usr/bin/python3", "-c", "import time; time.sleep(1000)", wall_s=3)
        self.assertEqual(info["state"], "FAILED", info)
        self.assertEqual(info["result"]["exit"]["verdict"], "TIMED_OUT", info["result"])
        self.assertIn("no process of the program started CUDA", self.notes(info))

    def test_a_crash_in_the_library(self):
        info = self.run_pass("ends", "fault")
        self.assertEqual(info["state"], "FAILED", info)
        self.assertEqual(self.cause(info), "PROGRAM_FAILED", info["result"])
        self.assertEqual(info["result"]["exit"]["signal"], 11, info["result"])
        self.assertIn("inside Sextant's injection library", self.notes(info))
        self.check_clean()

    # ---- nothing to record ----
    def test_no_kernel_runs(self):
        info = self.run_pass("idle")
        self.assertEqual(self.cause(info), "EMPTY_CAPTURE", info)
        self.assertIn("no kernel ran", info["result"]["failure"]["message"])

    def test_no_kernel_matches(self):
        info = self.run_pass("work", kernels="^matmul")
        self.assertEqual(self.cause(info), "EMPTY_CAPTURE", info)
        self.assertIn("none of the 28 launches", info["result"]["failure"]["message"])

    def test_a_program_without_cuda(self):
        info = self.run_pass("/bin/true")
        self.assertEqual(self.cause(info), "EMPTY_CAPTURE", info)
        self.assertIn("no process of the program started CUDA", info["result"]["failure"]["message"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
