"""Downloads: truncated, slow, wrong and malicious ones from a server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import stat
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from replicate.commands.main import build_parser, main
from replicate.common.errors import UserError
from replicate.corpus import kuake
from replicate.corpus.fetch import ATTEMPTS, fetch, members, no_network
from replicate.tables.profile import Profile, load_profile

BODY = bytes(range(256)) * 40
MD5 = hashlib.md5(BODY).hexdigest()
Answer = Callable[[BaseHTTPRequestHandler, int], None]


class Server:
    """A server whose answer to the n-th request is `answer(handler, n)`."""

    def __init__(self) -> None:
        self.answer: Answer = whole
        self.requests = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                server.answer(self, server.requests)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.zip"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on loopback, asked without any proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, length: int | None = None, code: int = 200) -> None:
    """One answer; `length` is what its head claims."""
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler, number: int) -> None:
    """The right file."""
    send(handler, BODY)


def truncated(handler: BaseHTTPRequestHandler, number: int) -> None:
    """Half of it, then the connection ends."""
    send(handler, BODY[:5000], len(BODY))


def truncated_without_length(handler: BaseHTTPRequestHandler, number: int) -> None:
    """Half of it, and nothing that says so."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(BODY[:5000])


def flipped(handler: BaseHTTPRequestHandler, number: int) -> None:
    """One bit is another."""
    send(handler, bytes([BODY[0] ^ 1]) + BODY[1:])


def silent(handler: BaseHTTPRequestHandler, number: int) -> None:
    """A head, and then nothing for longer than anybody waits."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    time.sleep(2)


def dripping(handler: BaseHTTPRequestHandler, number: int) -> None:
    """A byte now and then, always before the time-out."""
    handler.send_response(200)
    handler.end_headers()
    for byte in BODY[:30]:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.1)


def endless(handler: BaseHTTPRequestHandler, number: int) -> None:
    """More than was asked for, without a length."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(bytes(1 << 16))


def huge(handler: BaseHTTPRequestHandler, number: int) -> None:
    """A length of a terabyte."""
    send(handler, b"x", 1 << 40)


def broken(handler: BaseHTTPRequestHandler, number: int) -> None:
    """What is no HTTP."""
    handler.wfile.write(b"\x00\xff\r\n\r\n")


def failing(handler: BaseHTTPRequestHandler, number: int) -> None:
    """The server's own fault."""
    send(handler, b"", code=503)


def absent(handler: BaseHTTPRequestHandler, number: int) -> None:
    """No such file."""
    send(handler, b"", code=404)


def get(url: str) -> bytes:
    """Fetch with the patience of a test."""
    return fetch(url, MD5, 1 << 20, timeout=0.3, deadline=1.0, pause=0.01)


def test_right_file(server: Server) -> None:
    """One request is enough."""
    assert get(server.url) == BODY
    assert server.requests == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (truncated, "5000 of 10240 bytes came|IncompleteRead"),
        (truncated_without_length, f"should be {MD5}"),
        (flipped, f"should be {MD5}"),
        (silent, "timed out"),
        (dripping, "not whole after 1 seconds"),
        (endless, "more than the 1048576 bytes expected"),
        (huge, "1099511627776 bytes are more than the 1048576 expected"),
        (broken, "can't be fetched"),
        (failing, "the server answers 503"),
    ],
)
def test_bad_answers_are_retried_and_told(server: Server, answer: Answer, words: str) -> None:
    """Three attempts, then one line with the address and what was wrong, within seconds."""
    server.answer = answer
    before = time.monotonic()
    with pytest.raises(UserError, match=words) as caught:
        get(server.url)
    assert str(caught.value).startswith(f"{server.url}: can't be fetched: ")
    assert "\n" not in str(caught.value)
    assert server.requests == ATTEMPTS
    assert time.monotonic() - before < 10


def test_what_is_not_there_is_asked_for_once(server: Server) -> None:
    """A 404 stays one."""
    server.answer = absent
    with pytest.raises(UserError, match="the server answers 404"):
        get(server.url)
    assert server.requests == 1


def test_third_attempt_is_taken(server: Server) -> None:
    """What went wrong twice may go well."""
    server.answer = lambda handler, number: (truncated, flipped, whole)[number - 1](handler, number)
    assert get(server.url) == BODY
    assert server.requests == 3


def test_nobody_there() -> None:
    """A port without a server is one line."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="Connection refused"):
        get(f"http://127.0.0.1:{port}/x")


def archive(*entries: tuple[str, bytes, bool]) -> bytes:
    """A ZIP of names, contents, and whether each is a symbolic link."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data, link in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777 if link else stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    return made.getvalue()


def test_members_of_an_archive() -> None:
    """The named files, and no other."""
    data = archive(("a/b", b"1", False), ("../../evil", b"2", False), ("/etc/evil", b"3", False))
    assert members(data, ["a/b"], 10) == {"a/b": b"1"}


def lying(data: bytes) -> bytes:
    """The archive with its stated sizes made small."""
    return data.replace((1 << 20).to_bytes(4, "little"), (5).to_bytes(4, "little"))


def flip(data: bytes, place: int) -> bytes:
    """The data with one bit changed."""
    return data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an archive"),
        (b"PK\x03\x04" + bytes(50), "not an archive"),
        (archive(("b", b"1", False)), "lacks a file"),
        (archive(("a", bytes(1 << 20), False)), "a in the archive is larger than 1000 bytes"),
        (lying(archive(("a", bytes(1 << 20), False))), "not an archive|larger"),
        (archive(("a", b"1" * 500, False))[:-30], "not an archive"),
        (flip(archive(("a", bytes(range(250)) * 3, False)), 60), "not an archive"),
    ],
    ids=["nothing", "garbage", "another file", "bomb", "bomb that lies", "half", "flipped bit"],
)
def test_bad_archives(data: bytes, words: str) -> None:
    """Each is one line."""
    with pytest.raises(UserError, match=words) as caught:
        members(data, ["a"], 1000)
    assert "\n" not in str(caught.value)


EXAMPLES = json.dumps([{"id": "1", "query": "发热怎么办", "label": "治疗方案"}], ensure_ascii=False).encode()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """An empty cache, upstream on this machine, and files small enough to serve in the right ones' place."""
    monkeypatch.delenv(kuake.VARIABLE, raising=False)
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "缓存 a"))
    monkeypatch.setattr(kuake, "URL", server.url)
    monkeypatch.setattr("replicate.corpus.fetch.PAUSE", 0.01)
    monkeypatch.setattr(kuake, "MD5", dict.fromkeys(kuake.MD5, hashlib.md5(EXAMPLES).hexdigest()))
    return tmp_path


def serve(server: Server, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Serve an archive that has the digest it should have: upstream itself is malicious."""
    server.answer = lambda handler, number: send(handler, data)
    monkeypatch.setattr(kuake, "ARCHIVE_MD5", hashlib.md5(data).hexdigest())


def named(extra: tuple[str, bytes, bool], first: tuple[bytes, bool] = (EXAMPLES, False)) -> bytes:
    """An archive of the three files and one more."""
    names = [f"KUAKE-QIC/{name}" for name in kuake.MD5]
    return archive((names[0], *first), *((name, EXAMPLES, False) for name in names[1:]), extra)


def test_data_is_fetched(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three files go into the cache, whatever else the archive holds and wherever that wants to go."""
    evil = (f"../../../../../../{cache}/evil", b"x", False)
    serve(server, monkeypatch, named(evil))
    assert kuake.load().train.texts == ("发热怎么办",)
    files = sorted(path.name for path in cache.rglob("*") if path.is_file())
    assert files == sorted(kuake.MD5)
    requests = server.requests
    kuake.load(offline=True)
    assert server.requests == requests


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ((b"/etc/passwd", True), "MD5 is"),
        ((EXAMPLES + b" ", False), "MD5 is"),
        ((bytes(70 << 20), False), "larger than"),
    ],
)
def test_malicious_archive_leaves_nothing(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, first: tuple[bytes, bool], words: str
) -> None:
    """A link, other contents, a bomb: one line, and the cache stays empty."""
    serve(server, monkeypatch, named(("b", b"", False), first))
    with pytest.raises(UserError, match=words):
        kuake.load()
    assert not [*cache.rglob("*")]


def test_wrong_archive_is_one_line(server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says which file, and what to do without the network; exit code 2."""
    assert main(["data", "kuake-qic", str(cache / "data")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("replicate: KUAKE-QIC ")
    assert f"({server.url}: " in told
    assert "MD5 is " in told
    assert told.count("\n") == 1
    assert not (cache / "data").exists()


def test_offline_opens_no_socket(server: Server, cache: Path) -> None:
    """`--offline` asks nobody, not even where something in between would; afterwards the network is back."""
    assert main(["data", "kuake-qic", str(cache / "data"), "--offline"]) == 2
    with no_network():
        with pytest.raises(OSError, match="no connection is opened offline"):
            urllib.request.urlopen(server.url, timeout=1)
        with socket.socket() as one, pytest.raises(OSError, match="no connection"):
            one.connect(("127.0.0.1", server.http.server_port))
        with pytest.raises(OSError, match="no connection"):
            socket.create_connection(("localhost", 9), timeout=1)
    assert server.requests == 0
    assert get(server.url) == BODY


# Python tells an audit hook of every connection and look-up, whoever asks for it; a hook stays for good, so it is told
# when to note.
NOTED: list[str] | None = None
ASKS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


def note(event: str, arguments: tuple[object, ...]) -> None:
    """Note what asks for the network."""
    if NOTED is not None and event in ASKS:
        NOTED.append(f"{event}{arguments}")


@pytest.fixture
def noted() -> Iterator[list[str]]:
    """What the network was asked for."""
    global NOTED
    if not hasattr(note, "installed"):
        sys.addaudithook(note)
        note.installed = True  # type: ignore[attr-defined]
    NOTED = []
    yield NOTED
    NOTED = None


# Each would fetch something: the data, and weights by their name.
OFFLINE = {
    "audit": ["kuake-qic"],
    "data": ["kuake-qic {tmp}/data"],
    "faithfulness": ["paper"],
    "run": ["svm --profile paper --device cpu", "base --profile paper --device cpu --dataset_dir {data}"],
}


def test_every_command_that_has_offline() -> None:
    """A new one is tried too."""
    parsers = next(one.choices for one in build_parser()._actions if one.dest == "==SUPPRESS==" and one.choices)
    assert isinstance(parsers, dict)
    assert set(OFFLINE) - {"data"} == {
        name for name, one in parsers.items() if "--offline" in one._option_string_actions
    }
    inner = next(one.choices for one in parsers["data"]._actions if one.dest == "name" and one.choices)
    assert {name for name, one in inner.items() if "--offline" in one._option_string_actions} == {
        "generated",
        "kuake-qic",
    }


@pytest.mark.parametrize(("command", "rest"), [(name, line) for name, lines in OFFLINE.items() for line in lines])
def test_offline_asks_nobody(
    command: str,
    rest: str,
    cache: Path,
    data_folder: Path,
    noted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is not on this machine is one line, and no library below asked for a connection or an address."""
    monkeypatch.setenv("REPLICATE_STORE", str(cache / "store"))

    def profile(name: str) -> Profile:
        # This machine may have the weights of the profile's own.
        return replace(load_profile(name), model="nobody-has-this-model")

    monkeypatch.setattr("replicate.commands.run.load_profile", profile)
    words = rest.format(tmp=cache, data=data_folder).split()
    assert main([command, *words, "--offline"]) == 2
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("replicate: ")
    assert "Traceback" not in told.err
    assert noted == []
