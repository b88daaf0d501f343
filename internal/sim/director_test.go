package sim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestDirector(t *testing.T) {
	dir := t.TempDir()
	rulings := make(chan Ruling, 1)
	var mu sync.Mutex
	var heard []string
	d, err := Direct(dir, Options{Boot: time.Hour}, func(e Event) Ruling {
		mu.Lock()
		defer mu.Unlock()
		when := "before "
		if e.After {
			when = "after "
		}
		heard = append(heard, when+string(e.Kind)+" "+strings.Join(append(e.Words, e.Where), " "))
		select {
		case r := <-rulings:
			return r
		default:
			return Ruling{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(dir, Options{PodStart: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.options.Boot != time.Hour || w.options.PodStart != time.Minute || w.options.K3sStart != 400*time.Millisecond {
		t.Errorf("waits: %+v", w.options)
	}
	call := func(ctx context.Context, words ...string) (int, string, string) {
		var out, errs bytes.Buffer
		exit := w.VBoxManage(ctx, words, &out, &errs)
		return exit, out.String(), errs.String()
	}
	if exit, out, errs := call(t.Context(), "--version"); exit != 0 || out == "" || errs != "" {
		t.Errorf("nothing ruled: %d, %q, %q", exit, out, errs)
	}
	rulings <- Ruling{Do: Fail, Exit: 7, Stderr: "no\n"}
	if exit, out, errs := call(t.Context(), "hostonlyif", "create"); exit != 7 || out != "" || errs != "no\n" {
		t.Errorf("fail: %d, %q, %q", exit, out, errs)
	}
	if made, err := readHostOnly(dir); len(made) > 0 || err != nil {
		t.Errorf("what failed before has happened: %v, %v", made, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	rulings <- Ruling{Do: Hang}
	if exit, _, _ := call(ctx, "--version"); exit == 0 || ctx.Err() == nil {
		t.Errorf("hang: exit %d, %v", exit, ctx.Err())
	}
	rulings <- Ruling{Do: Refuse}
	if _, err := w.DialContext(t.Context(), "tcp", "images.simulated:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refuse: %v", err)
	}
	rulings <- Ruling{Do: Hang}
	c, err := w.DialContext(t.Context(), "tcp", "images.simulated:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("what hangs answers: %v", err)
	}
	mu.Lock()
	want := []string{
		"before VBoxManage --version ", "after VBoxManage --version ", "before VBoxManage hostonlyif create ", "before VBoxManage --version ",
		"before dial images.simulated:80", "before dial images.simulated:80",
	}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q", heard)
	}
	mu.Unlock()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	rulings <- Ruling{Do: Fail, Exit: 7}
	if exit, _, _ := call(t.Context(), "--version"); exit != 0 {
		t.Errorf("a director that is gone rules: exit %d", exit)
	}
}
