package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/sim"
	"github.com/labctl/labctl/provision"
)

// The same image from a mirror, under another name, with its checksum in a list: the machines stand on the same bytes and stay. Other
// bytes make them anew.
func TestSameImageFromElsewhere(t *testing.T) {
	s := newStage(t)
	s.must("up", "--to", "machines")
	list := filepath.Join(t.TempDir(), "SHA256SUMS")
	text := fmt.Sprintf("%s *jammy.img\n%s *noble.img\n", sim.ImageSHA256(), strings.Repeat("0", 64))
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// on calls use with what up has to go on with, for an image of that URL.
	on := func(url, checksum string, use func(*builder)) {
		t.Helper()
		var out, errs bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &errs, s.env)
		a.simulate = true
		session, err := a.open()
		if err != nil {
			t.Fatal(err)
		}
		defer session.close()
		session.lab.Image.URL, session.lab.Image.SHA256 = url, checksum
		b, err := session.builder(t.Context(), false, timeoutsFor(0))
		if err != nil {
			t.Fatal(err)
		}
		use(b)
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}
	plan := func(b *builder) []string {
		t.Helper()
		changes, err := b.plan(t.Context(), provision.StageMachines)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range changes {
			all = append(all, fmt.Sprint(c.Op, " ", c.Name, " ", c.Properties()))
		}
		return all
	}
	const mirror = "http://mirror.simulated/jammy.img" // which is not there: nobody needs it
	on(mirror, list, func(b *builder) {
		if diff := cmp.Diff([]string{"update image [url]"}, plan(b)); diff != "" {
			t.Fatalf("plan (-want +got):\n%s", diff)
		}
		program, err := b.program(t.Context())
		if err == nil {
			_, err = b.stack.Up(t.Context(), program, provision.Upto(b.lab, provision.StageMachines))
		}
		if err != nil {
			t.Fatal(b.cause(err))
		}
		if got := plan(b); got != nil {
			t.Errorf("after up the plan is %q", got)
		}
	})
	on("http://mirror.simulated/noble.img", list, func(b *builder) {
		got := plan(b)
		slices.Sort(got)
		if diff := cmp.Diff([]string{"replace cp1 []", "replace image [sha256 url]", "replace w1 []", "replace w2 []"}, got); diff != "" {
			t.Errorf("other bytes (-want +got):\n%s", diff)
		}
	})
	on(mirror, filepath.Join(t.TempDir(), "none"), func(b *builder) {
		if _, err := b.plan(t.Context(), provision.StageMachines); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a list that is not there: %v", err)
		}
	})
}
