"""Published files: found, verified, downloaded, refused."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest

from dgmrun.data import files
from dgmrun.errors import Mistake

CONTENT = b"0 1 1 0\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAMES = ("folder/table.amat.gz", "folder/table.amat", "table.amat")
NOWHERE = "http://localhost/table.amat"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise URLError(f"no network for {url} within {timeout} s")

    monkeypatch.setattr(files, "urlopen", refuse)


@pytest.mark.parametrize("name", NAMES)
def test_a_local_file_is_read_packed_or_not(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / name).write_bytes(gzip.compress(CONTENT) if name.endswith(".gz") else CONTENT)
    assert files.read(tmp_path, NAMES, NOWHERE, SHA256) == CONTENT


@pytest.mark.parametrize(
    "content", [b"<html>", gzip.compress(b"another", mtime=0), gzip.compress(CONTENT, mtime=0)[:-3], b"\x1f\x8b\x00"]
)
def test_a_local_file_with_other_contents_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "table.amat").write_bytes(content)
    with pytest.raises(Mistake, match=r"`data_dir` must hold folder/table.amat.gz as published") as caught:
        files.read(tmp_path, NAMES, NOWHERE, SHA256)
    assert str(tmp_path / "table.amat") in str(caught.value)


def test_a_missing_file_is_downloaded_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = tmp_path / "server" / "table.amat.gz"
    published.parent.mkdir()
    published.write_bytes(gzip.compress(CONTENT))
    monkeypatch.setattr(files, "urlopen", lambda url, timeout: published.open("rb"))
    data_dir = tmp_path / "data"
    assert files.read(data_dir, NAMES, NOWHERE, SHA256) == CONTENT
    assert [file.name for file in (data_dir / "folder").iterdir()] == ["table.amat.gz"]
    published.unlink()
    assert files.read(data_dir, NAMES, NOWHERE, SHA256) == CONTENT


def test_a_download_of_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<html>quota exceeded</html>")
    monkeypatch.setattr(files, "urlopen", lambda url, timeout: page.open("rb"))
    with pytest.raises(Mistake, match="what came has another checksum"):
        files.read(tmp_path / "data", NAMES, NOWHERE, SHA256)
    assert not (tmp_path / "data").exists()


def test_without_network_it_says_what_where_and_how(tmp_path: Path) -> None:
    with pytest.raises(Mistake) as caught:
        files.read(tmp_path, NAMES, NOWHERE, SHA256)
    assert all(part in str(caught.value) for part in (*NAMES, str(tmp_path), NOWHERE, "no network"))
    assert "data_dir=DIR" in caught.value.hint
    assert "DGMRUN_DATA" in caught.value.hint


def test_a_read_only_folder_without_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    page = tmp_path / "page"
    page.write_bytes(CONTENT)
    monkeypatch.setattr(files, "urlopen", lambda url, timeout: page.open("rb"))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Mistake, match="read-only file system"):
        files.read(tmp_path, NAMES, NOWHERE, SHA256)
