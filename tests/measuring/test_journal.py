"""The journal gives back what was appended, and loses at most a line that was cut."""

import json
import os

import pytest

from rnnbench.errors import UserError
from rnnbench.measuring.journal import Journal, by_type, journal_path, read_journal

RUN = {"type": "run", "identity": {"torch": "2.13", "word": "größer"}}
BLOCKS = [
    {"type": "block", "turn": turn, "rounds": [0.1, 1e-9, turn / 3], "name": "a\nb"}
    for turn in range(3)
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "result.json.journal"


@pytest.fixture
def written(path):
    journal = Journal(path)
    journal.append(RUN)
    journal.append(*BLOCKS)
    journal.close()
    return path


def test_it_lies_beside_the_result(tmp_path):
    assert journal_path(tmp_path / "a.json") == tmp_path / "a.json.journal"


def test_records_come_back_exactly(written):
    assert read_journal(written) == ([RUN, *BLOCKS], False)


def test_records_are_on_disk_when_append_returns(path):
    journal = Journal(path)
    journal.append(RUN)
    assert read_journal(path)[0] == [RUN]
    journal.append(BLOCKS[0])
    assert read_journal(path)[0] == [RUN, BLOCKS[0]]
    journal.close()


def test_appending_goes_on_where_it_ended(written):
    journal = Journal(written)
    journal.append({"type": "end"})
    journal.close()
    assert read_journal(written)[0][-2:] == [BLOCKS[-1], {"type": "end"}]


def test_records_of_one_call_are_one_write(path, monkeypatch):
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real(fd, data))
    journal = Journal(path)
    journal.append(RUN, *BLOCKS)
    journal.close()
    assert len(writes) == 1


def test_a_short_write_is_completed(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    journal = Journal(path)
    journal.append(RUN, *BLOCKS)
    journal.close()
    assert read_journal(path) == ([RUN, *BLOCKS], False)


def test_a_number_that_json_lacks_is_never_written(path):
    journal = Journal(path)
    journal.append(RUN)
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append({"type": "block", "rounds": [float("nan")]})
    journal.close()
    assert read_journal(path) == ([RUN], False)


def test_without_a_path_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.append(RUN)
    journal.close()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_last_line_cut_at_any_byte_is_dropped_and_all_before_are_kept(written):
    whole = written.read_bytes()
    keep = whole.rindex(b"\n", 0, -1) + 1
    for end in range(keep + 1, len(whole)):
        written.write_bytes(whole[:end])
        assert read_journal(written) == ([RUN, *BLOCKS[:-1]], True)
        assert written.read_bytes() == whole[:keep], "the cut line must be removed"
        assert read_journal(written) == ([RUN, *BLOCKS[:-1]], False)


def test_a_last_line_of_garbage_is_dropped(written):
    whole = written.read_bytes()
    for garbage in (b"\x00\x00\xff\n", b"[1]\n", b"{}}\n"):
        written.write_bytes(whole + garbage)
        assert read_journal(written) == ([RUN, *BLOCKS], True)
        assert written.read_bytes() == whole


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b'{"type": "blo', b"[]", b"3"])
def test_damage_before_the_last_line_is_refused_with_its_number(written, line, damage):
    lines = written.read_bytes().splitlines(keepends=True)
    lines[line - 1] = damage + b"\n"
    written.write_bytes(b"".join(lines))
    before = written.read_bytes()
    with pytest.raises(UserError, match=rf"'result.json.journal' is damaged in line {line};"):
        read_journal(written)
    assert written.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"\n", b"hello", b"hello\n", json.dumps(BLOCKS[0]).encode() + b"\n", b"{}\n"],
)
def test_what_does_not_begin_as_a_journal_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match="does not begin as a journal of rnnbench does; remove it"):
        read_journal(path)
    assert path.read_bytes() == content


def test_before_its_first_line_a_run_has_left_none_and_holds_nothing(path):
    assert read_journal(path) == ([], False)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b'{"ty', b'{"type": "run"', b'{"type": "run", "identi'])
def test_a_first_line_that_was_cut_holds_nothing_either(path, content):
    path.write_bytes(content)
    assert read_journal(path) == ([], bool(content))
    assert path.read_bytes() == b""


def test_one_that_cannot_be_read_says_why(path):
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_journal(path)


def test_by_type_keeps_the_order():
    assert by_type([RUN, *BLOCKS, {"type": "end"}], "block") == BLOCKS
