// The panel of the plugin in Orthanc Explorer, clicked in headless Chromium.
// Environment: URL (of Orthanc), STUDY (Orthanc's id), IMPORTED ("Imported: 2 of 3" has to be shown),
// CHROMIUM, MODULES (node_modules), SHOT (the screenshot's file).
import assert from "node:assert/strict";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.MODULES, "package.json"));
const { default: puppeteer } = await import(require.resolve("puppeteer-core"));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM, headless: true,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,1000"],
});
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 1000 });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${process.env.URL}app/explorer.html#study?uuid=${process.env.STUDY}`,
    { waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => document.querySelector("#isthmus-button")?.offsetParent,
    { timeout: 60_000 });
  await page.evaluate(() => document.querySelector("#isthmus-button").click());
  await page.waitForSelector("#isthmus-state", { visible: true, timeout: 30_000 });
  const panel = () => page.$eval("#isthmus-panel", (element) => element.innerText);
  const before = await panel();
  assert.ok(before.includes(process.env.IMPORTED), before);
  assert.ok((await page.$$eval("#isthmus-timeline li", (lines) => lines.length)) > 5, before);
  await page.screenshot({ path: process.env.SHOT, fullPage: true });
  // What was rejected is tried again from here.
  await page.evaluate(() => document.querySelector("#isthmus-retry").click());
  await page.waitForSelector("#isthmus-retried", { timeout: 30_000 });
  const retried = await page.$eval("#isthmus-retried", (element) => element.innerText);
  assert.equal(retried, "1 tried again");
  // A metadata update: what would change is shown, nothing is done before it is confirmed, and then
  // the panel tells how it ends.
  const text = (selector) => page.$eval(selector, (element) => element.innerText);
  const look = async (attribute, value) => {
    await page.waitForSelector("#isthmus-look", { timeout: 30_000 });
    await page.evaluate((name, wanted) => {
      document.querySelector("#isthmus-attribute").value = name;
      document.querySelector("#isthmus-value").value = wanted;
      document.querySelector("#isthmus-look").click();
    }, attribute, value);
  };
  const confirm = async () => {
    await page.waitForSelector("#isthmus-confirm", { timeout: 30_000 });
    const differences = await text("#isthmus-differences");
    await page.evaluate(() => document.querySelector("#isthmus-confirm").click());
    await page.waitForSelector("#isthmus-ordered", { timeout: 30_000 });
    return differences;
  };
  const ended = (state) => page.waitForFunction((wanted) =>
    document.querySelector(".isthmus-update-state")?.innerText.includes(wanted),
  { timeout: 60_000 }, state);
  await look("StudyDescription", process.env.DESCRIPTION);
  await page.waitForSelector("#isthmus-confirm", { timeout: 30_000 });
  await page.screenshot({ path: process.env.SHOT.replace(".png", "-update.png"), fullPage: true });
  const differences = await confirm();
  assert.ok(differences.includes(`becomes "${process.env.DESCRIPTION}"`), differences);
  const ordered = await text("#isthmus-ordered");
  await ended(": applied");
  // One that fails at the service is told with the reason. The gateway refuses beforehand whatever
  // our own data store would, so the answer is put into the browser's hands here.
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (!request.url().includes("/v1/metadata-updates/")) return request.continue();
    return request.respond({ contentType: "application/json", body: JSON.stringify(
      { destination: "main", state: "failed", error: "the service said no" }) });
  });
  await look("StudyDescription", "ONCE MORE");
  await confirm();
  await ended("main: failed, the service said no");
  await page.screenshot({ path: process.env.SHOT.replace(".png", "-failed.png"), fullPage: true });
  // An order that the gateway itself refuses says why: no date, and StudyID is guarded.
  const refused = (attribute) => page.waitForFunction((name) =>
    new RegExp(`Refused: .*${name}`).test(document.querySelector("#isthmus-refused")?.innerText),
  { timeout: 30_000 }, attribute);
  await look("StudyDate", "not a date");
  await refused("StudyDate");
  await page.screenshot({ path: process.env.SHOT.replace(".png", "-refused.png"), fullPage: true });
  await page.evaluate(() => {
    const guarded = document.createElement("option");
    guarded.value = "StudyID";
    document.querySelector("#isthmus-attribute").append(guarded);
  });
  await look("StudyID", "7");
  await refused("StudyID");
  assert.deepEqual(errors, []);
  console.log(`clicked: ${before.split("\n")[0]}; ${retried}; ${ordered}`);
} finally {
  await browser.close();
}
