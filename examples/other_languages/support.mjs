// The code under test: it asks a model, and waits when it is told to.

export async function ask(question, { baseURL, apiKey, attempts = 3 }) {
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(`${baseURL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ model: "gpt-5.4", messages: [{ role: "user", content: question }] }),
    });
    if (answer.ok) return (await answer.json()).choices[0].message.content;
    if (answer.status !== 429 || attempt === attempts) throw new Error(`the model answered ${answer.status}`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("retry-after"))));
  }
}
