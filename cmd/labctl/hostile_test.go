package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/internal/config"
)

// TestHostileTextOnTheTerminal: whoever writes to the terminal's owner by way of labctl writes text.
func TestHostileTextOnTheTerminal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for VBoxManage is a shell script")
	}
	t.Parallel()
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202edrow\x00\xff\r"
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	e := &collect.Evidence{Lab: config.Default()}
	for _, where := range []string{"cp1", "w1", "host", evil} {
		for _, command := range []string{
			"ip -j addr", "ip -j route", "cat /etc/machine-id", "kubectl --request-timeout=20s get nodes,services,pods,endpointslices,endpoints,deployments,daemonsets -A -o json",
			"iptables-save -t nat", evil,
		} {
			e.Items = append(e.Items, collect.Item{Where: where, Command: command, Stdout: []byte(evil), Stderr: []byte(evil), Exit: 1},
				collect.Item{Where: where, Command: command, Err: evil})
		}
	}
	var bundle bytes.Buffer
	if err := collect.Write(&bundle, e, evil); err != nil {
		t.Fatal(err)
	}
	write("evil.tar.gz", bundle.String())
	write("VBoxManage", "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 7.2.22r175245; exit; fi\nprintf 'VBoxManage: error: %s\\n' '"+strings.ReplaceAll(evil, "\x00", "")+"' >&2\nexit 1\n")
	write("evil.yaml", "name: \"\\e[2J\\u202e\"\nimage: {url: \"http://\\e[2J/\\u202e\", user: \"\\u009b\"}\n\"\\e[0m\": 1\nk3s: {version: \"\\x07\"}\n")
	write("broken.yaml", evil)
	// Nothing is downloaded.
	local := write("local.yaml", "image: {url: "+filepath.Join(dir, "image.img")+", sha256: "+strings.Repeat("0", 64)+"}\nk3s: {source: "+dir+"}\n")

	env := func(key string) string {
		switch key {
		case "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME":
			return filepath.Join(dir, key)
		case "LABCTL_VBOXMANAGE":
			return filepath.Join(dir, "VBoxManage")
		}
		return ""
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	evidence := []string{"verify", "--evidence", in("evil.tar.gz"), "-o"}
	told := 0
	for _, args := range [][]string{
		{"up"}, {"up", "-v"}, {"plan"}, {"status"}, {"status", "-o", "json"}, {"doctor"}, {"doctor", "-o", "json"}, {"destroy", "--yes"},
		append(evidence, "text"), append(evidence, "json"), append(evidence, "junit"), append(evidence, "tap"),
		{"--lab", in("evil.yaml"), "up"}, {"--lab", in("broken.yaml"), "up"}, {"--lab", in(evil), "up"}, {"--lab", in("evil.tar.gz"), "up"},
		{"verify", "--evidence", in("broken.yaml")}, {"verify", "--evidence", in(strings.ReplaceAll(evil, "\x00", ""))},
		{evil}, {"--" + evil}, {"--color", evil, "up"}, {"-o", evil, "up"}, {"up", "--to", evil}, {"verify", evil}, {"verify", "--only", evil}, {"break", evil}, {"labs", evil},
		{"up", "--timeout", evil}, {"--vboxmanage", in(evil), "up"},
	} {
		var out, errs bytes.Buffer
		status := newApp(strings.NewReader(""), &out, &errs, env).run(t.Context(), append([]string{"--lab", local}, args...))
		if asks := args[0] == "plan" || args[0] == "status"; status == exitOK && !asks {
			t.Errorf("labctl %q succeeds", args)
		}
		for _, text := range []string{out.String(), errs.String()} {
			told += strings.Count(text, "owned")
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
				t.Errorf("labctl %q prints what is no text: %q", args, text)
			}
		}
	}
	if told < 20 {
		t.Errorf("the hostile text was shown only %d times: this test reaches nothing", told)
	}
}

// TestEndlessFile: a file without an end is no reason to read on.
func TestEndlessFile(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skipf("not run: %v", err)
	}
	for _, args := range [][]string{{"--lab", "/dev/zero", "plan"}, {"verify", "--evidence", "/dev/zero"}} {
		var out, errs bytes.Buffer
		status := newApp(strings.NewReader(""), &out, &errs, os.Getenv).run(t.Context(), args)
		if status != exitUsage || !strings.Contains(errs.String(), "/dev/zero") {
			t.Errorf("%v: status %d\n%s%s", args, status, out.String(), errs.String())
		}
	}
}

// TestPathOfTwoLines: VBoxManage could not tell such a path, and what is ours would look like somebody else's.
func TestPathOfTwoLines(t *testing.T) {
	env := func(string) string { return filepath.Join(t.TempDir(), "a\nb") }
	var out, errs bytes.Buffer
	status := newApp(strings.NewReader(""), &out, &errs, env).run(t.Context(), []string{"--simulate", "up"})
	if status != exitUsage || !strings.Contains(errs.String(), "XDG_DATA_HOME") {
		t.Errorf("status %d\n%s", status, errs.String())
	}
}
