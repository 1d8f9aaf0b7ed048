"""The flame graph in a real browser: it opens, silent and offline, and is as wide as the page."""

import pytest

from rnnbench.diagnosis.flame import flame_bytes
from tests.diagnosis.made import profile
from tests.report.browser import find_chromium

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; install it, or name it in RNNBENCH_CHROMIUM"
)


@pytest.mark.parametrize("width", [1280, 360])
def test_it_opens_and_fits(tmp_path, width):
    file = tmp_path / "flame.html"
    file.write_bytes(flame_bytes([profile(), profile()]))
    said, asked = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        graphs = page.locator("svg")
        assert graphs.count() == 2
        whole, linear, addmm = (
            graphs.first.locator("rect").nth(index).bounding_box() for index in range(3)
        )
        assert graphs.first.locator("title").nth(1).text_content().startswith("aten::linear: 2 ")
        wide = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert wide <= width and whole["width"] > 0.8 * width
    # The parts of the call stand below it, as wide as their shares.
    assert linear["width"] == pytest.approx(0.6 * whole["width"], rel=0.02)
    assert addmm["y"] > linear["y"] > whole["y"]
    assert (said, asked) == ([], [file.as_uri()])
