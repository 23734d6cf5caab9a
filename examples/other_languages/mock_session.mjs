// A session of the mock for each test: calls, rules and clock of its own. `aione-mock run -- COMMAND` sets the variables.

const root = process.env.AIONE_BASE_URL ?? "http://127.0.0.1:8000";

async function send(url, method = "GET", body = undefined) {
  const token = process.env.AIONE_MOCK_CONTROL_TOKEN;
  const answer = await fetch(url, {
    method,
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

export async function openSession(name) {
  const { base_url: url } = await send(`${root}/_mock/sessions`, "POST", { name, frozen: true });
  const control = `${url}/_mock`;
  return {
    baseURL: `${url}/v1`, // for OpenAI's client; Anthropic's and Google's take it without /v1
    apiKey: process.env.AIONE_API_KEY ?? "sk-nex-demo-every-model",
    addRule: (rule) => send(`${control}/rules`, "POST", rule),
    advance: (seconds) => send(`${control}/clock`, "POST", { advance: seconds }),
    calls: async () => (await send(`${control}/journal`)).items, // newest first
    close: () => send(`${root}/_mock/sessions/${name}`, "DELETE"),
  };
}
