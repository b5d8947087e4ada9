"""Only regular files of a bounded size are opened; nothing is waited for."""

import os
import socket

import pytest

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.regular_files import open_regular, read_text
from tests.helpers.limits import within


def fifo(path):
    os.mkfifo(path)


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "but is a FIFO"),
        (os.mkdir, "but is a folder"),
        (unix_socket, "but is a socket"),
        (lambda path: os.symlink("/dev/zero", path), "but is a device"),
        (lambda path: os.symlink(path, path), "but is a symbolic link"),
    ],
)
def test_what_is_no_regular_file_is_named(make, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    make("file")
    with within(), pytest.raises(DamagedFileError, match="file must be a regular file, " + words):
        open_regular("file")


def test_a_file_of_holes_is_not_read(tmp_path):
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, 6 * 10**9)
    with pytest.raises(DamagedFileError, match="at most 1,000 bytes, but has 6,000,000,000"):
        read_text(file, 1000)


def test_links_do_not_lead_out_of_a_folder(tmp_path):
    secret, inside = tmp_path / "secret", tmp_path / "inside"
    secret.write_text("secret")
    inside.mkdir()
    (inside / "file").write_text("mine")
    (inside / "link").symlink_to(secret)
    (inside / "folder").symlink_to(tmp_path)
    open_regular(inside / "file", inside=inside).close()
    open_regular(inside / "link").close()
    with pytest.raises(DamagedFileError, match="is a symbolic link"):
        open_regular(inside / "link", inside=inside)
    with pytest.raises(DamagedFileError, match="symbolic link leads out of it"):
        open_regular(inside / "folder" / "secret", inside=inside)


def test_text_must_be_utf_8(tmp_path):
    (tmp_path / "file").write_bytes(b"good \xff")
    with pytest.raises(DamagedFileError, match="file is damaged: it is not UTF-8 text from byte 5"):
        read_text(tmp_path / "file", 1000)
