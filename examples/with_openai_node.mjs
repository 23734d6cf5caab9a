// OpenAI's SDK for JavaScript: a plain answer and a stream.
//
// npm install openai

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: (process.env.AIONE_URL ?? "http://127.0.0.1:8000") + "/v1",
  apiKey: process.env.AIONE_API_KEY ?? "sk-nex-demo-every-model",
});
const model = "gpt-5.4";

const answer = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "Why do cats purr?" }],
});
console.log(answer.choices[0].message.content);
console.log(answer.usage);

const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "用一句话介绍一下你自己。" }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();
