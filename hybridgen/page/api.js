// The server's /v1, as any other program uses it.

class Refused extends Error {
  // status: of HTTP; field and suggestion: what the server says of a request that cannot be done
  constructor(status, { message, field, suggestion }) {
    super(message);
    Object.assign(this, { status, field, suggestion });
  }
}

async function ask(method, path, body, signal) {
  const headers = body === undefined || body instanceof FormData ? {} : { "Content-Type": "application/json" };
  const sent = headers["Content-Type"] ? JSON.stringify(body) : body;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { message: "The server does not answer. Is hybridgen demo still running?" });
  }
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({}));
    if (error) error.message = error.message.replace(/^edits: number \d+: /, ""); // a person knows what was changed
    throw new Refused(answer.status, error ?? { message: `${answer.status} ${answer.statusText}` });
  }
  return answer;
}

export const get = async (path, signal) => (await ask("GET", path, undefined, signal)).json();
export const post = async (path, body) => (await ask("POST", path, body)).json();
export const patch = async (path, body) => (await ask("PATCH", path, body)).json();
export const remove = (path) => ask("DELETE", path);
export const removeLast = (path) => fetch(path, { method: "DELETE", keepalive: true }); // while the page goes away
export const bytes = async (path, signal) => (await ask("GET", path, undefined, signal)).arrayBuffer();
export const body = async (path, signal) => (await ask("GET", path, undefined, signal)).body;

export async function upload(file) {
  const most = (await get("/v1/options")).limits.upload_mb;
  if (file.size > most * 1e6) throw new Refused(0, { message: `${file.name} is over the limit of ${most} MB.` });
  const form = new FormData();
  form.append("file", file, file.name);
  try {
    return await (await ask("POST", "/v1/uploads", form)).json();
  } catch (error) {
    error.message = error.message.replace(/^file:/, `${file.name}:`); // its name says more than the field's
    throw error;
  }
}

// The job as it ends; `tell` hears of everything before. Browsers keep few connections open, so no more than three
// listen at once: jobs end in the order in which they were asked for, nearly.
const MOST = 3;
let listening = 0;
const waiting = [];

export async function follow(job, tell = () => {}) {
  if (listening >= MOST) await new Promise((go) => waiting.push(go));
  listening += 1;
  try {
    return await new Promise((done, fail) => {
      const source = new EventSource(job.events);
      const end = (event) => {
        source.close();
        done(JSON.parse(event.data));
      };
      for (const state of ["queued", "running"]) source.addEventListener(state, (e) => tell(JSON.parse(e.data)));
      for (const state of ["done", "failed", "cancelled"]) source.addEventListener(state, end);
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) fail(new Refused(0, { message: "The job is not there any more." }));
      };
    });
  } finally {
    listening -= 1;
    waiting.shift()?.();
  }
}
