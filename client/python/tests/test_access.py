"""Tokens and TLS: what the client sends and demands, seen from the other side of a real connection."""

import concurrent.futures
import subprocess

import grpc
import pytest

import sextant
from sextant.v1.sextant_pb2 import DescribeServiceRequest, ServiceDescription


class Doorman(grpc.GenericRpcHandler):
    """Answers DescribeService to those who carry the token."""

    def service(self, details):
        def answer(request, context):
            if ("authorization", "Bearer s3cret") not in [(k, v) for k, v in context.invocation_metadata()]:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "authorization: a token is required")
            return ServiceDescription(version="9.9")
        return grpc.unary_unary_rpc_method_handler(answer, DescribeServiceRequest.FromString,
                                                   ServiceDescription.SerializeToString)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """An authority, and certificates it signed: "server" for localhost, "client"."""
    folder = tmp_path_factory.mktemp("keys")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=ca",
            "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["tls", "mutual tls"])
def door(keys, request):
    """(address, whether clients need a certificate)"""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[Doorman()])
    read = lambda name: (keys / name).read_bytes()  # noqa: E731
    credentials = grpc.ssl_server_credentials([(read("server.key"), read("server.pem"))],
                                              read("ca.pem") if request.param else None, request.param)
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    yield f"localhost:{port}", request.param
    server.stop(None)


def test_a_token_opens_the_door_over_tls(door, keys, monkeypatch):
    address, mutual = door
    own = {"cert": str(keys / "client.pem"), "key": str(keys / "client.key")} if mutual else {}
    with sextant.connect(address, token="s3cret", ca=str(keys / "ca.pem"), wait_s=0, **own) as sx:
        assert sx.describe().version == "9.9"
    with pytest.raises(sextant.TokenRefused) as error:
        sextant.connect(address, token="wrong", ca=str(keys / "ca.pem"), wait_s=0, **own)
    assert error.value.field == "authorization" and "SEXTANT_TOKEN" in error.value.remedy
    monkeypatch.setenv("SEXTANT_TOKEN", "s3cret")
    monkeypatch.setenv("SEXTANT_CA", str(keys / "ca.pem"))
    if mutual:
        monkeypatch.setenv("SEXTANT_CERT", own["cert"])
        monkeypatch.setenv("SEXTANT_KEY", own["key"])
    monkeypatch.setenv("SEXTANT_SERVER", address)
    with sextant.connect(wait_s=0) as sx:
        assert sx.describe().version == "9.9"


def test_strangers_are_not_trusted(door, keys):
    address, mutual = door
    with pytest.raises(sextant.Unreachable):
        sextant.connect(address, token="s3cret", tls=True, wait_s=0)  # the system knows no such authority
    if mutual:
        with pytest.raises(sextant.Unreachable):
            sextant.connect(address, token="s3cret", ca=str(keys / "ca.pem"), wait_s=0)


def test_addresses_say_whether_they_are_encrypted(door, keys):
    address, mutual = door
    own = {"cert": str(keys / "client.pem"), "key": str(keys / "client.key")} if mutual else {}
    for scheme in ("https://", "tls://"):
        with sextant.connect(scheme + address, token="s3cret", ca=str(keys / "ca.pem"), wait_s=0, **own) as sx:
            assert sx.describe().version == "9.9"
    for there in ("gpu7:1", "10.0.0.1:1", "127.0.0.1.example.org:1", "[fe80::1]:1"):
        with pytest.raises(sextant.UsageError) as error:
            sextant.connect(there, token="s3cret", wait_s=0)
        assert error.value.field == "token" and f"https://{there}" in error.value.remedy
    for here in ("127.9.9.9:1", "localhost:1", "[::1]:1", "unix:///none"):
        with pytest.raises(sextant.Unreachable):
            sextant.connect(here, token="s3cret", wait_s=0)


def test_a_token_comes_from_a_file(door, keys, monkeypatch, tmp_path):
    address, mutual = door
    own = {"cert": str(keys / "client.pem"), "key": str(keys / "client.key")} if mutual else {}
    file = tmp_path / "token"
    monkeypatch.setenv("SEXTANT_TOKEN_FILE", str(file))
    monkeypatch.setenv("SEXTANT_TOKEN", "another")
    file.write_text("s3cret\n")
    with sextant.connect(address, ca=str(keys / "ca.pem"), wait_s=0, **own) as sx:
        assert sx.describe().version == "9.9"
    file.write_text("two words")
    with pytest.raises(sextant.UsageError):
        sextant.connect(address, ca=str(keys / "ca.pem"), wait_s=0, **own)
