"""A headless Chromium: what it shows, what it complains of, and how well its text can be read."""

import base64

from selenium import webdriver
from selenium.webdriver.common.by import By

# The ratio of each text's luminance to that of what is behind it, by WCAG 2; the worst of each kind below its limit.
CONTRAST = """
const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const parts = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map(i => top[i] * a + below[i] * (1 - a)); };
const behind = node => {
  const layers = [];
  for (let at = node; at; at = at.parentElement) layers.push(parts(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, top) => top.length ? over(top, below) : below, [255, 255, 255]);
};
const opacity = node => { let all = 1; for (let at = node; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity); return all; };
const bad = [];
const judge = (node, colour, least, what) => {
  const below = behind(node), top = parts(colour);
  const [one, two] = [luminance(over([...top.slice(0, 3), (top[3] ?? 1) * opacity(node)], below)), luminance(below)];
  const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (ratio < least) bad.push(`${what}: ${ratio.toFixed(2)} of ${least}`);
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let count = 0;
while (texts.nextNode()) {
  const node = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !node.getClientRects().length || node.closest("script, style")) continue;
  const style = getComputedStyle(node);
  judge(node, node.namespaceURI.endsWith("svg") ? style.fill : style.color, 4.5, texts.currentNode.data.trim().slice(0, 40));
  count += 1;
}
for (const line of document.querySelectorAll("path.line, line.limit, .key i")) {
  const style = getComputedStyle(line);
  judge(line.parentElement, line.tagName === "I" ? style.backgroundColor : style.stroke, 3, line.getAttribute("class") ?? "key");
  count += 1;
}
return { count, bad };
"""


class Browser:
    VIEWS = {
        "light-wide": (False, 1280, 900), "dark-wide": (True, 1280, 900),
        "light-phone": (False, 360, 740), "dark-phone": (True, 360, 740),
    }

    def __init__(self):
        options = webdriver.ChromeOptions()
        for flag in ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(60)

    def open(self, url):
        self.driver.get(url)

    def leave(self):
        """Before the page's process ends: what would be said of that is no fault."""
        self.driver.get("about:blank")
        complaints = self.complaints()
        assert not complaints, f"the console says {complaints}"

    def show(self, view):
        dark, width, height = self.VIEWS[view]
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]},
        )

    def screenshot(self, path):
        image = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(image["data"]))

    def run(self, script):
        return self.driver.execute_script(script)

    def text(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def figures(self):
        """What is shown, by the names of the figures, all of one moment."""
        return self.run(
            "return Object.fromEntries([...document.querySelectorAll('[data-figure]')].map(e => [e.dataset.figure, e.value]))"
        )

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def unreadable(self):
        found = self.run(CONTRAST)
        assert found["count"] > 50, "the page has hardly any text"
        return found["bad"]

    def overflows(self):
        return self.run("return document.documentElement.scrollWidth > window.innerWidth")

    def quit(self):
        self.driver.quit()
