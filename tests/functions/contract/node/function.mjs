// The contract's function (../README.md) on `aws-lambda-ric`.

import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

if (process.env.CONTRACT_INIT === "fail") {
  throw new Error("no driver for größe");
}

let served = 0;

class PumpDry extends Error {
  name = "PumpDry";
}

function drainTheTank() {
  throw new PumpDry("no water: größer 🌡");
}

export async function handler(event, context) {
  served += 1;
  const data = event.data;
  switch (data.do) {
    case "echo":
      return event;
    case "who":
      await sleep((data.seconds ?? 0) * 1000);
      return { pid: process.pid, served, id: event.id };
    case "context":
      return {
        request: context.awsRequestId,
        function: context.functionName,
        version: context.functionVersion,
        arn: context.invokedFunctionArn,
        memory: Number(context.memoryLimitInMB),
        group: context.logGroupName,
        stream: context.logStreamName,
        left: context.getRemainingTimeInMillis(),
        trace: process.env._X_AMZN_TRACE_ID,
        identity: context.identity ?? null,
        client: context.clientContext ?? null,
      };
    case "fail":
      console.log("about to fail: größe");
      return drainTheTank();
    case "sleep":
      await sleep(data.seconds * 1000);
      return "awake";
    case "length":
      return event.pad.length;
    case "fill":
      return "x".repeat(data.count);
    case "print":
      writeSync(1, "to standard output: größe\n");
      writeSync(2, "to standard error: größe\n");
      return process.exit(3);
  }
}

// What this client can send only as a stream: bytes that are no JSON, and an answer that breaks off.
export const stream = awslambda.streamifyResponse(async (event, answer) => {
  if (event.data.do === "raw") {
    answer.write(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
    answer.end();
    await new Promise((done) => answer.on("finish", done));
  } else {
    answer.write("half of it");
    throw new PumpDry("no water: größer 🌡");
  }
});
