// A function that does nothing, so that what is measured is the way there and back. In Go, whose client costs least.
package main

import (
	"encoding/json"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	ID string `json:"id"`
}

func main() {
	lambda.Start(func(raw json.RawMessage) (event, error) {
		var given event
		err := json.Unmarshal(raw, &given)
		return given, err
	})
}
