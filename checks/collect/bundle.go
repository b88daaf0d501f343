package collect

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/config"
)

// bundleSchema is what a bundle's manifest says it is.
const bundleSchema = "labctl/v1"

// manifestName is the manifest's name in a bundle; it is the first file.
const manifestName = "manifest.json"

// Limits of a bundle that is read. It may come from anybody.
const (
	maxBundle      = 256 << 20 // bytes of all files together
	maxManifest    = 32 << 20  // bytes
	maxBundleFiles = 100_000
)

// manifest lists what a bundle holds.
type manifest struct {
	Schema    string          `json:"schema"`
	Labctl    string          `json:"labctl"` // the version that wrote it
	Lab       string          `json:"lab"`    // the resolved labctl.yaml
	Simulated bool            `json:"simulated"`
	Commands  []manifestEntry `json:"commands"`
}

// manifestEntry is one command. Its outputs are files of the bundle; an empty output has none.
type manifestEntry struct {
	Where   string     `json:"where"`
	Command string     `json:"command"`
	Exit    int        `json:"exit"`
	Error   string     `json:"error,omitempty"` // why it could not be run; then exit says nothing
	Started *time.Time `json:"started,omitempty"`
	Took    int64      `json:"tookNanoseconds,omitempty"`
	Stdout  string     `json:"stdout,omitempty"`
	Stderr  string     `json:"stderr,omitempty"`
}

// Write writes the evidence as a bundle, a gzipped tar: manifest.json, and one file for each output. Tokens were cut from the outputs
// when they were collected, and are cut once more here; so are the passwords of labctl.yaml. The same evidence gives the same bytes. version is labctl's own.
func Write(w io.Writer, e *Evidence, version string) error {
	if e.Lab == nil {
		return errors.New("writing a bundle: the evidence is of no lab")
	}
	lab, err := config.Marshal(e.Lab.Redacted())
	if err != nil {
		return fmt.Errorf("writing a bundle: %w", err)
	}
	passwords := e.Lab.Secrets()
	redact := func(data []byte) []byte {
		for _, p := range passwords {
			data = bytes.ReplaceAll(data, []byte(p), []byte("REDACTED"))
		}
		return redact(data)
	}
	m := manifest{Schema: bundleSchema, Labctl: version, Lab: string(lab), Simulated: e.Simulated, Commands: []manifestEntry{}}
	type file struct {
		name string
		data []byte
	}
	var files []file
	for n, i := range e.Items {
		entry := manifestEntry{Where: i.Where, Command: string(redact([]byte(i.Command))), Exit: i.Exit, Error: string(redact([]byte(i.Err))), Took: int64(i.Took)}
		if !i.Started.IsZero() {
			started := i.Started.Round(0).UTC()
			entry.Started = &started
		}
		keep := func(kind string, data []byte) string {
			if len(data) == 0 {
				return ""
			}
			name := fmt.Sprintf("%04d-%s.%s", n, safeName(i.Where+"-"+i.Command), kind)
			files = append(files, file{name, redact(data)})
			return name
		}
		entry.Stdout, entry.Stderr = keep("stdout", i.Stdout), keep("stderr", i.Stderr)
		m.Commands = append(m.Commands, entry)
	}
	head, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("writing a bundle: %w", err)
	}
	files = append([]file{{manifestName, append(head, '\n')}}, files...)

	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	for _, f := range files {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Format: tar.FormatUSTAR}); err != nil {
			return fmt.Errorf("writing a bundle: %w", err)
		}
		if _, err := archive.Write(f.data); err != nil {
			return fmt.Errorf("writing a bundle: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return fmt.Errorf("writing a bundle: %w", err)
	}
	return nil
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9.]+`)

// safeName makes of a command what a file may be called, short enough for any archive.
func safeName(s string) string {
	s = strings.Trim(notInNames.ReplaceAllString(s, "-"), "-.")
	return s[:min(len(s), 60)]
}

// fileName is what the files of a bundle are called: no folders, nothing hidden.
var fileName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,98}$`)

// Read reads a bundle. It trusts nothing in it: a file in a folder, a link, a file twice, one too large, or an output that the manifest
// names and the bundle lacks is an error. It writes no file.
func Read(r io.Reader) (*Evidence, error) {
	files, err := readFiles(r)
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	e, err := fromManifest(files)
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	return e, nil
}

func readFiles(r io.Reader) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("it is no gzipped tar: %w", err)
	}
	defer unzipped.Close()
	content := &bounded{r: unzipped, left: maxBundle}
	archive := tar.NewReader(content)
	files := map[string][]byte{}
	left := int64(maxBundle) // of what files say they hold: the holes of a sparse file are in no stream, and must be counted all the same
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			// The tar ends before the gzip does, whose checksum stands behind its last byte.
			if _, err := io.Copy(io.Discard, content); err != nil {
				return nil, fmt.Errorf("it is damaged: %w", err)
			}
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		limit := int64(maxOutput)
		if h.Name == manifestName {
			limit = maxManifest
		}
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("%q is not a plain file", firstLine([]byte(h.Name)))
		case !fileName.MatchString(h.Name):
			return nil, fmt.Errorf("%q is no name for a file of a bundle", firstLine([]byte(h.Name)))
		case files[h.Name] != nil:
			return nil, fmt.Errorf("%q is in it twice", h.Name)
		case h.Size > limit:
			return nil, fmt.Errorf("%q is larger than %d MiB", h.Name, limit>>20)
		case h.Size > left:
			return nil, errTooLarge
		case len(files) >= maxBundleFiles:
			return nil, fmt.Errorf("it holds more than %d files", maxBundleFiles)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", h.Name, err)
		}
		files[h.Name] = append([]byte{}, data...)
		left -= h.Size
	}
}

var errTooLarge = fmt.Errorf("it is larger than %d MiB", maxBundle>>20)

// bounded fails where there is more to read than may be: a small gzip can hold a huge file.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func fromManifest(files map[string][]byte) (*Evidence, error) {
	head, ok := files[manifestName]
	if !ok {
		return nil, fmt.Errorf("there is no %q in it", manifestName)
	}
	var m manifest
	// A field that is not known comes from a newer labctl: JSON of one schema only grows.
	if err := json.NewDecoder(bytes.NewReader(head)).Decode(&m); err != nil {
		return nil, fmt.Errorf("%q: %w", manifestName, err)
	}
	if m.Schema != bundleSchema {
		return nil, fmt.Errorf("%q: the schema is %q, not %q", manifestName, firstLine([]byte(m.Schema)), bundleSchema)
	}
	lab, err := config.Parse(manifestName+": lab", []byte(m.Lab))
	if err != nil {
		return nil, err
	}
	if len(m.Commands) > maxBundleFiles {
		return nil, fmt.Errorf("%q: it has more than %d commands", manifestName, maxBundleFiles)
	}
	e := &Evidence{Lab: lab, Simulated: m.Simulated}
	taken := map[string]bool{}
	for n, c := range m.Commands {
		if c.Where == "" || c.Command == "" || c.Took < 0 {
			return nil, fmt.Errorf("%q: command %d is incomplete", manifestName, n)
		}
		i := Item{Where: c.Where, Command: c.Command, Exit: c.Exit, Err: c.Error, Took: time.Duration(c.Took)}
		if c.Started != nil {
			i.Started = *c.Started
		}
		for _, output := range []struct {
			name string
			data *[]byte
		}{{c.Stdout, &i.Stdout}, {c.Stderr, &i.Stderr}} {
			if output.name == "" {
				continue
			}
			if taken[output.name] { // a small bundle would become a lot to read
				return nil, fmt.Errorf("%q: command %d names %q, which is another output", manifestName, n, firstLine([]byte(output.name)))
			}
			taken[output.name] = true
			if *output.data, ok = files[output.name]; !ok {
				return nil, fmt.Errorf("%q: command %d names %q, which is not in the bundle", manifestName, n, firstLine([]byte(output.name)))
			}
		}
		e.Items = append(e.Items, i)
	}
	return e, nil
}
