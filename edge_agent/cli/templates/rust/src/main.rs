//! Asks the agent for events and has `handle` answer them, with AWS's own client.

use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde_json::{json, Value};

/// What @NAME@ does with an event (a CloudEvent, event.json). An error is a failed attempt.
async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let data = &event.payload["data"];
    let value = data["value"].as_f64().ok_or("the event has no value")?;
    let message = format!("{} says {value}", data["device"].as_str().unwrap_or("somebody"));
    println!("{message}");
    Ok(json!({ "message": message }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_says_what_the_device_measured() {
        let event = serde_json::from_str(include_str!("../event.json")).unwrap();
        let answer = handle(LambdaEvent::new(event, Default::default())).await.unwrap();
        assert_eq!(answer, json!({ "message": "tank-1 says 18.2" }));
    }

    #[tokio::test]
    async fn an_event_without_data_is_an_error() {
        assert!(handle(LambdaEvent::new(json!({}), Default::default())).await.is_err());
    }
}
