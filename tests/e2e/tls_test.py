"""A coordinator that other machines could reach: TLS, certificates of clients, tokens. All on 127.0.0.1, with
certificates made now."""

import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import unittest
import urllib.error
import urllib.request

import harness
from harness import PATIENCE_S, ROOT, SEXTANT, SEXTANTD, Process, Result, wait_until

CERTIFICATES = ROOT / "deploy/certificates"


class Authority:
    """A directory of deploy/certificates."""

    def __init__(self, directory):
        self.dir = directory
        self.make("ca")

    def make(self, *words):
        done = subprocess.run([CERTIFICATES, self.dir, *words], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def expired(self, name):
        """A certificate for this machine that ended yesterday, with the key of `name`."""
        names = self.dir / "names"
        names.write_text("subjectAltName=IP:127.0.0.1")
        request = subprocess.run(["openssl", "req", "-new", "-key", self.key(name), "-subj", "/CN=ended"],
                                 capture_output=True, check=True).stdout
        return subprocess.run(["openssl", "x509", "-req", "-CA", self.pem("ca"), "-CAkey", self.key("ca"), "-days", "-1",
                               "-set_serial", "77", "-extfile", names], input=request, capture_output=True, check=True).stdout

    def pem(self, name):
        return self.dir / f"{name}.pem"

    def key(self, name):
        return self.dir / f"{name}.key"


class Site(harness.Service):
    """A coordinator with TLS, certificates asked of clients, and tokens; its socket is its own user's."""

    def __init__(self):
        super().__init__()
        self.authority = Authority(self.dir / "pki")
        self.authority.make("server", "localhost", "127.0.0.1")
        self.authority.make("client", "alice")
        self.authority.make("client", "gpu7")

    def start(self, *extra):
        self.start_coordinator(
            "--listen", "127.0.0.1:0", "--tls-cert", self.authority.pem("server"), "--tls-key", self.authority.key("server"),
            "--tls-client-ca", self.authority.pem("ca"), "--require-tokens", *extra)
        described = self.ok("--format", "json", "version").json()
        self.url = next(a for a in described["addresses"]["grpc"].split() if a.startswith("tls://"))
        self.http = described["addresses"]["http"]

    def token(self, name, *scope_and_more):
        """The path of a file with a new token."""
        path = self.dir / f"{name}.token"
        path.unlink(missing_ok=True)
        self.ok("token", "create", "--name", name, "-o", path, *scope_and_more)
        return path

    def as_(self, name):
        """Flags of who has the certificate `name`."""
        return ["--ca", self.authority.pem("ca"), "--cert", self.authority.pem(name), "--key", self.authority.key(name)]

    def call(self, *args, server=None, **variables):
        """The command with nothing but what is given; it may not hang."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "SEXTANT_HOME": str(self.dir / "home"), "NO_COLOR": "1",
               "SEXTANT_SERVER": server or self.url, **{k: str(v) for k, v in variables.items()}}
        return Result(subprocess.run([str(SEXTANT), *[str(a) for a in args]], env=env, capture_output=True, text=True,
                                     timeout=PATIENCE_S))

    def get(self, path, token=None, certificate="alice", body=None):
        """Status and text over HTTPS."""
        trusting = ssl.create_default_context(cafile=str(self.authority.pem("ca")))
        if certificate:
            trusting.load_cert_chain(self.authority.pem(certificate), self.authority.key(certificate))
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.http + path, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, context=trusting, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = site = Site()
        cls.addClassCleanup(site.close)
        site.start()
        cls.red = site.token("red", "--tenant", "red", "--scope", "submit", "--expires", "1h")
        worker = site.token("gpu7", "--scope", "worker")
        site.workers["gpu7"] = Process([harness.WORKER, "--coordinator", site.url, *site.as_("gpu7"), "--token-file", worker,
                                        "--state", site.dir / "gpu7", "--name", "gpu7"], site.dir / "gpu7.log")
        site.wait_worker("gpu7")

    def red_call(self, *args, **kwargs):
        return self.site.call(*self.site.as_("alice"), "--token-file", self.red, *args, **kwargs)

    def refused(self, result, *words, code=5):
        self.assertEqual(result.code, code, result.err)
        for word in words:
            self.assertIn(word, result.err)
        self.assertEqual(result.out, "")

    def test_a_job_runs_between_three_programs_that_trust_each_other(self):
        ran = self.red_call("run", "--pass", "host*2", "--", harness.PIPELINE, "--items", "4")
        self.assertEqual(ran.code, 0, ran.err)
        jobs = [json.loads(line) for line in self.red_call("--format", "json", "jobs").out.splitlines()]
        done = [job for job in jobs if job["state"] == "DONE"]
        self.assertTrue(done, jobs)
        job_id = done[0]["job_id"]
        self.assertIn("stdout", json.dumps(self.red_call("--format", "json", "job", job_id, "--passes").out))
        # Everything through the environment, as scripts have it.
        pki = self.site.authority
        by_environment = self.site.call("timeline", job_id, SEXTANT_CA=pki.pem("ca"), SEXTANT_CERT=pki.pem("alice"),
                                        SEXTANT_KEY=pki.key("alice"), SEXTANT_TOKEN=self.red.read_text().strip())
        self.assertEqual(by_environment.code, 0, by_environment.err)

    def test_the_gateway_answers_over_https_to_a_certificate_and_a_token(self):
        path = "/api/sextant.v1.Sextant/ListJobs"
        status, text = self.site.get(path, token=self.red, body={})
        self.assertEqual(status, 200, text)
        self.assertEqual(self.site.get(path, body={})[0], 401)
        self.assertEqual(self.site.get("/metrics")[0], 401)
        with self.assertRaises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            self.site.get(path, token=self.red, certificate=None, body={})
        # Plain HTTP is told what to do.
        with self.assertRaises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(self.site.http.replace("https://", "http://"), timeout=PATIENCE_S)
        self.assertEqual(told.exception.code, 400)
        self.assertIn("https://", told.exception.read().decode())

    def test_mcp_over_standard_input_calls_with_the_token(self):
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "describe_service", "arguments": {}}}
        pki = self.site.authority
        env = dict(os.environ, SEXTANT_SERVER=self.site.url, SEXTANT_CA=str(pki.pem("ca")), SEXTANT_CERT=str(pki.pem("alice")),
                   SEXTANT_KEY=str(pki.key("alice")))
        for token, error in ((self.red, False), (None, True)):
            if token:
                env["SEXTANT_TOKEN_FILE"] = str(token)
            else:
                env.pop("SEXTANT_TOKEN_FILE")
            with subprocess.Popen([SEXTANT, "mcp"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mcp:
                self.addCleanup(mcp.kill)
                for sent in (message, call):
                    mcp.stdin.write(json.dumps(sent) + "\n")
                    mcp.stdin.flush()
                    answer = json.loads(mcp.stdout.readline())
                    self.assertEqual(answer["id"], sent["id"], answer)
                mcp.stdin.close()
            self.assertEqual(answer["result"].get("isError", False), error, answer)

    def test_the_python_client_reads_the_same_variables(self):
        pythons = sorted((ROOT / ".cache/python").glob("*/bin/python"))   # made by client/python/check
        if not pythons:
            self.skipTest("no environment of the Python client: client/python/check makes it")
        pki = self.site.authority
        env = dict(os.environ, SEXTANT_SERVER=self.site.url.replace("tls://", ""), SEXTANT_CA=str(pki.pem("ca")),
                   SEXTANT_CERT=str(pki.pem("alice")), SEXTANT_KEY=str(pki.key("alice")))
        program = "import sextant; print(sextant.connect(wait_s=0).describe().caller.tenant)"
        with_token = subprocess.run([pythons[-1], "-c", program], env={**env, "SEXTANT_TOKEN": self.red.read_text().strip()},
                                    capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(with_token.stdout.strip(), "red", with_token.stderr)
        without = subprocess.run([pythons[-1], "-c", program], env=env, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertNotEqual(without.returncode, 0)
        self.assertIn("TokenRefused", without.stderr)

    def test_who_cannot_be_trusted_is_told_why_at_once(self):
        site, pki = self.site, self.site.authority
        other = Authority(site.dir / "other")
        other.make("client", "eve")
        token = ["--token-file", self.red]
        self.refused(site.call("--ca", other.pem("ca"), *token, "jobs"), "which is not trusted here", "--ca")
        self.refused(site.call(*token, "jobs"), "which is not trusted here", "give --ca FILE")
        self.refused(site.call("--ca", pki.pem("ca"), *token, "jobs"), "asks for a certificate of yours", "--cert FILE")
        self.refused(site.call("--ca", pki.pem("ca"), "--cert", other.pem("eve"), "--key", other.key("eve"), *token, "jobs"),
                     "does not trust your certificate")
        self.refused(site.call(*token, "jobs", server=site.url.replace("tls://", "")), "speaks TLS", "--ca FILE")
        self.refused(site.call(*site.as_("alice"), "jobs"), "token")
        self.refused(site.call(*site.as_("alice"), "token", "list", SEXTANT_TOKEN=self.red.read_text().strip()), "ADMIN")
        # A job is refused like a question, and nobody waits for a service that will never be another.
        self.refused(site.call("--ca", other.pem("ca"), *token, "run", "--", "/bin/true"), "not trusted")

    def test_a_token_does_not_leave_the_machine_unencrypted(self):
        for server in ("gpu7.example.org:7370", "10.1.2.3:7370", "127.0.0.1.example.org:7370"):
            result = self.site.call("--token-file", self.red, "jobs", server=server)
            self.refused(result, f"would be sent unencrypted to {server}", "https://", code=2)
            worker = subprocess.run([harness.WORKER, "--coordinator", server, "--token-file", self.red, "--state",
                                     self.site.dir / "none"], capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(worker.returncode, 1)
            self.assertIn("would be sent unencrypted", worker.stderr)

    def test_files_that_others_may_read_hold_no_secrets(self):
        shown = self.site.dir / "shown.token"
        shutil.copy(self.red, shown)
        shown.chmod(0o644)
        self.refused(self.site.call("--token-file", shown, "jobs"), "chmod 600", code=2)

    def test_a_token_is_worth_its_scope_and_ends_when_revoked(self):
        site = self.site
        reader = site.token("reader", "--tenant", "red", "--scope", "read")
        with_reader = ["--token-file", reader, *site.as_("alice")]
        self.assertEqual(site.call(*with_reader, "jobs").code, 0)
        self.refused(site.call(*with_reader, "run", "--", "/bin/true"), "SUBMIT")
        token = next(t for t in site.ok("--format", "json", "token", "list").lines() if t["name"] == "reader")
        site.ok("token", "revoke", token["id"])
        wait_until(lambda: site.call(*with_reader, "jobs").code == 5, "the revoked token is refused")
        methods = [entry["method"] for entry in site.ok("--format", "json", "audit", "--since", "1h").lines()]
        self.assertIn("RevokeToken", methods)
        worker = site.dir / "gpu7.token"
        self.refused(site.call(*site.as_("gpu7"), "--token-file", worker, "jobs"), "WORKER")

    def test_a_worker_without_its_token_waits_for_another(self):
        site = self.site
        token = site.token("late", "--tenant", "red", "--scope", "submit")   # not a worker's
        site.workers["late"] = Process([harness.WORKER, "--coordinator", site.url, *site.as_("gpu7"), "--token-file", token,
                                        "--state", site.dir / "late", "--name", "late"], site.dir / "late.log")
        wait_until(lambda: "scope worker" in site.workers["late"].text(), "the worker says what it needs")
        site.token("late", "--scope", "worker")
        site.wait_worker("late")
        site.workers.pop("late").stop()


class RenewalTest(unittest.TestCase):
    """Certificates that end, and are replaced under a running coordinator."""

    def test_an_ended_certificate_is_named_and_its_successor_taken(self):
        site = Site()
        self.addCleanup(site.close)
        pki = site.authority
        good = pki.pem("server").read_bytes()
        pki.pem("server").write_bytes(pki.expired("server"))
        site.start()
        token = site.token("red", "--scope", "read")
        call = ["--token-file", token, *site.as_("alice"), "jobs"]
        ended = site.call(*call)
        self.assertEqual(ended.code, 5, ended.err)
        self.assertIn("ended on ", ended.err)
        # The successor, at first without its key: the old one stays in force.
        pki.pem("server").write_bytes(good)
        wait_until(lambda: site.call(*call).code == 0, "the certificate is taken")
        other = Authority(site.dir / "next")
        other.make("server", "localhost", "127.0.0.1")
        shutil.copy(other.pem("server"), pki.pem("server"))
        still = site.call(*call)
        self.assertEqual(still.code, 0, still.err)
        shutil.copy(other.key("server"), pki.key("server"))
        wait_until(lambda: "not trusted" in site.call(*call).err, "the next certificate is shown")
        renewed = [*call[:3], other.pem("ca"), *call[4:]]
        after = site.call(*renewed)
        self.assertEqual(after.code, 0, after.err)


class ListenTest(unittest.TestCase):
    """What sextantd refuses to start with."""

    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.close)

    def refusal(self, *flags):
        done = subprocess.run([SEXTANTD, "--state", self.site.dir / "refused", "--listen", f"unix://{self.site.dir}/r.sock",
                               *map(str, flags)], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_other_machines_reach_it_with_tls_and_tokens_alone(self):
        pki = self.site.authority
        self.assertIn("give --tls-cert FILE", self.refusal("--listen", "0.0.0.0:0"))
        self.assertIn("--http 0.0.0.0:0 can be reached", self.refusal("--http", "0.0.0.0:0"))
        site = self.site
        site.start_coordinator("--listen", "0.0.0.0:0", "--tls-cert", pki.pem("server"), "--tls-key", pki.key("server"))
        described = site.ok("--format", "json", "version").json()
        self.assertTrue(described["needs_token"])
        port = described["addresses"]["grpc"].rsplit(":", 1)[1]
        result = site.call("--ca", pki.pem("ca"), "jobs", server=f"https://localhost:{port}")
        self.assertEqual(result.code, 5, result.err)
        token = site.token("one", "--scope", "read")
        self.assertEqual(site.call("--ca", pki.pem("ca"), "--token-file", token, "jobs", server=f"https://localhost:{port}").code, 0)

    def test_files_that_do_not_fit_are_named(self):
        pki, directory = self.site.authority, self.site.dir
        tls = ["--tls-cert", pki.pem("server"), "--tls-key"]
        self.assertIn("requires --tls-key", self.refusal("--tls-cert", pki.pem("server")))
        self.assertIn("cannot be read", self.refusal(*tls, directory / "none.key"))
        self.assertIn("is not the key of the certificate", self.refusal(*tls, pki.key("alice")))
        pki.pem("server").chmod(0o600)
        self.assertIn("holds no private key", self.refusal(*tls, pki.pem("server")))
        pki.key("server").chmod(0o644)
        self.assertIn("chmod 600", self.refusal(*tls, pki.key("server")))

    def test_a_port_that_says_nothing_does_not_hold_the_command(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"https://127.0.0.1:{silent.getsockname()[1]}"
            result = self.site.call("--ca", self.site.authority.pem("ca"), "jobs", server=address)
        self.assertEqual(result.code, 3 if "does not answer" in result.err else 6, result.err)


if __name__ == "__main__":
    unittest.main()
