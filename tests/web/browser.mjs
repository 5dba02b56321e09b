// The dashboard in a real browser: setup, login, wizard, grow, sessions, delete, dark and narrow. Screenshots of each
// page are kept; the console and the content security policy must be clean.
//   node browser.mjs BASE_URL SETUP_TOKEN SCREENSHOTS PLAYWRIGHT_FOLDER CHROMIUM
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [base, token, screenshots, packages, chromium] = process.argv.slice(2);
const axe = readFileSync(join(packages, "node_modules/axe-core/axe.min.js"), "utf8");
const playwright = createRequire(join(packages, "package.json"))("playwright-core");
const password = "a long enough password";
mkdirSync(screenshots, { recursive: true });

let passed = 0;
let failed = 0;
const complaints = [];
let page;

async function test(name, body) {
  try {
    await body();
    if (complaints.length) throw new Error(`the browser complains: ${complaints.splice(0).join("; ")}`);
    passed += 1;
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${name} ${String(error.message).split("\n").slice(0, 6).join(" / ")}`);
    await page.screenshot({ path: join(screenshots, `failed-${failed}.png`) }).catch(() => {});
  }
}
const check = (condition, reason) => {
  if (!condition) throw new Error(reason);
};
/// Keeps a screenshot of the page and lets axe look at it.
async function shot(name) {
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const list = found.violations.map((one) => `${one.id} at ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
  check(list.length === 0, `axe finds on ${name}: ${list.join("; ")}`);
}
const heading = (name) => page.getByRole("heading", { level: 1, name }).waitFor({ timeout: 8000 });
const fitsWidth = async () => {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(content <= screen, `the page is ${content} wide on a screen of ${screen}`);
};

const browser = await playwright.chromium.launch({
  executablePath: chromium, headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light" });
page = await context.newPage();
page.setDefaultTimeout(8000);
page.on("console", (message) => {
  // A refused request is logged by the browser itself; the page shows it in its own words.
  if (["error", "warning"].includes(message.type()) && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(error.message));

await test("without the link the page says where to find it", async () => {
  await page.goto(base);
  await heading("Not set up yet");
  await shot("not-set-up");
});
await test("the setup link makes an administrator and opens the overview", async () => {
  await page.goto(`${base}/#/setup?token=${token}`);
  await page.reload();
  await heading("Welcome");
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Password, again").fill("something else");
  check(await page.getByRole("button", { name: "Set up" }).isDisabled(), "two different passwords are accepted");
  await shot("setup");
  await page.getByLabel("Password, again").fill(password);
  await page.getByRole("button", { name: "Set up" }).click();
  await heading("Overview");
  await page.getByText("Everything is well").waitFor();
  check(!page.url().includes(token), "the token stays in the address");
  await page.getByText("No I/O in the last 5 minutes").waitFor();
  await shot("overview-quiet");
});
await test("logging out and in again", async () => {
  await page.getByRole("button", { name: /Log out/ }).click();
  await heading("Log in");
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill("wrong password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("the user name or the password is wrong").waitFor();
  await shot("login");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await heading("Overview");
});
await test("the wizard makes a volume and ends with how to connect", async () => {
  await page.getByRole("link", { name: "New volume" }).click();
  await heading("New volume");
  await page.getByLabel("Name", { exact: true }).fill("Not Good");
  await page.getByText("Small letters, digits").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("db1");
  await page.getByLabel("Size").fill("64");
  await page.getByLabel("Unit").selectOption("MiB");
  await page.getByLabel("Only these initiators").check();
  await page.getByLabel("Initiator names").fill("iqn.1994-05.com.redhat:node1");
  await shot("wizard");
  await page.getByRole("button", { name: "Create" }).click();
  await heading("db1 is ready");
  const lines = page.getByRole("tabpanel").locator("pre");
  for (const [way, text] of [["Linux", "iscsiadm"], ["Windows", "Connect-IscsiTarget"], ["ESXi", "esxcli"], ["QEMU", "iscsi://"],
    ["iPXE", "sanboot"], ["Kubernetes", "targetPortal"], ["libvirt", "<source protocol='iscsi'"]]) {
    await page.getByRole("tab", { name: way }).click();
    check((await lines.textContent()).includes(text), `${way} does not show ${text}`);
  }
  await page.getByRole("tab", { name: "libvirt" }).press("ArrowRight");
  check((await lines.textContent()).includes("iscsiadm"), "the arrow key does not go round the tabs");
  await shot("connect");
});
await test("a name that is taken is refused in words", async () => {
  await page.getByRole("button", { name: "Another one" }).click();
  await page.getByLabel("Name", { exact: true }).fill("db1");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("alert").getByText("the volume db1 exists").waitFor();
});
await test("a volume grows", async () => {
  await page.getByRole("link", { name: "Volumes", exact: true }).click();
  await heading("Volumes");
  await page.getByRole("button", { name: "Grow db1" }).click();
  const size = page.getByRole("dialog").getByLabel("New size");
  await size.fill("32");
  await page.getByText("a volume cannot shrink").waitFor();
  await size.fill("128");
  await shot("grow");
  await page.getByRole("button", { name: "Grow", exact: true }).click();
  await page.getByRole("row", { name: /db1/ }).getByText("128 MiB").waitFor();
  await shot("volumes");
});
await test("a target's LUNs and access can be changed", async () => {
  await page.getByRole("link", { name: "Targets", exact: true }).click();
  await heading("Targets");
  await shot("targets");
  await page.getByRole("link", { name: "iqn.2026-01.io.lunaris:db1" }).click();
  await page.getByRole("button", { name: "Show a volume" }).click();
  await page.getByRole("dialog").getByLabel("Volume").selectOption("demo");
  await shot("add-lun");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: "Take away LUN 1" }).waitFor();
  await page.getByLabel("Initiator names").fill("no name");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Initiator names").fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("everybody", { exact: true }).waitFor();
  await shot("target");
  await page.getByRole("button", { name: "Take away LUN 1" }).click();
  await page.getByRole("button", { name: "Take away", exact: true }).click();
  await page.getByRole("button", { name: "Take away LUN 1" }).waitFor({ state: "detached" });
});
await test("I/O moves the charts and a session can be seen", async () => {
  console.log("# io");  // tests/web/run logs an initiator in and lets it write until this script ends
  await page.getByRole("link", { name: "Overview", exact: true }).click();
  await page.getByRole("heading", { name: "Throughput" }).waitFor({ timeout: 20000 });
  await page.waitForTimeout(6000);
  await shot("overview");
  await page.getByRole("link", { name: "Sessions", exact: true }).click();
  await page.getByRole("cell", { name: /lunaris-web-test/ }).waitFor();
  await shot("sessions");
  await page.getByRole("button", { name: /Drop session/ }).first().click();
  await shot("drop");
  await page.getByRole("button", { name: "Cancel" }).click();
});
await test("a token is made and shown once and deleted", async () => {
  await page.getByRole("link", { name: "Tokens", exact: true }).click();
  await page.getByText("No tokens yet").waitFor();
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("csi");
  await page.getByRole("dialog").getByLabel("Role").selectOption("operator");
  await shot("new-token");
  await page.getByRole("button", { name: "Create" }).click();
  const secret = await page.locator("pre").textContent();
  check(/^lunaris_[0-9a-f]+_[0-9a-f]{64}$/.test(secret), "the token does not look like one");
  await shot("tokens");
  await page.getByRole("button", { name: "Done" }).click();
  check(!(await page.content()).includes(secret), "the secret stays on the page");
  await page.getByRole("button", { name: "Delete the token csi" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByText("No tokens yet").waitFor();
});
await test("every page in the dark", async () => {
  await page.getByRole("button", { name: /Theme/ }).click();
  await page.getByRole("button", { name: /Theme/ }).click();
  for (const name of ["Overview", "Volumes", "Targets", "Sessions", "Tokens"]) {
    await page.getByRole("link", { name, exact: true }).click();
    await heading(name === "Tokens" ? "API tokens" : name);
    await page.waitForTimeout(700);
    await shot(`dark-${name.toLowerCase()}`);
  }
});
await test("every page on a narrow screen", async () => {
  await page.setViewportSize({ width: 375, height: 740 });
  await page.getByRole("button", { name: /Theme/ }).click();
  for (const path of ["overview", "volumes", "targets", "sessions", "tokens", "create", "targets/iqn.2026-01.io.lunaris%3Adb1"]) {
    await page.goto(`${base}/#/${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForTimeout(800);
    await fitsWidth();
    await shot(`narrow-${path.includes("/") ? "target" : path}`);
  }
  await page.setViewportSize({ width: 1280, height: 860 });
});
await test("the keyboard alone reaches the content", async () => {
  await page.goto(`${base}/#/volumes`);
  await page.reload();
  await heading("Volumes");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  check((await page.evaluate(() => document.activeElement.id)) === "main", "the skip link does not lead to the content");
});
await test("a volume is deleted when its name is typed", async () => {
  await page.getByRole("button", { name: "Delete db1" }).click();
  const button = page.getByRole("button", { name: "Delete", exact: true });
  check(await button.isDisabled(), "it can be deleted without the name");
  await page.getByLabel("Type db1 to confirm").fill("db1");
  await shot("delete");
  await button.click();
  await page.getByRole("row", { name: /db1/ }).waitFor({ state: "detached" });
});

await browser.close();
console.log(`# browser: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
