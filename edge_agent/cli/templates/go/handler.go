package main

import (
	"context"
	"errors"
	"fmt"
)

// Event is what this function reads of a CloudEvent; there is more in it (event.json).
type Event struct {
	Data *struct {
		Device string   `json:"device"`
		Value  *float64 `json:"value"`
	} `json:"data"`
}

// Answer is what it says, as JSON.
type Answer struct {
	Message string `json:"message"`
}

// Handle is what @NAME@ does with an event. An error is a failed attempt.
func Handle(ctx context.Context, event Event) (Answer, error) {
	if event.Data == nil || event.Data.Value == nil {
		return Answer{}, errors.New("the event has no value")
	}
	device := event.Data.Device
	if device == "" {
		device = "somebody"
	}
	message := fmt.Sprintf("%s says %g", device, *event.Data.Value)
	fmt.Println(message)
	return Answer{message}, nil
}
