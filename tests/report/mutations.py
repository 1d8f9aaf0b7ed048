"""Valid results made hostile: what is changed in a document, and what a report must be like."""

from __future__ import annotations

import copy
import csv
import dataclasses
import gzip
import html.parser
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from rnnbench.cases import Case
from rnnbench.limits import Launches
from tests import synthetic
from tests.synthetic import Planted, document

MARK = "hOsTiLe"

TEXTS = (
    f"<script>{MARK}()</script>",
    f'"><img src=x onerror={MARK}()>',
    f"'><svg/onload={MARK}()>",
    f"</script></style></title></textarea><b {MARK}>",
    f"<!-- {MARK} --><![CDATA[{MARK}]]>",
    f"{{{{ {MARK} }}}} {{% raw %}} $\\{MARK}$ %s {{0}}",
    f"=HYPERLINK({MARK})",
    f"-1+{MARK}",
    f"@{MARK} #1 |a|b|\n\n# {MARK}\n```",
    f"../../{MARK}",
    f"/tmp/{MARK}\\..\\{MARK}",
    f"\x00\x1b[2J\x07{MARK}\r\n\x85\u2028",
    f"\u202e{MARK}\u2066\u200f",
    f"\ud800{MARK}\udfff",
    f"&lt;{MARK}&amp;&#x3c;script&#x3e;",
    f"javascript:{MARK}()",
    f"data:text/html,{MARK}",
    "x" * 10_000,
    f"{MARK} " * 1_500,
    "漢字🙂́" * 50,
    "",
    " ",
    "nan",
    "measured",
    "cuda",
    "cuda:" + "9" * 5000,
    "cpu",
)
NAMES = (MARK, "A" * 10_000, "_", "nn_rnn", "a.b+c", "constructor", "__proto__")
NUMBERS = (
    0,
    -1,
    1,
    3,
    2**31,
    2**63 - 1,
    2**63,
    10**30,
    10**400,
    -(10**30),
    0.5,
    -0.0,
    1e-15,
    1e-300,
    5e-324,
    1e12,
    1e300,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
)
OTHERS = (
    None,
    True,
    False,
    [],
    {},
    [None],
    [[[[]]]],
    {"a": None},
    {MARK: {MARK: [MARK, None, 1e308]}},
    {f"<script>{MARK}</script>": f"<b>{MARK}</b>"},
    {"constructor": 1, "__proto__": {"x": 1}},
    [f"<i>{MARK}</i>"] * 30,
)
VALUES: tuple[Any, ...] = (*TEXTS, *NAMES, *NUMBERS, *OTHERS)


def base_document() -> dict[str, Any]:
    """A small file with something for every section of a report."""
    case = Case(batch=4, input_size=3, hidden_size=5)
    planted = []
    for device in ("cpu", "cuda"):
        for seq_len in (5, 10, 20):
            seconds = seq_len * 1e-5 if device == "cpu" else 1e-4
            there = dataclasses.replace(case, seq_len=seq_len, device=device)
            compiled = dataclasses.replace(there, implementation="compiled_loop")
            on_device = seconds / 2 if device == "cuda" else None
            planted += [
                Planted(there, seconds, on_device),
                Planted(
                    compiled,
                    seconds / 2,
                    on_device and on_device / 2,
                    compile_cold=9.0,
                    compile_warm=2.0,
                    ran={"graphs": 1, "breaks": {"a reason": 2}, "recompilations": 1},
                ),
            ]
    for changes in ({"layout": "batch_first"}, {"pass_": "inference"}, {"pass_": "backward"}):
        planted.append(Planted(dataclasses.replace(case, seq_len=5, **changes), 7e-5))
    limits = [synthetic.ceiling(call=1e-6, bytes_per_second=1e10).as_json()]
    launches = [
        {"device": "cuda", **dict.fromkeys(Launches.NAMES, synthetic.least(5e-6).as_json())}
    ]
    return document(
        planted,
        replicates=2,
        blocks=2,
        rounds=2,
        environments={
            "default": synthetic.environment(
                devices=synthetic.GPU, limits=limits, launches=launches, no_limits="a sentence"
            )
        },
        not_measured=[
            (dataclasses.replace(case, implementation="scan"), "failed", "a reason"),
            (dataclasses.replace(case, batch=9999), "out_of_memory", "another reason"),
        ],
        notes=["a note of the run"],
    )


Path = tuple[str | int, ...]


def _paths(value: Any, path: Path = ()) -> Iterable[Path]:
    yield path
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from _paths(item, (*path, key))


def places(base: Any) -> list[list[Path]]:
    """All paths of a document, those together that differ in indices alone."""
    found: dict[Path, list[Path]] = {}
    for path in _paths(base):
        kind = tuple("*" if isinstance(key, int) else key for key in path)
        if path:
            found.setdefault(kind, []).append(path)
    return list(found.values())


_FREE = re.compile(
    r"rnnbench (grid|options|load|notes|environments|version)|datetime|reason|verification|\bran\b"
    r"|compile|clock|work|machine_info|commit_info|param|options"
)

CHANGES = ("drop", "put", "put", "put", "empty", "twice", "wrap", "rename")


def mutations(base: Any) -> st.SearchStrategy[list[tuple[Path, str, Any]]]:
    """One to four changes; half of them where the schema leaves a file free."""
    groups = places(base)
    free = [group for group in groups if _FREE.search(" ".join(map(str, group[0])))]
    case = [group for group in groups if "case" in group[0]]
    place = st.sampled_from(free) | st.sampled_from(groups) | st.sampled_from(case)
    value = st.sampled_from(VALUES) | st.text(max_size=20) | st.integers() | st.floats()
    one = st.tuples(place.flatmap(st.sampled_from), st.sampled_from(CHANGES), value)
    return st.lists(one, min_size=1, max_size=4)


def mutated(base: Any, changes: Sequence[tuple[Path, str, Any]]) -> Any:
    """A document after some changes; a change whose place is gone does nothing."""
    made = json.loads(json.dumps(base))
    for path, change, value in changes:
        *above, last = path
        parent = made
        try:
            for key in above:
                parent = parent[key]
            _change(parent, last, change, copy.deepcopy(value))
        except (LookupError, TypeError, AttributeError):
            continue
    return made


def _change(parent: Any, key: Any, change: str, value: Any) -> None:
    if change == "drop":
        del parent[key]
    elif change == "put":
        parent[key] = value
    elif change == "empty":
        parent[key] = type(parent[key])()
    elif change == "twice":
        if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        else:
            parent[key] = parent[key] * 2
    elif change == "wrap":
        parent[key] = [parent[key]]
    elif isinstance(parent, dict):
        parent[value if isinstance(value, str) else repr(value)[:50]] = parent.pop(key)


damage = st.one_of(
    st.none(),
    st.none(),
    st.tuples(
        st.sampled_from(["cut", "flip", "gzip", "gzip cut", "gzip flip"]),
        st.floats(0, 1),
        st.integers(1, 255),
    ),
)


def as_bytes(made: Any, harm: tuple[str, float, int] | None) -> bytes:
    """A document as a file, whole or broken."""
    data = json.dumps(made).encode()
    if harm is None:
        return data
    how, where, bits = harm
    if "gzip" in how:
        data = gzip.compress(data, 1)
    at = int(where * (len(data) - 1))
    if "cut" in how:
        return data[:at]
    if "flip" in how:
        return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]
    return data


# --- what a report must be like

_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TEXT_ATTRIBUTES = {"title", "alt", "aria-label", "data-sort", "data-text", "content", "value"}


class Tags(html.parser.HTMLParser):
    """Collects tags and attributes of a page, and complains of what a hostile text became."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: set[tuple[str, str]] = set()
        self.wrong: list[str] = []
        self.script = ""
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.seen.add((tag, ""))
        for name, value in attrs:
            self.seen.add((tag, name))
            hostile = MARK.lower() in (value or "").lower()
            if name.startswith("on") or MARK.lower() in name:
                self.wrong.append(f"<{tag} {name}>")
            if hostile and name not in _TEXT_ATTRIBUTES:
                self.wrong.append(f'<{tag} {name}="{value}">'[:200])
            if name in ("href", "xlink:href", "src") and not re.match(r"#|data:,?|$", value or ""):
                self.wrong.append(f'<{tag} {name}="{value}">'[:200])
        if MARK.lower() in tag:
            self.wrong.append(f"<{tag}>")
        if tag == "script":
            kind = dict(attrs).get("type")
            self.inside = f"script {kind}"

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.wrong.append(f"<!--{data[:100]}-->")

    def handle_decl(self, decl: str) -> None:
        if MARK in decl:
            self.wrong.append(f"<!{decl[:100]}>")

    unknown_decl = handle_decl
    handle_pi = handle_decl

    def handle_data(self, data: str) -> None:
        runs = self.inside in ("style", "script None", "script text/javascript", "script module")
        if runs and MARK in data:
            self.wrong.append(f"<{self.inside}> holds a text of the file")
        if self.inside == "script application/json":
            json.loads(data)


def faults(files: Mapping[str, bytes], known: set[tuple[str, str]]) -> list[str]:
    """What is wrong with a report: ``known`` are the tags and attributes that a page may have."""
    page = files["index.html"].decode()
    tags = Tags()
    tags.feed(page)
    tags.close()
    found = [*tags.wrong]
    found += [f"a new tag or attribute: {new}" for new in sorted(tags.seen - known)]
    for name, data in files.items():
        if name.endswith(".png"):
            continue
        text = data.decode()
        # Exports for programs keep texts as they are, in quotes or escaped.
        if not name.startswith("cases.") and (hidden := _HIDDEN.search(text)):
            found.append(f"{name}: holds {hidden.group()!r}")
        if name.endswith(".md") and re.search(r"<(script|img|svg|b|i) ?", text):
            found.append(f"{name}: holds markup")
        if name.endswith(".csv"):
            found += [f"{name}: {cell[:50]!r}" for cell in _formulas(text)]
        if name.endswith(".svg") and re.search(r"<(script|img)\b|\son\w+=", text):
            found.append(f"{name}: holds markup")
    return found


def _formulas(text: str) -> Iterable[str]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        for row in csv.reader(io.StringIO(text, newline="")):
            for cell in row:
                if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) and not _number(cell):
                    yield cell
    finally:
        csv.field_size_limit(before)


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
