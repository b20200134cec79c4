// An independent judge of the Workload API: go-spiffe as a client of our provider, and as a
// provider for our client. Prints one JSON object per line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// What each command prints, field by field; the test names the fields that it expects.
type report map[string]any

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: go-spiffe client|watch|serve|dial ..."))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	switch os.Args[1] {
	case "client":
		err = runClient(ctx, os.Args[2], os.Args[3])
	case "watch":
		err = runWatch(ctx, os.Args[2])
	case "serve":
		err = runServer(ctx, os.Args[2])
	case "dial":
		err = runDial(ctx, os.Args[2], os.Args[3], os.Args[4])
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func say(line report) {
	text, err := json.Marshal(line)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(text))
}

func fail(err error) {
	say(report{"error": err.Error()})
	os.Exit(1)
}
