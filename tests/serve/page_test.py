"""The server's pages in a browser: python page_test.py [test...] [--pictures FOLDER] PROGRAM.

Needs selenium (requirements-page.txt) and Debian's chromium with chromium-driver; without them it says so and ends with
status 77, which CTest knows as skipped. With --pictures it also writes the pictures of docs/serving.md.
"""
import concurrent.futures
import pathlib
import shutil
import sys
import time
import unittest

import serving
from serving import ANEW, Server

PROGRAM = ""
PICTURES = None
QUESTION = "What are the benefits of regular exercise?"
DESKTOP, PHONE = (1100, 760), (390, 760)
SECONDS = 120


def missing():
    """What this machine lacks for the test; empty: nothing."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "the Python package selenium is not installed (cmake/setup/requirements-page.txt)"
    if not (shutil.which("chromium") or shutil.which("chromium-headless-shell")):
        return "no chromium here (Debian: chromium)"
    if not shutil.which("chromedriver"):
        return "no chromedriver here (Debian: chromium-driver)"
    return ""


def start_browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=shutil.which("chromedriver")))


# Branches may come and go between two looks of a busy machine: the page notes itself what was there side by side.
WATCH = """
window.seen = {live: 0, letters: 0, width: 0};
new MutationObserver(() => {
  const live = [...document.querySelectorAll('.branch.live')];
  if (live.length < 2) return;
  seen.live = Math.max(seen.live, live.length);
  seen.letters = Math.max(seen.letters, Math.min(...live.map(branch => branch.textContent.length)));
  seen.width = Math.max(seen.width, document.documentElement.scrollWidth);
}).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
"""


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = start_browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        self.server = Server(PROGRAM).__enter__()  # of its own: nothing is there of earlier prompts
        self.addCleanup(self.server.__exit__)
        self.resize(DESKTOP)
        self.browser.get_log("browser")  # forgets what was logged before

    def tearDown(self):
        wrong = [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        self.browser.get("about:blank")  # a page that still asks would write that the server has gone, in the next test
        self.assertEqual(wrong, [], "the page wrote to the console")

    def resize(self, size):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE})

    def open(self, path="/"):
        self.browser.get(f"http://127.0.0.1:{self.server.port}{path}")

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def wait_for(self, expression):
        """The first true value of the expression; it is looked at often, because branches come and go fast."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if value := self.script(f"return {expression}"):
                return value
            time.sleep(0.02)
        self.fail(f"{expression}: not within {SECONDS} s")

    def type(self, text):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        self.browser.find_element(By.ID, "question").send_keys(text, Keys.ENTER)

    def ask_and_watch(self, picture):
        """Asks, and returns what the page has seen of branches side by side, and the answer's text."""
        self.script(WATCH)
        self.type(QUESTION)
        if PICTURES:
            self.wait_for("seen.letters > 60")
            self.keep_picture(picture)
        text = self.wait_for("document.querySelector('.answer.complete')?.dataset.text")
        return self.script("return seen"), text

    def keep_picture(self, name):
        if PICTURES:
            self.browser.save_screenshot(str(PICTURES / f"{name}.png"))

    def test_branches_appear_and_the_text_is_that_of_the_api(self):
        self.open()
        seen, text = self.ask_and_watch("serve_branches")
        self.assertGreater(seen["live"], 1)
        self.assertGreater(seen["letters"], 60, "of each branch beside others")
        _, reply = self.server.post("/v1/chat/completions", {
            "model": "default", "messages": [{"role": "user", "content": QUESTION}], **ANEW})
        self.assertEqual(text, reply["choices"][0]["message"]["content"])
        shown = self.script("return document.querySelector('.answer .text').textContent")
        for line in (line.strip() for line in text.splitlines()):
            self.assertIn(line[:40], shown)
        self.assertIn("fewer passes", self.script("return document.querySelector('.figures').textContent"))

    def test_stop_ends_the_answer_here_and_in_the_server(self):
        self.open()
        self.type(QUESTION)
        self.wait_for("document.querySelectorAll('.t').length > 5")
        self.script("document.getElementById('stop').click()")
        self.wait_for("document.querySelector('.answer.complete')")
        self.assertIn("stopped", self.script("return document.querySelector('.figures').textContent"))
        self.assertTrue(self.script("return document.getElementById('stop').hidden"))
        self.server.wait_until_idle(10)
        self.assertEqual(self.server.metrics()["anabranch_disconnects_total"], 1)

    def test_nothing_is_wider_than_a_phone(self):
        self.resize(PHONE)
        for path in ("/", "/running"):
            self.open(path)
            if path == "/":
                seen, _ = self.ask_and_watch("serve_phone")
                self.assertGreater(seen["live"], 1)
                self.assertLessEqual(seen["width"], PHONE[0])
            else:
                self.wait_for("document.querySelectorAll('#passes rect').length")
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), PHONE[0])

    def test_the_page_of_the_server_shows_the_rows_of_its_passes(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(self.server.chat, question, max_tokens=300) for question in serving.QUESTIONS[:4]]
            self.open("/running")
            self.wait_for("document.querySelectorAll('#passes rect').length > 200"
                          " && [...document.querySelectorAll('#passes rect')].some(e => +e.getAttribute('height') > 1)")
            self.keep_picture("serve_running")
            colours = self.script("return new Set([...document.querySelectorAll('#passes rect')].map(e => e.getAttribute('fill'))).size")
            self.assertGreater(colours, 1)
            for answer in asked:
                answer.result()
        self.assertIn("pages of", self.script("return document.getElementById('pages-text').textContent"))


if __name__ == "__main__":
    if reason := missing():
        print(f"skipped: {reason}")
        sys.exit(77)
    if "--pictures" in sys.argv:
        at = sys.argv.index("--pictures")
        PICTURES = pathlib.Path(sys.argv[at + 1])
        PICTURES.mkdir(parents=True, exist_ok=True)
        del sys.argv[at:at + 2]
    serving.main(sys.modules[__name__])
