// Command probe is what the smoke check runs in its pods.
//
//	probe serve TEXT     answers TEXT on :8080, and /metrics with one gauge; drains for two seconds on SIGTERM
//	probe resolve NAME   prints the addresses of NAME
//	probe write FILE     writes FILE and prints what it then reads from it
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// The endpoint is gone from the gateway before the listener closes.
	drain   = 2 * time.Second
	patient = 30 * time.Second
	metrics = "# TYPE api_requests_in_flight gauge\napi_requests_in_flight 3\n"
)

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("usage: probe serve TEXT | resolve NAME | write FILE"))
	}
	commands := map[string]func(string) error{"serve": serve, "resolve": resolve, "write": write}
	command, known := commands[os.Args[1]]
	if !known {
		fail(fmt.Errorf("unknown command %q", os.Args[1]))
	}
	if err := command(os.Args[2]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func answer(text string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte(text)) }
}

func serve(text string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/", answer(text))
	mux.HandleFunc("/metrics", answer(metrics))
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: patient}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	closed := make(chan error, 1)
	go func() {
		<-stopped.Done()
		time.Sleep(drain)
		closed <- server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

func resolve(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	for {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err == nil {
			fmt.Println(addresses)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

func write(file string) error {
	if err := os.WriteFile(file, []byte("written\n"), 0o600); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err == nil {
		fmt.Print(string(text))
	}
	return err
}
