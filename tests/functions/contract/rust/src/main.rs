//! The contract's function (../../README.md) on `lambda_runtime`.

use lambda_runtime::streaming::{channel, Body, Response};
use lambda_runtime::{run, service_fn, Context, Diagnostic, Error, FunctionResponse, LambdaEvent};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

static SERVED: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct PumpDry;

impl From<PumpDry> for Diagnostic {
    fn from(_: PumpDry) -> Diagnostic {
        Diagnostic { error_type: "PumpDry".into(), error_message: "no water: größer 🌡".into() }
    }
}

fn describe(context: &Context) -> Value {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    json!({
        "request": context.request_id,
        "function": context.env_config.function_name,
        "version": context.env_config.version,
        "arn": context.invoked_function_arn,
        "memory": context.env_config.memory,
        "group": context.env_config.log_group,
        "stream": context.env_config.log_stream,
        "left": left.as_millis() as u64,
        "trace": context.xray_trace_id,
        "identity": context.identity,
        "client": context.client_context,
    })
}

async fn handle(event: LambdaEvent<Value>) -> Result<FunctionResponse<Value, Body>, PumpDry> {
    let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
    let (payload, context) = event.into_parts();
    let data = &payload["data"];
    let seconds = Duration::from_secs_f64(data["seconds"].as_f64().unwrap_or(0.0));
    let answer = match data["do"].as_str().unwrap_or("") {
        "echo" => payload,
        "who" => {
            tokio::time::sleep(seconds).await;
            json!({"pid": std::process::id(), "served": served, "id": payload["id"]})
        }
        "context" => describe(&context),
        "fail" => {
            println!("about to fail: größe");
            return Err(PumpDry);
        }
        "sleep" => {
            tokio::time::sleep(seconds).await;
            json!("awake")
        }
        "length" => json!(payload["pad"].as_str().map_or(0, str::len)),
        "fill" => json!("x".repeat(data["count"].as_u64().unwrap_or(0) as usize)),
        "print" => {
            println!("to standard output: größe");
            eprintln!("to standard error: größe");
            std::process::exit(3)
        }
        "raw" => {
            let (mut sender, body) = channel();
            tokio::spawn(async move { sender.send_data((0..=255u8).collect::<Vec<u8>>().into()).await });
            return Ok(FunctionResponse::StreamingResponse(Response::from(body)));
        }
        "break" => {
            let (mut sender, body) = channel();
            tokio::spawn(async move {
                if sender.send_data("half of it".into()).await.is_ok() {
                    sender.abort();
                }
            });
            return Ok(FunctionResponse::StreamingResponse(Response::from(body)));
        }
        _ => Value::Null,
    };
    Ok(FunctionResponse::BufferedResponse(answer))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var("CONTRACT_INIT").as_deref() == Ok("fail") {
        panic!("no driver for größe");
    }
    run(service_fn(handle)).await
}
