package fetch

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Nobody waits for the next attempt without being told why.
func TestProgressSaysWhatFailed(t *testing.T) {
	list := body([]byte(sumA + "  k3s\n"))
	for _, tt := range []struct {
		name     string
		handlers []http.HandlerFunc
		list     bool // it is a list of checksums that is fetched
		stall    time.Duration
		want     []string
	}{
		{name: "good", handlers: []http.HandlerFunc{good}},
		{name: "503", handlers: []http.HandlerFunc{status(503), status(500), good}, want: []string{
			"server answers 503 Service Unavailable; trying again (2 of 4)", "server answers 500 Internal Server Error; trying again (3 of 4)"}},
		{name: "stalled", handlers: []http.HandlerFunc{stalled, good}, stall: 500 * time.Millisecond, want: []string{"nothing arrived for 500ms; trying again (2 of 4)"}},
		{name: "503 for a list", list: true, handlers: []http.HandlerFunc{status(503), list}, want: []string{"server answers 503 Service Unavailable; trying again (2 of 4)"}},
		{name: "no list for long", list: true, handlers: []http.HandlerFunc{silent, list}, stall: 500 * time.Millisecond, want: []string{"nothing arrived for 500ms; trying again (2 of 4)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.handlers...)
			l.cache.stall = tt.stall
			var said []string
			progress := Progress{Say: func(text string) { said = append(said, text) }}
			var err error
			if tt.list {
				_, err = l.cache.Checksum(t.Context(), l.URL+"/k3s", l.URL+"/sums.txt", progress)
			} else {
				_, err = l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, progress)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, said); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// How far another labctl is can't be told where the server names neither length nor date; that it is waited for can.
func TestProgressSaysWhoIsWaitedFor(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	l := newLab(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Write(content[:half])
		http.NewResponseController(w).Flush()
		close(arrived)
		<-goOn
		w.Write(content[half:])
	})
	first := make(chan error, 1)
	go func() {
		_, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
		first <- err
	}()
	<-arrived
	time.AfterFunc(10*time.Second, func() { // where nothing is said
		select {
		case <-goOn:
		default:
			close(goOn)
		}
	})
	var said []string
	if _, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Steps(func(text string) {
		said = append(said, text)
		close(goOn)
	}, "downloading the image")); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(said, "|"), "downloading the image: waiting for another labctl that fetches it"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}
