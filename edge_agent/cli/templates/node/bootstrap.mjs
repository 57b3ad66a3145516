// Asks the agent for events and has the handler answer them: the AWS Lambda Runtime API, with nothing to install.
//
//     node bootstrap.mjs MODULE.FUNCTION
//
// AWS's own client does the same: npm install aws-lambda-ric, and `command: [npx, aws-lambda-ric]` in the manifest.

import http from "node:http";
import process from "node:process";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

/** One call of the Runtime API: the answer's headers and body. */
function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const request = http.request({ agent, host, port, method, path: `/2018-06-01/runtime/${path}`, headers }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(pieces).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** An error as AWS Lambda tells it; the stack goes into the log too. */
function told(error) {
  console.error(error);
  const lines = String(error?.stack ?? "").split("\n").slice(1);
  return JSON.stringify({ errorMessage: String(error?.message ?? error), errorType: error?.name ?? "Error", stackTrace: lines });
}

const name = process.argv[2];
const dot = name.lastIndexOf(".");
let handler;
try {
  handler = (await import(new URL(`${name.slice(0, dot)}.mjs`, import.meta.url)))[name.slice(dot + 1)];
  if (typeof handler !== "function") throw new TypeError(`${name} is no function`);
} catch (error) {
  await call("POST", "init/error", told(error));
  process.exit(1);
}

for (;;) {
  const { headers, body } = await call("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  const context = {
    awsRequestId: id,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    getRemainingTimeInMillis: () => Math.max(0, Number(headers["lambda-runtime-deadline-ms"]) - Date.now()),
  };
  try {
    const answer = await handler(JSON.parse(body), context);
    await call("POST", `invocation/${id}/response`, JSON.stringify(answer ?? null));
  } catch (error) {
    await call("POST", `invocation/${id}/error`, told(error));
  }
}
