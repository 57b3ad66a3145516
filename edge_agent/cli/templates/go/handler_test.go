package main

import (
	"context"
	"encoding/json"
	"os"
	"testing"
)

func TestItSaysWhatTheDeviceMeasured(t *testing.T) {
	text, err := os.ReadFile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	var event Event
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	answer, err := Handle(context.Background(), event)
	if err != nil || answer.Message != "tank-1 says 18.2" {
		t.Fatalf("got %q, %v", answer.Message, err)
	}
}

func TestAnEventWithoutDataIsAnError(t *testing.T) {
	if _, err := Handle(context.Background(), Event{}); err == nil {
		t.Fatal("it was answered")
	}
}
