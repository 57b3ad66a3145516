// Asks the agent for events and has Handle answer them, with AWS's own client.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() {
	lambda.Start(Handle)
}
