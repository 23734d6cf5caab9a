import { expect, test } from "vitest"
import { EventReader, readEvents } from "../src/api/sse"

test("events are read however the text is cut", () => {
  const text = 'id: 1\nevent: one\ndata: {"a":1}\n\n: comment\r\ndata: x\r\ndata: y\r\rid: 2\n\n'
  const whole = new EventReader().read(text)
  expect(whole).toEqual([
    { name: "one", data: '{"a":1}', id: "1" },
    { name: "message", data: "x\ny", id: "1" },
  ])
  const reader = new EventReader()
  expect([...text].flatMap((each) => reader.read(each))).toEqual(whole)
  expect(reader.lastId).toBe("2")
})

test("an event without its end is read from a whole answer", () => {
  expect(readEvents(["data: 1\n", "data: 2"])).toEqual([{ name: "message", data: "1\n2", id: "" }])
})
