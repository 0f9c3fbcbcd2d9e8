"""RabbitMQ's console, as a person uses it: by what is written on the screen."""

import os
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE_S = 30


class Console:
    """A browser with the console in it; used with `with`."""

    def __init__(self, address, screenshots):
        self.address, self.screenshots = address, Path(screenshots)

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in (
            "--headless=new",
            "--lang=en-US",
            "--window-size=1200,900",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--disable-dev-shm-usage",
            f"--user-data-dir={self.profile.name}",
        ):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium refuses to have one as root
        self.browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        # A page may be drawn anew between looking for something and looking at it: then one looks again.
        again = [StaleElementReferenceException]
        self.wait = WebDriverWait(self.browser, PATIENCE_S, poll_frequency=0.1, ignored_exceptions=again)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.browser.save_screenshot("target/console/failure.png")
        self.browser.quit()
        self.profile.cleanup()

    # Where one is

    def log_in(self, account, password):
        self.browser.delete_all_cookies()
        self.browser.get("about:blank")
        self.browser.get(f"{self.address}/")
        self.find('//input[@name="username"]').send_keys(account)
        self.find('//input[@name="password"]').send_keys(password + Keys.ENTER)
        self.find('//h1[normalize-space()="Overview"]')
        assert f"User {account}" in self.find('//div[@id="header"]').text
        # A page that is drawn anew under one's hands is for people; the numbers come with every page anyhow.
        Select(self.find('//select[@id="update-every"]')).select_by_visible_text("Do not refresh")

    def open(self, tab, *links):
        """Clicks on a tab, and then on what is called so on its pages."""
        self.browser.execute_script("window.scrollTo(0, 0)")
        self.close_message()
        self.find(f'//ul[@id="tabs"]//a[normalize-space()="{tab}"]').click()
        self.find(f'//ul[@id="tabs"]//a[contains(@class, "selected") and normalize-space()="{tab}"]')
        for link in links:
            self.find(f'//div[@id="main"]//a[normalize-space()="{link}"]').click()
            self.find(f'//h1[contains(., "{link}")]')

    def section(self, title):
        """Opens one of the sections that a page hides; that is what the rest is found in."""
        def look(browser):
            heading = self.find(f'//h2[starts-with(normalize-space(), "{title}")]')
            section = heading.find_element(By.XPATH, "..")
            if "section-invisible" in section.get_attribute("class"):
                heading.click()
            is_moving = browser.execute_script("return $(':animated').length > 0")
            is_open = "section-visible" in section.get_attribute("class") and not is_moving
            return section if is_open else None

        return self.wait.until(look, f"{title} does not open")

    # What one does

    def fill(self, section, **fields):
        """Types into a form's fields, or chooses; what was in them is gone."""
        for name, value in fields.items():
            field = section.find_element(By.NAME, name)
            if field.tag_name == "select":
                Select(field).select_by_visible_text(value)
            else:
                if field.get_attribute("type") != "file":
                    field.clear()
                field.send_keys(value)

    def press(self, section, label):
        button = section.find_element(By.XPATH, f'.//input[@type="submit" and @value="{label}"]')
        self.show(button)
        button.click()

    def publish(self, body, properties=None, screenshot=None, **fields):
        """Fills in "Publish message" on the page of an exchange or a queue, and gives what the console says."""
        self.close_message()
        form = self.section("Publish message")
        for place, (name, value) in enumerate((properties or {}).items(), start=1):
            self.fill(form, **{f"props_{place}_mfkey": name, f"props_{place}_mfvalue": value})
        self.fill(form, payload=body, **fields)
        if screenshot:
            self.save(screenshot, form)
        self.press(form, "Publish message")
        return self.message()

    def get_messages(self, how, count="1"):
        """Uses "Get messages" on the page of a queue, and gives the text of each message."""
        self.close_message()
        section = self.section("Get messages")
        self.browser.execute_script("document.getElementById('msg-wrapper').innerHTML = ''")
        self.fill(section, ackmode=how, count=count)
        self.press(section, "Get Message(s)")
        boxes = self.wait.until(lambda _: section.find_elements(By.XPATH, './/div[@class="box"]') or self.popup())
        if not isinstance(boxes, list):
            return []
        self.wait.until(lambda _: not self.browser.execute_script("return $('#msg-wrapper').is(':animated')"))
        return [box.text for box in boxes]

    def import_definitions(self, file):
        section = self.section("Import definitions")
        self.fill(section, file=str(file))
        self.press(section, "Upload broker definitions")
        self.browser.switch_to.alert.accept()
        return self.message()

    # What one sees

    def text(self):
        return self.find('//div[@id="main"]').text

    def column(self, heading):
        """What stands in the first columns of the page's table, below this heading."""
        cells = self.wait.until(
            lambda _: self.browser.find_elements(
                By.XPATH,
                f'//div[@id="main"]//table[@class="list"]//tbody/tr/td[count(ancestor::table[1]/thead/tr[last()]'
                f'/th[contains(., "{heading}")]/preceding-sibling::th) + 1]',
            )
        )
        return [cell.text for cell in cells]

    def message(self):
        """What the console pops up, in its own words."""
        return self.wait.until(lambda _: self.popup()).text.removesuffix("Close").strip()

    def popup(self):
        shown = self.browser.find_elements(By.XPATH, '//div[starts-with(@class, "form-popup-")]')
        return next((popup for popup in shown if popup.is_displayed() and popup.text), None)

    def close_message(self):
        self.browser.execute_script("$('[class^=form-popup-]').remove()")

    def save(self, name, element=None):
        """Keeps what is on the screen, from this element on."""
        if element is not None:
            self.show(element)
        self.browser.save_screenshot(str(self.screenshots / f"{name}.png"))

    def show(self, element):
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'nearest'})", element)

    def find(self, path):
        """Waits until there is something at this place that one can see."""
        def look(browser):
            return next((found for found in browser.find_elements(By.XPATH, path) if found.is_displayed()), None)

        return self.wait.until(look, f"nothing can be seen at {path}")
