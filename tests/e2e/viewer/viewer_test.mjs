// A viewer nobody here wrote, in headless Chromium: the study list, then each study in a viewport.
// Environment: URL, CHROMIUM, MODULES (node_modules), STUDIES (JSON: [{uid, listed, images, colours, dark, shot}]),
// SHOTS (a folder for the screenshots).
import assert from "node:assert/strict";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.env.MODULES, "package.json"));
const { default: puppeteer } = await import(require.resolve("puppeteer-core"));

const studies = JSON.parse(process.env.STUDIES);
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM, headless: true, protocolTimeout: 240_000,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--window-size=1280,800"],
});
const failures = [];

// How many grey levels or colours the largest canvas of the page shows, and its middle values.
function seen() {
  const canvases = [...document.querySelectorAll("canvas")];
  const largest = canvases.sort((a, b) => b.width * b.height - a.width * a.height)[0];
  if (!largest || largest.width < 200) return { colours: 0 };
  const copy = document.createElement("canvas");
  copy.width = copy.height = 128;
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(largest, 0, 0, 128, 128);
  const { data } = context.getImageData(0, 0, 128, 128);
  const colours = new Set(), channels = [[], [], []];
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 0) continue;
    colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    channels.forEach((values, channel) => values.push(data[i + channel]));
  }
  const medians = channels.map((values) => values.sort((a, b) => a - b)[values.length >> 1]);
  return { colours: colours.size, medians };
}

try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  page.on("response", (response) => {
    if (response.url().includes("/dicomweb/") && response.status() >= 400) {
      failures.push(`${response.status()} ${response.url()}`);
    }
  });

  await page.goto(process.env.URL, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(
    (names) => names.every((name) => document.body.innerText.includes(name)),
    { timeout: 120_000 }, studies.map((study) => study.listed));
  await page.screenshot({ path: path.join(process.env.SHOTS, "study-list.png") });

  for (const study of studies) {
    await page.goto(`${process.env.URL}viewer?StudyInstanceUIDs=${study.uid}`,
      { waitUntil: "domcontentloaded" });
    await page.waitForFunction(
      `(${seen.toString()})().colours >= ${study.colours}`, { timeout: 180_000, polling: 500 });
    await page.waitForFunction((text) => document.body.innerText.includes(text),
      { timeout: 60_000 }, study.images);
    await page.screenshot({ path: path.join(process.env.SHOTS, `${study.shot}.png`) });
    const { colours, medians } = await page.evaluate(seen);
    console.log(`${study.shot}: ${colours} colours, middle values ${medians}`);
    if (study.dark) assert.ok(medians.every((value) => value < 60), `not dark: ${medians}`);
  }
  assert.deepEqual(failures, []);
} catch (error) {
  const [page] = (await browser.pages()).slice(-1);
  await page?.screenshot({ path: path.join(process.env.SHOTS, "failed.png") });
  console.error(failures.slice(0, 10).join("\n"));
  throw error;
} finally {
  await browser.close();
}
