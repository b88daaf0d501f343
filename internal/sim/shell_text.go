package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func runCat(_ context.Context, p *process) int {
	_, names, err := options(p.args, "")
	if err != nil {
		return p.usage(err)
	}
	names = orStandardInput(names)
	status := 0
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			status = p.fail("%s: %s", name, reason(err))
			continue
		}
		if _, err := p.stdout.Write(data); err != nil {
			return 1
		}
	}
	return status
}

func runTee(_ context.Context, p *process) int {
	given, names, err := options(p.args, "a append")
	if err != nil {
		return p.usage(err)
	}
	data, err := p.input("-")
	if err != nil {
		return p.fail("%v", err)
	}
	status := 0
	for _, name := range names {
		if name == "/dev/null" {
			continue
		}
		content := data
		if is(given, "a", "append") {
			old, err := p.session.read(p.guest, p.path(name))
			if err == nil {
				content = append(old, data...)
			}
		}
		if err := p.put(p.path(name), content, nil); err != nil {
			status = p.fail("%s: %s", name, reason(err))
		}
	}
	if _, err := p.stdout.Write(data); err != nil {
		return 1
	}
	return status
}

func runSha256sum(_ context.Context, p *process) int {
	given, names, err := options(p.args, "c check status quiet b")
	if err != nil {
		return p.usage(err)
	}
	names = orStandardInput(names)
	sum := func(name string) (string, error) {
		data, err := p.input(name)
		h := sha256.Sum256(data)
		return hex.EncodeToString(h[:]), err
	}
	status := 0
	for _, name := range names {
		if !is(given, "c", "check") {
			s, err := sum(name)
			if err != nil {
				status = p.fail("%s: %s", name, reason(err))
				continue
			}
			p.printf("%s  %s\n", s, name)
			continue
		}
		list, err := p.input(name)
		if err != nil {
			return p.fail("%s: %s", name, reason(err))
		}
		bad := 0
		for line := range strings.Lines(string(list)) {
			want, file, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				return p.fail("%s: no properly formatted SHA256 checksum lines found", name)
			}
			file = strings.TrimLeft(file, " *")
			have, err := sum(file)
			verdict := "OK"
			switch {
			case err != nil:
				p.fail("%s: %s", file, reason(err))
				verdict, bad = "FAILED open or read", bad+1
			case have != want:
				verdict, bad = "FAILED", bad+1
			}
			if !is(given, "status") && !(is(given, "quiet") && verdict == "OK") {
				p.printf("%s: %s\n", file, verdict)
			}
		}
		if bad > 0 {
			status = 1
			if !is(given, "status") {
				p.fail("WARNING: %d computed checksum did NOT match", bad)
			}
		}
	}
	return status
}

// restOf is how many bytes are left to read, if that is known without reading.
func restOf(r io.Reader) (int64, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return 0, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return info.Size() - at, err == nil
}

func runWc(_ context.Context, p *process) int {
	given, names, err := options(p.args, "c l w bytes lines words")
	if err != nil {
		return p.usage(err)
	}
	files := names
	if len(files) == 0 {
		if size, ok := restOf(p.stdin); ok && len(given) == 1 && is(given, "c", "bytes") {
			p.printf("%d\n", size)
			return 0
		}
		files = []string{"-"}
	}
	if len(files) > 1 { // of which there would be a total
		return p.unknown(strings.Join(p.args, " "))
	}
	for _, name := range files {
		data, err := p.input(name)
		if err != nil {
			return p.fail("%s: %s", name, reason(err))
		}
		var columns []string
		all := len(given) == 0
		for _, c := range []struct {
			on bool
			n  int
		}{
			{is(given, "l", "lines"), bytes.Count(data, []byte("\n"))}, {is(given, "w", "words"), len(bytes.Fields(data))}, {is(given, "c", "bytes"), len(data)},
		} {
			if all {
				columns = append(columns, fmt.Sprintf("%7d", c.n))
			} else if c.on {
				columns = append(columns, fmt.Sprint(c.n))
			}
		}
		if len(names) > 0 {
			columns = append(columns, name)
		}
		p.printf("%s\n", strings.Join(columns, " "))
	}
	return 0
}

// countOption is the number in -n N, -c N or -N. Only head takes one below zero, and none of the two one with a plus here.
func countOption(args []string) (rest []string, lines, size int, err error) {
	lines, size = 10, -1
	if len(args) > 0 && regexp.MustCompile(`^-\d+$`).MatchString(args[0]) {
		args = append([]string{"-n", args[0][1:]}, args[1:]...)
	}
	given, rest, err := options(args, "n= c= lines= bytes=")
	if err != nil {
		return nil, 0, 0, err
	}
	for flag, to := range map[string]*int{"n": &lines, "lines": &lines, "c": &size, "bytes": &size} {
		if v, ok := given[flag]; ok {
			if *to, err = strconv.Atoi(v); err != nil || v[0] == '+' || *to < 0 && to == &size {
				return nil, 0, 0, fmt.Errorf("the SIMULATED one does not know the number ‘%s’", v)
			}
		}
	}
	return rest, lines, size, nil
}

func (p *process) ends(cut func(lines []string, n int) []string, cutBytes func([]byte, int) []byte) int {
	names, n, size, err := countOption(p.args)
	if err != nil {
		return p.usage(err)
	}
	if n < 0 && p.name == "tail" || len(names) > 1 { // which would put headings between them
		return p.unknown(strings.Join(p.args, " "))
	}
	names = orStandardInput(names)
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			return p.fail("cannot open '%s' for reading: %s", name, reason(err))
		}
		if size >= 0 {
			data = cutBytes(data, min(size, len(data)))
		} else {
			lines := strings.SplitAfter(string(data), "\n")
			if lines[len(lines)-1] == "" {
				lines = lines[:len(lines)-1]
			}
			data = []byte(strings.Join(cut(lines, n), ""))
		}
		if _, err := p.stdout.Write(data); err != nil {
			return 1
		}
	}
	return 0
}

func runHead(_ context.Context, p *process) int {
	return p.ends(func(l []string, n int) []string {
		if n < 0 {
			return l[:max(0, len(l)+n)]
		}
		return l[:min(n, len(l))]
	}, func(b []byte, n int) []byte { return b[:n] })
}

func runTail(_ context.Context, p *process) int {
	return p.ends(func(l []string, n int) []string { return l[max(0, len(l)-n):] }, func(b []byte, n int) []byte { return b[len(b)-n:] })
}

func runSort(_ context.Context, p *process) int {
	given, names, err := options(p.args, "u r")
	if err != nil {
		return p.usage(err)
	}
	names = orStandardInput(names)
	var lines []string
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			return p.fail("cannot read: %s: %s", name, reason(err))
		}
		for line := range strings.Lines(string(data)) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(lines)
	if is(given, "u") {
		lines = slices.Compact(lines)
	}
	if is(given, "r") {
		slices.Reverse(lines)
	}
	for _, l := range lines {
		p.printf("%s\n", l)
	}
	return 0
}

// runUniq is uniq [-c] [-d] [-u].
func runUniq(_ context.Context, p *process) int {
	given, args, err := options(p.args, "c d u count")
	if err != nil || len(args) > 1 {
		return p.unknown(strings.Join(p.args, " "))
	}
	data, err := p.input(append(args, "-")[0])
	if err != nil {
		return p.complain("", args[0], err)
	}
	var lines []string
	counts := []int{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if n := len(lines); n > 0 && lines[n-1] == line {
			counts[n-1]++
			continue
		}
		lines, counts = append(lines, line), append(counts, 1)
	}
	for n, line := range lines {
		switch {
		case is(given, "d") && counts[n] == 1, is(given, "u") && counts[n] > 1:
		case is(given, "c", "count"):
			p.printf("%7d %s\n", counts[n], line)
		default:
			p.printf("%s\n", line)
		}
	}
	return 0
}

func runTr(_ context.Context, p *process) int {
	data, err := p.input("-")
	if err != nil {
		return p.fail("%v", err)
	}
	unescape := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00")
	switch {
	case slices.ContainsFunc(p.args, func(a string) bool { return len(a) > 2 && (strings.Contains(a, "-") || strings.Contains(a, "[:")) }):
		return p.unknown(strings.Join(p.args, " ")) // ranges and classes
	case len(p.args) == 2 && p.args[0] == "-d":
		set := unescape.Replace(p.args[1])
		p.printf("%s", strings.Map(func(r rune) rune {
			if strings.ContainsRune(set, r) {
				return -1
			}
			return r
		}, string(data)))
	case len(p.args) == 2 && len(p.args[0]) > 0 && p.args[0][0] != '-' && len(unescape.Replace(p.args[0])) == len(unescape.Replace(p.args[1])) && !strings.Contains(p.args[0], "-"):
		from, to := unescape.Replace(p.args[0]), unescape.Replace(p.args[1])
		p.printf("%s", strings.Map(func(r rune) rune {
			if i := strings.IndexRune(from, r); i >= 0 {
				return rune(to[i])
			}
			return r
		}, string(data)))
	default:
		return p.unknown(strings.Join(p.args, " "))
	}
	return 0
}

func runCut(_ context.Context, p *process) int {
	given, names, err := options(p.args, "d= f=")
	if err != nil {
		return p.usage(err)
	}
	field, err := strconv.Atoi(given["f"])
	if err != nil || field < 1 {
		return p.unknown("-f " + given["f"])
	}
	sep := "\t"
	if v, ok := given["d"]; ok {
		sep = v
	}
	names = orStandardInput(names)
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			return p.fail("%s: %s", name, reason(err))
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			if parts := strings.Split(line, sep); len(parts) == 1 {
				p.printf("%s\n", line)
			} else if field <= len(parts) {
				p.printf("%s\n", parts[field-1])
			} else {
				p.printf("\n")
			}
		}
	}
	return 0
}
