"""The console in a real browser, while the demo runs a real workflow."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import free_port
from lacewing.demo.app import demo
from lacewing.demo.settings import DemoSettings
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

pytestmark = pytest.mark.browser
MISSING = (
    "this test needs Chromium and its driver (on Debian: apt install chromium chromium-driver);"
    " `make test` leaves it out"
)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
)
WORKFLOW = """
    import os
    import pathlib
    import time
    from flytekit import task, workflow

    @task
    def wait(gate: str) -> str:
        print("waiting <for> the gate", flush=True)
        while not pathlib.Path(gate).exists():
            time.sleep(0.02)
        return "opened"

    @task
    def fail(word: str) -> str:
        raise ValueError(f"{word} & failed")
        return word

    @workflow
    def wf(gate: str) -> str:
        return fail(word=wait(gate=gate))
"""


@contextlib.contextmanager
def chromium(profile: Path, *, scripts: bool) -> Iterator[webdriver.Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.fail(MISSING)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield found
    finally:
        found.quit()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path / "profile", scripts=True) as found:
        yield found


@pytest.fixture
def plain_browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """One that runs no script of a page."""
    with chromium(tmp_path / "profile", scripts=False) as found:
        yield found


def pyflyte(folder: Path, port: int, *arguments: str) -> str:
    """Runs the workflow; the address that `pyflyte` prints."""
    (folder / "wf.py").write_text(textwrap.dedent(WORKFLOW))
    (folder / "config.yaml").write_text(f"admin:\n  endpoint: dns:///127.0.0.1:{port}\n  insecure: true\n")
    command = [Path(sys.executable).parent / "pyflyte", "--config", "config.yaml", "run", "--remote", "wf.py"]
    done = subprocess.run([*command, "wf", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return "http://" + done.stdout.split("http://")[1].split()[0]


def until_seen(browser: webdriver.Chrome, *words: str) -> str:
    """Wait until the page says all of it, without loading it again."""

    def seen(_: Any) -> str:
        text = browser.find_element(By.TAG_NAME, "main").text
        return text if all(word in text for word in words) else ""

    found: str = WebDriverWait(browser, 30, 0.1, ignored_exceptions=[Exception]).until(seen, str(words))
    return found


def walk(browser: webdriver.Chrome, address: str, gate: Path) -> None:
    browser.get(address)
    until_seen(browser, "Running", "n0", "wf.wait")
    assert browser.find_element(By.ID, "terminate").text == "Terminate"
    browser.execute_script("window.notReloaded = true")
    gate.touch()
    text = until_seen(browser, "Failed", "1 succeeded, 1 failed", "ValueError: opened & failed")
    assert browser.execute_script("return window.notReloaded")
    assert "Traceback (most recent call last)" in text
    assert not browser.find_elements(By.ID, "terminate")
    bars = browser.find_elements(By.CSS_SELECTOR, "svg.bar .ran")
    assert len(bars) == 2
    assert bars[0].rect["x"] < bars[1].rect["x"]


def read_node(browser: webdriver.Chrome) -> None:
    browser.find_element(By.ID, "node-n0").click()
    until_seen(browser, "waiting <for> the gate", "opened")
    browser.find_element(By.ID, "log-0").click()
    assert browser.find_element(By.TAG_NAME, "body").text == "waiting <for> the gate"
    browser.back()


def use_the_list(browser: webdriver.Chrome) -> None:
    browser.find_element(By.CLASS_NAME, "brand").click()
    until_seen(browser, "wf.wf", "Failed")
    Select(browser.find_element(By.NAME, "phase")).select_by_visible_text("Running")
    browser.find_element(By.NAME, "phase").send_keys(Keys.TAB, Keys.ENTER)
    until_seen(browser, "There is no execution in this phase here.")
    assert browser.current_url.endswith("/executions?phase=RUNNING")


def end_by_button(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    until_seen(browser, "Running")
    browser.find_element(By.ID, "terminate").click()
    until_seen(browser, "Aborted", "terminated in the console")


def check_colours(browser: webdriver.Chrome, address: str) -> None:
    """Light and dark follow the system; headings and tables are what a reader's software needs."""
    found = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(address)
        body = browser.find_element(By.TAG_NAME, "body")
        found.append(body.value_of_css_property("background-color"))
    assert found[0] != found[1]
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
    assert all(cell.get_attribute("scope") for cell in browser.find_elements(By.TAG_NAME, "th"))


async def test_a_person_follows_a_run_in_the_browser(tmp_path: Path, browser: webdriver.Chrome):
    port, gate = free_port(), tmp_path / "gate"
    async with demo(tmp_path / "home", DemoSettings(port=port)):
        address = await asyncio.to_thread(pyflyte, tmp_path, port, "--gate", str(gate))
        await asyncio.to_thread(walk, browser, address, gate)
        await asyncio.to_thread(read_node, browser)
        await asyncio.to_thread(use_the_list, browser)
        await asyncio.to_thread(check_colours, browser, address)
        second = await asyncio.to_thread(pyflyte, tmp_path, port, "--gate", str(tmp_path / "never"))
        await asyncio.to_thread(end_by_button, browser, second)
        problems = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not problems


def walk_without_scripts(browser: webdriver.Chrome, address: str, gate: Path) -> None:
    browser.get(address)
    until_seen(browser, "Running", "n0")
    gate.touch()
    until_seen(browser, "Failed", "ValueError: opened & failed")


async def test_a_page_renews_itself_without_scripts(tmp_path: Path, plain_browser: webdriver.Chrome):
    port, gate = free_port(), tmp_path / "gate"
    async with demo(tmp_path / "home", DemoSettings(port=port)):
        address = await asyncio.to_thread(pyflyte, tmp_path, port, "--gate", str(gate))
        await asyncio.to_thread(walk_without_scripts, plain_browser, address, gate)
        left_alone = plain_browser.find_elements(By.TAG_NAME, "noscript")
    assert not left_alone, "a page of what is over does not renew itself"
