package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/labctl/labctl/internal/noquery"
)

func main() { os.Exit(mainExit()) }

// mainExit runs labctl on the process's arguments and returns its exit status. Tests call it in a process of its own.
func mainExit() int {
	noquery.Done() // before anything reads the environment
	if len(os.Args) > 1 && os.Args[1] == simulatedVBoxManage {
		return runSimulatedVBoxManage(os.Args[2:])
	}
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		told := make(chan struct{})
		go func() { // where nobody reads what labctl says, saying it takes for ever
			a.interrupted()
			close(told)
		}()
		slow := time.NewTimer(tellingLimit)
		select {
		case <-told:
		case <-slow.C:
		}
		cancel(errInterrupted)
		<-signals
		os.Exit(exitInterrupted)
	}()
	return a.run(ctx, os.Args[1:])
}

// tellingLimit is how long the run goes on for it to be told first that it is being stopped.
const tellingLimit = time.Second

// errInterrupted is why a run's context ended when the user asked for it.
var errInterrupted = errors.New("interrupted")
