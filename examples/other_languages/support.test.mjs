// aione-mock run -- node --test support.test.mjs

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { openSession } from "./mock_session.mjs";
import { ask } from "./support.mjs";

let mock;
beforeEach(async (context) => {
  mock = await openSession(context.name.replaceAll(" ", "-"));
});
afterEach(() => mock.close());

test("it says how long a refund takes", async () => {
  await mock.addRule({ when: { text: "refund" }, then: { reply: { text: "Five days." }, times: 1 } });
  assert.equal(await ask("How long does a refund take?", mock), "Five days.");
});

test("it waits when the limit is reached", async () => {
  await mock.addRule({ then: { error: "rate_limit_exceeded", times: 1 } });
  await mock.addRule({ then: { reply: { text: "Five days." } } });
  assert.equal(await ask("How long does a refund take?", mock), "Five days.");
  await mock.advance(3600); // an hour later
  await ask("Is it there?", mock);
  const [later, answered, refused] = await mock.calls();
  assert.deepEqual([refused.status, answered.status, later.status], [429, 200, 200]);
  assert.equal(Date.parse(later.at) - Date.parse(answered.at), 3600_000);
});
