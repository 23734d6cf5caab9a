// aione-mock run -- npx vitest run support.spec.mjs
// Jest: the same without the first import. Playwright: `test.beforeEach` with `testInfo.title` as the name.

import { afterEach, beforeEach, expect, test } from "vitest";
import { openSession } from "./mock_session.mjs";
import { ask } from "./support.mjs";

let mock;
beforeEach(async ({ task }) => {
  mock = await openSession(task.name.replaceAll(" ", "-"));
});
afterEach(() => mock.close());

test("it says how long a refund takes", async () => {
  await mock.addRule({ when: { text: "refund" }, then: { reply: { text: "Five days." }, times: 1 } });
  expect(await ask("How long does a refund take?", mock)).toBe("Five days.");
});
