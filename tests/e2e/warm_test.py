"""Passes of a Python program: forked from one that has imported, with the results of cold ones."""

import unittest

from harness import ServiceTest

PROGRAM = """
import os, sys
print(sys.argv[1:], os.getcwd(), sorted(os.listdir("/tmp")), "decimal" in sys.modules)
open("/tmp/left", "w").write("x")
open("out.txt", "w").write(os.environ["SEXTANT_PASS_ORDINAL"])
sys.exit(3 if sys.argv[1] == "fail" else 0)
"""


class Warm(ServiceTest):
    def submit_passes(self, option, argument="fine", count=4):
        script = self.service.dir / "program.py"
        script.write_text(PROGRAM)
        options = {} if option is None else {"warm": option}
        return self.service.wait_job(self.service.submit({"fresh": True, "tasks": [{
            "name": "look", "outputs": [{"name": "out", "path": "out.txt"}],
            "profile": {"workload": {"argv": ["python3", "program.py", argument], "files": [{"path": "program.py"}]},
                        "passes": [{"backend": "run", "repeat": count, "options": options}]}}]}))

    def starts(self, answer):
        return [p["result"]["provenance"].get("extra", {}).get("start", "cold") for p in answer["passes"]]

    def test_passes_are_forked_and_differ_from_cold_ones_in_their_imports_alone(self):
        warm = self.submit_passes("decimal")
        cold = self.submit_passes("0")
        self.assertEqual(warm["job"]["state"], "DONE", warm)
        self.assertEqual(self.starts(warm), ["warm"] * 4)
        self.assertEqual(self.starts(cold), ["cold"] * 4)
        outputs = []
        for answer in (warm, cold):
            job = answer["job"]["job_id"]
            outputs.append(self.service.ok("logs", job).out)
            for one in answer["passes"]:
                self.assertFalse(one["result"].get("notes"), one)
        self.assertIn("['fine'] /work [] True", outputs[0])
        self.assertEqual(outputs[0].replace("True", "False"), outputs[1])

    def test_a_program_without_frameworks_starts_as_ever(self):
        answer = self.submit_passes(None)
        self.assertEqual(self.starts(answer), ["cold"] * 4)
        self.assertEqual(answer["job"]["state"], "DONE", answer)

    def test_a_failing_pass_is_data(self):
        answer = self.submit_passes("decimal", argument="fail")
        self.assertEqual(answer["job"]["state"], "FAILED")
        ended = [p["result"] for p in answer["passes"] if p.get("result", {}).get("exit")]
        self.assertTrue(ended)
        for result in ended:
            self.assertEqual(result["exit"]["exit_code"], 3)
            self.assertEqual(result["provenance"]["extra"]["start"], "warm")

    def test_a_wrong_option_is_refused_by_name(self):
        answer = self.submit_passes("a;b")
        self.assertIn('options["warm"]', str(answer))

    def test_nothing_is_left_when_the_job_has_ended(self):
        self.submit_passes("decimal")
        self.assertEqual(list((self.service.dir / "w1" / "passes").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
