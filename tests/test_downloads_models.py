"""Fetching a model: https to the end, of bounded size, with the hash it must have, from a server on this machine."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "onnx", reason="graphs are built with onnx, of the train extra: pip install 'voxid[train]'"
)

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foreign_graphs import fbank_graph, sha256_of
from voxid.cli import main
from voxid.errors import InputError
from voxid.zoo import fetching
from voxid.zoo.adding import Added, Wish, add_model
from voxid.zoo.shelf import FOLDER_VARIABLE

ASKED: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one model in many ways, good and bad."""

    model = b""

    def do_GET(self) -> None:
        ASKED.append(self.path)
        kind = self.path.split("?")[0].removesuffix("/x.onnx")
        if kind.startswith("/to/"):
            self.send_response(302)
            self.send_header(
                "Location", {"/to/model": "/model/x.onnx"}.get(kind, TARGETS.get(kind, "/to/loop"))
            )
            self.end_headers()
            return
        if kind == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if kind == "/page" else "application/octet-stream")
        claims = {"/short": len(self.model) + 99, "/huge": 2**33}.get(kind, len(self.model))
        if kind != "/endless":
            self.send_header("Content-Length", str(claims))
        self.end_headers()
        try:
            self.wfile.write(self.model)
            while kind == "/endless":
                self.wfile.write(b"\0" * 65_536)
        except OSError:  # the client has enough
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


TARGETS = {
    "/to/http": "http://127.0.0.1:9/x.onnx",
    "/to/file": "file:///etc/passwd",
    "/to/ftp": "ftp://127.0.0.1/x.onnx",
    "/to/secret": "https://user:pass@127.0.0.1/x.onnx",
}


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that it signs itself, good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    (folder / "trusted.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running https server, whose certificate is trusted as a company's own would be."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    Handler.model = fbank_graph(tmp_path / "model.onnx").read_bytes()
    ASKED.clear()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def no_torch(*_: object) -> Any:
    raise AssertionError("no checkpoint")


def add(url: str, tmp_path: Path, **wish: Any) -> Added:
    return add_model(Wish(url, wish.pop("sha256", sha256_of(tmp_path / "model.onnx")), **wish), no_torch)


def test_fetched_checked_and_added(server: str, tmp_path: Path) -> None:
    heard: list[float] = []
    wish = Wish(f"{server}/model/x.onnx?token=secret#part", sha256_of(tmp_path / "model.onnx"))
    bundle = add_model(wish, no_torch, heard.append).bundle
    assert heard[-1] == 1.0
    assert heard == sorted(heard)
    assert bundle.name == "x"
    assert bundle.card["source"]["url"] == f"{server}/model/x.onnx"
    assert "secret" not in json.dumps(bundle.card)


def test_redirections_to_https_are_followed(server: str, tmp_path: Path) -> None:
    assert add(f"{server}/to/model/x.onnx", tmp_path).bundle.name == "x"
    assert ASKED == ["/to/model/x.onnx", "/model/x.onnx"]


@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [
        ("/to/http", "address_refused", "http://127.0.0.1:9/x.onnx is not fetched: only https is"),
        ("/to/file", "download_failed", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("/to/ftp", "address_refused", "ftp://127.0.0.1/x.onnx is not fetched: only https is"),
        ("/to/secret", "address_refused", "holds a user name or password"),
        ("/to/loop", "download_failed", "could not be fetched: HTTP 302"),
        ("/missing", "download_failed", "could not be fetched: HTTP 404 Not Found. Check the address"),
        ("/page", "download_is_page", "answers with a web page, not with a file"),
        ("/huge", "model_too_large", "is larger than 1,024 MiB"),
    ],
)
def test_what_is_not_taken(server: str, tmp_path: Path, path: str, code: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        add(f"{server}{path}/x.onnx", tmp_path)
    assert (caught.value.code, sentence in str(caught.value)) == (code, True), str(caught.value)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_reply_that_ends_too_early(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_SILENCE_S", 1.0)
    with pytest.raises(InputError) as caught:
        add(f"{server}/short/x.onnx", tmp_path)
    assert caught.value.code == "download_failed"


def test_a_reply_that_does_not_end(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No length is announced and bytes keep coming: it stops at the cap, and the part is gone."""
    monkeypatch.setattr(fetching, "MAX_MODEL_BYTES", 3_000_000)
    with pytest.raises(InputError, match="is larger than 2 MiB") as caught:
        add(f"{server}/endless/x.onnx", tmp_path)
    assert caught.value.code == "model_too_large"
    assert list((tmp_path / "models").iterdir()) == []


def test_a_file_that_was_replaced(server: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="it is another file, damaged or replaced. It was not added"
    ) as caught:
        add(f"{server}/model/x.onnx", tmp_path, sha256="0" * 64)
    assert caught.value.code == "model_hash_mismatch"
    assert list((tmp_path / "models").iterdir()) == []


def test_nothing_is_asked_for_without_a_hash(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is fetched only with --sha256.*Nothing was fetched") as caught:
        add(f"{server}/model/x.onnx", tmp_path, sha256=None)
    assert caught.value.code == "sha256_missing"
    assert ASKED == []


def test_nothing_is_asked_for_when_the_name_is_taken(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a model named 'ecapa-base' already"):
        add(f"{server}/model/x.onnx", tmp_path, name="ecapa-base")
    assert ASKED == []


def test_a_certificate_nobody_vouches_for(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(InputError, match="could not be fetched: .*certificate verify failed") as caught:
        add(f"{server}/model/x.onnx", tmp_path)
    assert caught.value.code == "download_failed"
    assert ASKED == []


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/x",
        "ftp://x/y",
        "file:///etc/passwd",
        "data://x",
        "https://",
        "https://[x",
        "https://a:b@h/x",
    ],
)
def test_other_addresses_are_refused_at_once(server: str, tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError) as caught:
        add(address, tmp_path, name="x")
    assert caught.value.code == "address_refused"


def test_the_command_line_fetches(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{server}/model/x.onnx"
    assert main(["models", "add", url, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "sha256_missing"
    hash_ = sha256_of(tmp_path / "model.onnx")
    other = tmp_path / "elsewhere"
    call = ["models", "add", url, "--sha256", hash_, "--models-dir", str(other), "--name", "mine", "--json"]
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(other / "mine")
    assert main(["models", "list", "--models-dir", str(other), "--json"]) == 0
    assert "mine" in {row["name"] for row in json.loads(capsys.readouterr().out)["models"]}
