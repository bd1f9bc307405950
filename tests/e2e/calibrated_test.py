"""A program that knows how long its regions took: the service must say the same."""

import json
import unittest

from harness import PROGRAMS, ServiceTest

QUANTILES = (0.2, 0.5, 0.8)


def neighbours(values, q):
    """The two order statistics that quantile q lies between, and how far it is from the first."""
    values = sorted(values)
    place = (len(values) - 1) * q
    low = int(place)
    return values[low], values[min(low + 1, len(values) - 1)], place - low


class Calibrated(ServiceTest):
    def test_quantiles_of_known_regions_are_right_within_a_percent_or_a_microsecond(self):
        graph = {"name": "calibrated", "tasks": [{
            "name": "p", "outputs": [{"name": "truth", "path": "truth.json"}],
            "profile": {"workload": {"argv": ["./calibrated"],
                                     "files": [{"path": "calibrated"}]},
                        "passes": [{"backend": "host", "repeat": 10}]}}]}
        program = PROGRAMS / "calibrated/calibrated"
        self.assertTrue(program.exists(), program)
        job = self.service.submit(graph, "--file", f"{program}:calibrated")
        answer = self.service.wait_job(job)
        self.assertEqual(answer["job"]["state"], "DONE", answer)
        truth = {}
        for one in answer["passes"]:
            artifact = [a for a in one["result"]["artifacts"] if a["name"] == "truth"][0]
            out = self.service.dir / "truth.json"
            self.service.ok("blobs", "get", self.hex(artifact["digest"]), "-o", out)
            for region in json.loads(out.read_text())["regions"]:
                truth.setdefault(region["region"], []).extend(region["durations_ns"])
        for exact in (True, False):
            flags = ["--exact"] if exact else []
            timeline = self.service.ok("--format", "json", "timeline", job, *flags).json()
            seen = {r["region"]: r for r in timeline["regions"]}
            self.assertGreaterEqual(len(truth), 2)
            for region, durations in truth.items():
                self.assertEqual(int(seen[region]["count"]), len(durations))
                for q, measured in zip(QUANTILES, seen[region]["duration_ns"]):
                    low, high, share = neighbours(durations, q)
                    if exact:  # interpolates; a rollup knows the value of a rank, so one of the two
                        low = high = low + (high - low) * share
                        below, above = max(0.01 * low, 1000), max(0.01 * high, 1000)
                    else:  # and that to its relative error, of what the recorder saw
                        error = seen[region]["relative_error"]
                        self.assertLessEqual(error, 0.01)
                        below, above = error * low + 1000, error * high + 1000
                    what = f"{region} P{q * 100:.0f} exact={exact}"
                    self.assertGreaterEqual(measured, low - below, what)
                    self.assertLessEqual(measured, high + above, what)

    @staticmethod
    def hex(base64_digest):
        import base64
        return base64.b64decode(base64_digest).hex()


if __name__ == "__main__":
    unittest.main(verbosity=2)
