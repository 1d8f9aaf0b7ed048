"""The page in a real browser: silent, offline, usable by keyboard, and deaf to hostile texts."""

import math
import random

import pandas as pd
import pytest

from rnnbench.report.content import Cell, Report, Section, Table, TableColumn
from rnnbench.report.page import page
from rnnbench.report.reproduce import command_for
from rnnbench.results import read
from tests.conftest import REPOSITORY
from tests.report.browser import (
    HOSTILE,
    SHOWN_COLUMNS,
    cases_table,
    find_chromium,
    hostile_report,
    report_of,
    stand_in_svg,
)

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; install it, or name it in RNNBENCH_CHROMIUM"
)

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
TIME = SHOWN_COLUMNS.index("time")
COLD = SHOWN_COLUMNS.index("compile_cold")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        # Without a sandbox: containers of CI run as root, and the page is our own.
        launched = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def results():
    return read(REPOSITORY / "results" / "cpu-quick" / "quick.json.gz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def quick(folder, results):
    """A page of a real result, with a plot as it is really drawn."""
    matplotlib = pytest.importorskip("matplotlib")
    from rnnbench.report.plots.export import svg_text
    from rnnbench.report.plots.style import RC

    with matplotlib.rc_context(RC):
        figure = matplotlib.figure.Figure(figsize=(8.3, 3))
        axes = figure.subplots()
        axes.plot([1, 10, 50], [1, 4, 15], label="nn_rnn")
        axes.set(title="Times", xlabel="T, steps", ylabel="time, ms")
        axes.grid(True)
    return written(folder / "quick.html", report_of(results, figure=figure), results, svg_text)


def written(path, report, results, svg=stand_in_svg):
    path.write_text(page(report, results, svg=svg), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser):
    """Opens an address and, when the test ends, sees that the page was silent and asked nothing."""
    contexts, troubles = [], []

    def open_(address, **options):
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        found = context.new_page()
        document, *_ = address.partition("#")

        def ask(route):
            if route.request.url.partition("#")[0] == document:
                route.continue_()
            else:
                troubles.append(f"request: {route.request.url}")
                route.abort()

        def refuse(dialog):
            troubles.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        context.route("**/*", ask)
        found.on("console", lambda message: troubles.append(f"console: {message.text}"))
        found.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        found.on("dialog", refuse)
        found.on("popup", lambda popup: troubles.append(f"popup: {popup.url}"))
        found.goto(address)
        return found

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def cases(opened, quick):
    """The table of all cases."""
    return opened(quick).locator("[data-table=cases]")


def texts(table, column=None):
    """Texts of the rows that stand in the document, as a reader sees them; or of one column."""
    rows = table.evaluate(
        "table => [...table.querySelectorAll('tbody tr')].map(row =>"
        " [...row.querySelectorAll('td:not(.screen) > bdi')].map(cell => cell.textContent))"
    )
    return rows if column is None else [row[column] for row in rows]


def all_rows(table):
    table.get_by_label("Rows").select_option(label="all")


def heading(table, name):
    return table.get_by_role("columnheader", name=name, exact=True).get_by_role("button")


def expected(results, column=None, *, down=False):
    """Python's own order of the cases, in the texts of the table."""
    rows = [[cell.text for cell in row] for row in cases_table(results).rows]
    order = list(range(len(rows)))
    if column is not None:
        values = results.frame[column].tolist()
        there = [row for row in order if not pd.isna(values[row])]
        there.sort(key=values.__getitem__, reverse=down)
        order = there + [row for row in order if pd.isna(values[row])]
    return [rows[row] for row in order]


class TestSorting:
    @pytest.mark.parametrize("name", ["time", "implementation", "seq_len"])
    def test_a_heading_sorts_up_then_down_then_as_in_the_file(self, cases, results, name):
        all_rows(cases)
        assert texts(cases) == expected(results)
        for down, said in ((False, "ascending"), (True, "descending")):
            heading(cases, name).click()
            assert texts(cases) == expected(results, name, down=down)
            sorted_by = cases.locator(f"th[aria-sort={said}]")
            assert sorted_by.all_inner_texts() == [name]
        heading(cases, name).click()
        assert texts(cases) == expected(results)
        assert cases.locator("th[aria-sort]").count() == 0

    def test_missing_values_come_last_in_either_direction(self, cases, results):
        all_rows(cases)
        missing = int(results.frame["compile_cold"].isna().sum())
        assert 0 < missing < len(results.frame)
        for down in (False, True):
            heading(cases, "compile_cold").click()
            assert texts(cases) == expected(results, "compile_cold", down=down)
            assert texts(cases, COLD)[-missing:] == ["not measured"] * missing


class TestChoosing:
    def test_search_keeps_rows_that_hold_every_word_in_any_column(self, cases, results):
        cases.get_by_label("Search").fill("COMPILED_ backward ")
        kept = [
            row
            for row in expected(results)
            if "compiled_" in "\n".join(row) and "backward" in "\n".join(row)
        ]
        assert texts(cases) == kept
        assert 0 < len(kept) < 50
        said = cases.get_by_role("status").inner_text()
        assert said == f"{len(kept)} of {len(results.frame)} rows"

    def test_choices_narrow_together_and_are_cleared_at_once(self, cases, results):
        assert cases.locator("select").count() == 6  # five columns that vary, and rows of a page
        cases.get_by_label("implementation").select_option("nn_rnn")
        cases.get_by_label("pass").select_option("forward")
        frame = results.frame
        kept = frame[(frame["implementation"] == "nn_rnn") & (frame["pass"] == "forward")]
        assert len(texts(cases)) == len(kept) > 0
        assert {tuple(row[:2]) for row in texts(cases)} == {("nn_rnn", "forward")}
        cases.get_by_role("button", name="Clear").click()
        assert texts(cases) == expected(results)[:50]
        assert cases.get_by_role("status").inner_text() == "82 of 82 rows"

    def test_where_no_row_is_left_the_table_says_so(self, cases):
        cases.get_by_label("Search").fill("nothing of the kind")
        assert cases.locator("tbody").inner_text().strip() == "No row matches."
        assert cases.get_by_role("status").inner_text() == "0 of 82 rows"

    def test_pages_turn_and_end(self, cases, results):
        assert texts(cases) == expected(results)[:50]
        cases.get_by_role("button", name="Next").click()
        assert texts(cases) == expected(results)[50:]
        end = cases.get_by_role("button", name="Next")
        assert end.get_attribute("aria-disabled") == "true"
        end.dispatch_event("click")
        assert cases.locator(".range").inner_text() == "51–82"
        cases.get_by_role("button", name="Previous").click()
        assert texts(cases) == expected(results)[:50]

    def test_what_was_chosen_survives_in_the_address(self, cases, opened):
        cases.get_by_label("Search").fill("loop")
        cases.get_by_label("pass").select_option("backward")
        heading(cases, "time").click()
        heading(cases, "time").click()
        again = opened(cases.page.url).locator("[data-table=cases]")
        assert texts(again) == texts(cases)
        assert again.get_by_label("Search").input_value() == "loop"
        assert again.get_by_label("pass").input_value() == "backward"

    @pytest.mark.parametrize("state", ["cases.sort=99&cases.is0=none", "cases.sort=x", "%=%E0%A4"])
    def test_an_address_that_says_nonsense_is_ignored(self, opened, quick, results, state):
        table = opened(f"{quick}#{state}").locator("[data-table=cases]")
        assert texts(table) == expected(results)[:50]

    def test_numbers_behind_a_plot_sort_too(self, opened, quick, results):
        found = opened(quick)
        found.get_by_text("Numbers behind: Times").first.click()
        table = found.locator("[data-table=behind-times]")
        heading(table, "time").click()
        smallest = results.frame["time"].min()
        assert texts(table)[0][2] == f"{smallest:.6g}"


class TestCommands:
    def test_each_row_has_the_command_that_python_makes(self, cases, results):
        all_rows(cases)
        heading(cases, "time").click()
        order = results.frame["time"].sort_values(kind="stable").index
        for place in (0, 17, 81):
            cases.locator("tbody tr").nth(place).get_by_role("button", name="Command").click()
            dialog = cases.page.get_by_role("dialog", name="Measure this case again")
            shown = dialog.locator("[data-command-text]")
            assert shown.text_content() == command_for(results, order[place])
            dialog.get_by_role("button", name="Close").click()
            assert not dialog.is_visible()

    def test_it_is_copied_as_it_stands(self, opened, quick, results):
        found = opened(quick)
        found.context.grant_permissions(["clipboard-read", "clipboard-write"])
        found.get_by_role("button", name="Command").first.click()
        found.get_by_role("button", name="Copy").click()
        found.get_by_text("Copied.").wait_for()
        assert found.evaluate("navigator.clipboard.readText()") == command_for(results, 0)

    def test_where_copying_is_refused_it_is_selected(self, opened, quick, results):
        found = opened(quick)
        found.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(Error()); }")
        found.get_by_role("button", name="Command").first.click()
        found.get_by_role("button", name="Copy").click()
        found.get_by_text("Selected: copy it").wait_for()
        assert found.evaluate("getSelection().toString()") == command_for(results, 0)


class TestKeyboard:
    def test_alone_it_reaches_navigation_tables_sorting_and_the_command(self, opened, quick):
        found = opened(quick)

        def focused(script="e => e.textContent.trim()"):
            return found.evaluate(f"({script})(document.activeElement)")

        def tab_to(test, most=60):
            for _ in range(most):
                found.keyboard.press("Tab")
                if found.evaluate(f"(e => {test})(document.activeElement)"):
                    return
            pytest.fail(f"{most} steps with Tab do not reach {test}")

        found.keyboard.press("Tab")
        assert focused() == "Skip to the content"
        tab_to("e.closest('nav')")
        assert focused() == "Verdict"
        tab_to("e.matches('.plot')")
        tab_to("e.matches('input[type=search]')")
        found.keyboard.type("nn_rnn")
        table = found.locator("[data-table=cases]")
        assert "nn_rnn" in texts(table, 0)[0]
        tab_to("e.matches('.region[role=region]')")
        tab_to("e.closest('th') && e.textContent === 'time'")
        assert found.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        found.keyboard.press("Enter")
        assert focused("e => e.closest('th').getAttribute('aria-sort')") == "ascending"
        tab_to("e.textContent === 'Command'")
        label = focused("e => e.getAttribute('aria-label')")
        assert label.startswith("Command: ") and "nn_rnn" in label
        found.keyboard.press("Enter")
        assert focused() == "Copy"
        assert found.evaluate("document.activeElement.closest('dialog').open")
        found.keyboard.press("Escape")
        assert focused("e => e.getAttribute('aria-label')") == label

    def test_the_skip_link_leads_past_the_navigation(self, opened, quick):
        found = opened(quick)
        found.keyboard.press("Tab")
        found.keyboard.press("Enter")
        assert found.evaluate("document.activeElement.id") == "content"


class TestAccessibility:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
    def test_axe_finds_nothing_serious(self, opened, quick, scheme, size):
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        found = opened(quick, viewport=size, color_scheme=scheme)
        found.get_by_text("Numbers behind: Times").first.click()
        # A few rows are enough, and fifty in each table take axe seconds.
        for table in found.locator("[data-table]").all():
            table.get_by_label("Search").fill("hoisted_loop 1")
            assert 0 < table.locator("tbody tr").count() < 50
        assert serious(axe.Axe().run(found)) == []
        found.get_by_role("button", name="Command").first.click()
        assert serious(axe.Axe().run(found, context="#command")) == []

    def test_a_narrow_screen_is_never_wider_than_it_is(self, opened, quick, folder, results):
        hostile = written(folder / "narrow.html", hostile_report(results), results)
        for address in (quick, hostile):
            found = opened(address, viewport=NARROW)
            assert found.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]

    def test_the_plot_says_what_it_shows(self, opened, quick):
        plot = opened(quick).get_by_role("img", name="Times")
        described = plot.get_attribute("aria-describedby")
        assert plot.locator(f"[id={described}]").text_content() == "Time rises with the length."


def serious(found):
    """What axe calls serious or critical: the rule, and where."""
    return [
        (violation["id"], [node["target"] for node in violation["nodes"]][:3])
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


class TestTheme:
    PAPER = "getComputedStyle(document.body).backgroundColor"

    @pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
    def test_it_follows_the_reader_until_told_otherwise(self, opened, quick, scheme, other):
        found = opened(quick, color_scheme=scheme)
        first = found.evaluate(self.PAPER)
        found.get_by_role("button", name=f"{other} colours").click()
        second = found.evaluate(self.PAPER)
        assert {first, second} == {"rgb(255, 255, 254)", "rgb(22, 24, 29)"}
        found.reload()
        assert found.evaluate(self.PAPER) == second

    def test_it_turns_where_storing_is_refused(self, opened, quick):
        found = opened(quick, color_scheme="light")
        found.evaluate(
            "Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }})"
        )
        found.get_by_role("button", name="Dark colours").click()
        assert found.evaluate(self.PAPER) == "rgb(22, 24, 29)"

    def test_print_is_light_whole_and_without_controls(self, cases, results):
        found = cases.page
        found.emulate_media(media="print", color_scheme="dark")
        playwright.expect(cases.locator("tbody tr")).to_have_count(len(results.frame))
        assert texts(cases) == expected(results)
        assert found.evaluate(self.PAPER) == "rgb(255, 255, 254)"
        for hidden in ("nav", ".controls", ".pages", ".theme", "td.screen", ".sort"):
            assert not found.locator(hidden).first.is_visible(), hidden
        assert cases.locator("thead .paper").all_inner_texts() == list(SHOWN_COLUMNS)
        found.emulate_media(media="screen")
        playwright.expect(cases.locator("tbody tr")).to_have_count(50)
        assert texts(cases) == expected(results)[:50]

    def test_without_script_rows_stand_and_a_sentence_says_what_is_missing(self, opened, quick):
        found = opened(quick, java_script_enabled=False)
        assert found.locator("[data-table=cases] tbody tr").count() == 82
        assert "Without JavaScript" in found.locator("body").inner_text()
        assert found.get_by_role("button").count() == 0


class TestHostileTexts:
    def test_they_are_shown_and_run_nothing(self, opened, folder, results):
        found = opened(written(folder / "hostile.html", hostile_report(results), results))
        found.locator("summary").first.click()
        table = found.locator("[data-table=texts]")
        for name in found.locator("[data-table=texts] th button").all():
            name.click()
        for text in HOSTILE[:7]:
            table.get_by_label("Search").fill(text)
            assert text in [cell for row in texts(table) for cell in row]
        table.get_by_role("button", name="Clear").click()
        choice = table.locator("select").first
        choice.select_option(HOSTILE[0])
        assert texts(table, 0) == [HOSTILE[0]]
        again = opened(found.url).locator("[data-table=texts]")
        assert texts(again, 0) == [HOSTILE[0]]
        assert found.evaluate("window.hit") is None
        assert again.evaluate("window.hit") is None
        assert found.locator("img:not([role])").count() == 0
        assert HOSTILE[0] in found.title()

    def test_a_name_of_ten_thousand_letters_folds_away_and_opens(self, opened, folder, results):
        table = Table(
            "long", "Long", "", [TableColumn("c")], [[Cell("x" * 3_000)]], pd.DataFrame({"c": [0]})
        )
        report = Report("R", [], [Section("s", "S", tables=[table])])
        found = opened(written(folder / "long.html", report, results))
        cell = found.locator("[data-table=long] td")
        before = cell.bounding_box()["height"]
        cell.locator("summary").click()
        assert cell.bounding_box()["height"] > 3 * before
        assert found.evaluate("document.documentElement.scrollWidth") <= WIDE["width"]


class TestTenThousandRows:
    ROWS = 10_000
    IN_DOCUMENT = 200

    @pytest.fixture
    def values(self):
        rng = random.Random(1)
        return [rng.choice([rng.lognormvariate(0, 2), math.nan]) for _ in range(self.ROWS)]

    @pytest.fixture
    def big(self, folder, results, values):
        numbers = range(12)
        rows = [
            [
                Cell(f"name {row % 17}"),
                Cell("missing" if math.isnan(value) else f"{value:.6g} ms", value),
                *(Cell(str(row * number), row * number) for number in numbers),
            ]
            for row, value in enumerate(values)
        ]
        columns = [
            TableColumn("name", choices=True),
            TableColumn("value", "right"),
            *(TableColumn(f"n{number}", "right") for number in numbers),
        ]
        table = Table("big", "Big", "", columns, rows, pd.DataFrame(index=range(self.ROWS)))
        report = Report("R", ["V."], [Section("s", "S", tables=[table])])
        return written(folder / "big.html", report, results)

    def test_few_of_them_are_ever_in_the_document(self, opened, big, values):
        found = opened(big)
        table = found.locator("[data-table=big]")
        rows = table.locator("tbody tr")
        assert rows.count() == 50
        heading(table, "value").click()
        there = sorted(value for value in values if not math.isnan(value))
        assert texts(table, 1) == [f"{value:.6g} ms" for value in there[:50]]
        heading(table, "value").click()
        assert texts(table, 1) == [f"{value:.6g} ms" for value in there[::-1][:50]]
        table.get_by_label("Search").fill("name 3")
        table.get_by_label("Rows").select_option("200")
        assert rows.count() == self.IN_DOCUMENT
        table.locator("select").first.select_option("name 3")
        matching = sum(row % 17 == 3 for row in range(self.ROWS))
        assert table.get_by_role("status").inner_text() == f"{matching} of 10,000 rows"
        table.get_by_role("button", name="Next").click()
        assert rows.count() == self.IN_DOCUMENT
