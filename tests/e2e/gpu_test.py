"""GPU passes where there is no GPU: a fake NVML below a driver's root shows two, whose device nodes
are ordinary files. Everything else is real: coordinator, worker, sandbox, lock."""

import os
import shutil
import subprocess
import unittest

from harness import BUILD, SEXTANT, ServiceTest, wait_until

# Says which GPU it got and which nodes it sees.
PROGRAM = "echo $CUDA_VISIBLE_DEVICES $(ls /dev | grep nvidia) $(cat /dev/nvidia[0-9]); sleep 0.1"


class Gpus(ServiceTest):
    WORKER = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.driver = cls.service.dir / "driver"
        library = cls.driver / "usr/lib/x86_64-linux-gnu"
        library.mkdir(parents=True)
        shutil.copy(BUILD / "tests/fake_nvml/libnvidia-ml.so.1", library)
        (cls.driver / "dev").mkdir()
        for node in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"):
            (cls.driver / "dev" / node).write_text(node)
        cls.values = {"driver": "580.1", "cuda": "13000", "count": "2"}
        for n in "01":
            cls.values.update({f"{n}.uuid": f"GPU-{n}000", f"{n}.name": "Fake H200", f"{n}.minor": n,
                               f"{n}.memory": "150000000000", f"{n}.sm_clock": "1980",
                               f"{n}.power_mw": "100000", f"{n}.ecc_uncorrected": "0"})
        cls.write()
        os.environ["SEXTANT_FAKE_NVML"] = str(cls.driver / "nvml")
        cls.addClassCleanup(os.environ.pop, "SEXTANT_FAKE_NVML")
        for name in ("w1", "w2"):  # of one machine: they share its GPUs
            cls.service.start_worker(name, "--driver-root", cls.driver, "--gpu-lock-dir", cls.driver)
            cls.service.wait_worker(name)

    @classmethod
    def write(cls):
        part = cls.driver / "nvml.part"
        part.write_text("".join(f"{k}={v}\n" for k, v in cls.values.items()))
        part.rename(cls.driver / "nvml")

    def run_on_gpu(self, repeat, *args):
        job = self.service.run_detached("--gpu", "--fresh", "--pass", f"run*{repeat}", *args,
                                        "--", "sh", "-c", PROGRAM)
        answer = self.service.wait_job(job)
        self.assertEqual(answer["job"]["state"], "DONE", self.service.cli("logs", job, "--all").out)
        return answer

    def test_passes_see_their_own_gpu_and_never_share_one(self):
        answer = self.run_on_gpu(12)
        used = {}
        for one in answer["passes"]:
            extra = one["result"]["provenance"]["extra"]
            n = one["device"][-1]
            self.assertEqual(extra["gpu_uuid"], f"GPU-{n}000")
            self.assertEqual(one["result"]["provenance"]["machine_class"],
                             "gpu:Fake H200:580.1:default")
            out = self.service.ok("logs", f"p{one['pass_id']}").out
            self.assertIn(f"GPU-{n}000 nvidia-uvm nvidia-uvm-tools nvidia{n} nvidiactl nvidia{n}", out)
            # The program's own time, within the lock.
            start = int(one["result"]["provenance"]["started_unix_ns"])
            end = start + int(one["result"]["exit"]["wall_s"] * 1e9)
            used.setdefault(n, []).append((start, end))
        self.assertEqual(set(used), {"0", "1"})
        for spans in used.values():
            spans.sort()
            for before, after in zip(spans, spans[1:]):
                self.assertLessEqual(before[1], after[0], "two passes measured on one GPU at once")

    def test_an_unhealthy_gpu_is_set_aside_and_its_passes_run_elsewhere(self):
        self.values["0.ecc_uncorrected"] = "7"
        self.write()
        answer = self.run_on_gpu(6)
        self.assertEqual({one["device"] for one in answer["passes"]}, {"gpu1"})
        described = self.service.ok("--format", "json", "version").json()
        told = [device.get("unhealthy", "") for worker in described["workers"]
                for device in worker["info"].get("devices", []) if device["name"] == "gpu0"]
        self.assertIn("7 new uncorrectable ECC errors", told)
        self.assertIn("7 new uncorrectable ECC errors", self.service.ok("version").out)

        self.values["0.ecc_uncorrected"] = "0"  # the driver was loaded anew
        self.write()

        def well():
            found = self.service.ok("--format", "json", "version").json()
            return not any(device.get("unhealthy") for worker in found["workers"]
                           for device in worker["info"].get("devices", []))
        wait_until(well, "the GPU is well again")

    def test_up_and_doctor_pass_the_workers_arguments_on(self):
        flags = ["--driver-root", self.driver, "--gpu-lock-dir", self.driver]
        home = self.service.dir / "up"
        env = dict(os.environ, SEXTANT_HOME=str(home), NO_COLOR="1")
        env.pop("SEXTANT_SERVER", None)

        def sextant(*args):
            return subprocess.run([SEXTANT, *args], env=env, capture_output=True, text=True,
                                  timeout=300)
        up = sextant("up", "--", *flags)
        self.addCleanup(sextant, "down")
        self.assertEqual(up.returncode, 0, up.stderr)
        self.assertIn("gpu1", sextant("version").stdout)
        self.assertIn("Fake H200", sextant("doctor", "--", *flags).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
