// The contract's function (../README.md) on aws-lambda-go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	ID   string `json:"id"`
	Pad  string `json:"pad"`
	Data struct {
		Do      string  `json:"do"`
		Seconds float64 `json:"seconds"`
		Count   int     `json:"count"`
	} `json:"data"`
}

// PumpDry is what the tank says when it is empty.
type PumpDry struct{}

func (PumpDry) Error() string { return "no water: größer 🌡" }

func drainTheTank() { panic(PumpDry{}) }

// broken is an answer that fails in the middle.
type broken struct{ begun bool }

func (b *broken) Read(into []byte) (int, error) {
	if b.begun {
		return 0, PumpDry{}
	}
	b.begun = true
	return copy(into, "half of it"), nil
}

var served int

func handle(ctx context.Context, raw json.RawMessage) (any, error) {
	served++
	var given event
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, err
	}
	switch given.Data.Do {
	case "echo":
		return raw, nil
	case "who":
		time.Sleep(time.Duration(given.Data.Seconds * float64(time.Second)))
		return map[string]any{"pid": os.Getpid(), "served": served, "id": given.ID}, nil
	case "context":
		return describe(ctx), nil
	case "fail":
		fmt.Println("about to fail: größe")
		drainTheTank()
	case "refuse":
		return nil, PumpDry{}
	case "sleep":
		time.Sleep(time.Duration(given.Data.Seconds * float64(time.Second)))
		return "awake", nil
	case "length":
		return len(given.Pad), nil
	case "fill":
		return strings.Repeat("x", given.Data.Count), nil
	case "print":
		fmt.Fprintln(os.Stdout, "to standard output: größe")
		fmt.Fprintln(os.Stderr, "to standard error: größe")
		os.Exit(3)
	case "raw":
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		return bytes.NewReader(all), nil
	case "break":
		return io.Reader(&broken{}), nil
	}
	return nil, nil
}

func describe(ctx context.Context) map[string]any {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	var identity, client any
	if lc.Identity.CognitoIdentityID != "" {
		identity = lc.Identity
	}
	if len(lc.ClientContext.Custom) > 0 {
		client = lc.ClientContext
	}
	return map[string]any{
		"request":  lc.AwsRequestID,
		"function": lambdacontext.FunctionName,
		"version":  lambdacontext.FunctionVersion,
		"arn":      lc.InvokedFunctionArn,
		"memory":   lambdacontext.MemoryLimitInMB,
		"group":    lambdacontext.LogGroupName,
		"stream":   lambdacontext.LogStreamName,
		"left":     time.Until(deadline).Milliseconds(),
		"trace":    os.Getenv("_X_AMZN_TRACE_ID"),
		"identity": identity,
		"client":   client,
	}
}

func main() {
	if os.Getenv("CONTRACT_INIT") == "fail" {
		panic("no driver for größe")
	}
	lambda.Start(handle)
}
