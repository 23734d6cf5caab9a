import { expect, test } from "vitest"
import { writeCode } from "../src/views/traffic/code"
import { explainNoTest, writeTest } from "../src/views/traffic/test_code"
import { exchange } from "./calls"

const asked = (text: string) => ({ model: "gpt-5.4", messages: [{ role: "user", content: text }] })
const answered = (text: string) => ({ choices: [{ message: { role: "assistant", content: text } }] })

test("a test prepares the answer, makes the call and asserts what came", () => {
  const call = { ...exchange("createChatCompletion", asked("Where is it?"), answered("There.")), status: 200 }
  expect(writeTest(call)).toBe(
    [
      "def test_where_is_it(aione_mock, aione_openai):",
      '    aione_mock.reply("There.")',
      "    answer = aione_openai.chat.completions.create(",
      '        model="gpt-5.4",',
      "        messages=[",
      "            {",
      '                "role": "user",',
      '                "content": "Where is it?",',
      "            },",
      "        ],",
      "    )",
      '    text = answer.choices[0].message.content or ""',
      '    assert text == "There."',
      '    aione_mock.assert_called("createChatCompletion", times=1, status=200, model="gpt-5.4")',
      "",
    ].join("\n"),
  )
})

test.each([
  [{ error: "rate_limit_exceeded", retry_after: 7 }, 429, null, 'fail("rate_limit_exceeded", retry_after=7)'],
  [{ error: "internal_error", pace: { ttft: 1 } }, 500, null, '"ttft": 1'],
  [{ reply: { text: "Hi", finish: "length" } }, 200, null, 'reply("Hi", finish="length")'],
  [{ awkward: "refusal" }, 200, null, '"awkward": "refusal"'],
  [{ reply: { text: "Hi" }, faults: [{ name: "cut", after: 3 }] }, 200, "damaged" as const, '"after": 3'],
])("what was played is prepared with its options: %j", (action, status, finding, expected) => {
  const call = exchange("createChatCompletion", asked("Hello"), answered("Hi"))
  const played = { ...call, status, finding, explain: { ...call.explain, action } } as typeof call
  expect(writeTest(played)).toContain(expected)
})

test("nothing hidden or foreign gets into code as it is", () => {
  const text = '\u202e\u001b[31m"""\n\')\\'
  const body = { ...asked(text), "a=1); import os #": text }
  const call = { ...exchange("createChatCompletion", body, answered(text)), status: 200 }
  for (const code of [writeTest(call), writeCode(call, "openai", "http://a"), writeCode(call, "curl", "http://a")]) {
    for (const hidden of ["\u202e", "\u001b"]) expect(code).not.toContain(hidden)
  }
  expect(writeTest(call)).toContain('extra_body={\n            "a=1); import os #":')
  expect(writeTest(call)).toContain("def test_create_chat_completion(")
})

test("of some calls no test can be made", () => {
  expect(explainNoTest(exchange("getPlan", null, {}))).toBe("no_model")
  const invalid = { ...exchange("generateContent", {}, {}), finding: "invalid_request" as const }
  expect(explainNoTest(invalid)).toBe("invalid")
  expect(explainNoTest({ ...exchange("createMessage", {}, {}), open: true })).toBe("open")
})
