package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "gopkg.in/yaml.v3"
)

// Sizes above which a file is refused unread, in bytes: a file of ours is a page or two; a kubeconfig holds certificates.
const (
	maxDecode    = 1 << 20
	maxUnmarshal = 16 << 20
)

// node is an element of a parsed document.
type node = yaml.Node

const (
	mappingNode  = yaml.MappingNode
	sequenceNode = yaml.SequenceNode
	scalarNode   = yaml.ScalarNode
	aliasNode    = yaml.AliasNode
	taggedStyle  = yaml.TaggedStyle
)

// Marshal writes v as YAML, indented by two spaces.
func Marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return out.Bytes(), nil
}

// Unmarshal reads the first document of data into out and ignores what out has no field for. At most 16 MiB are read;
// the library itself bounds what aliases may expand to.
func Unmarshal(data []byte, out any) error {
	if len(data) > maxUnmarshal {
		return fmt.Errorf("reading YAML: %d bytes are more than the %d that are read", len(data), maxUnmarshal)
	}
	if err := yaml.Unmarshal(data, out); err != nil {
		return fmt.Errorf("reading YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return nil
}

// OneDocument refuses data that goes on in a second document, which Unmarshal would leave out. An empty one is no loss.
func OneDocument(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		var document node
		switch err := dec.Decode(&document); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			line, message := syntaxProblem(data, err)
			return fmt.Errorf("reading YAML: line %d: %s", line, message)
		case n > 0 && len(document.Content) > 0 && !isNull(document.Content[0]):
			return fmt.Errorf("a second document starts in line %d", document.Content[0].Line)
		}
	}
}

// parse returns the value of data's only document, or nil if there is nothing but comments. Its errors are Problems.
func parse(file string, data []byte) (*node, error) {
	fail := func(line int, message string) (*node, error) {
		return nil, Problems{{File: file, Line: line, Message: message}}
	}
	if len(data) > maxDecode {
		return fail(0, fmt.Sprintf("the file has %d bytes, more than the %d that are read: is it the right file?", len(data), maxDecode))
	}
	if line := notText(data); line > 0 {
		return fail(line, "not UTF-8 text: save the file as UTF-8")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var document node
	if err := dec.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return fail(syntaxProblem(data, err))
	}
	var second node
	if err := dec.Decode(&second); err == nil {
		return fail(second.Line, "a second document starts here: keep one, without a line of three dashes")
	} else if !errors.Is(err, io.EOF) {
		return fail(syntaxProblem(data, err))
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	// Aliases are refused and not followed: no field needs them, and a few lines of them expand to gigabytes.
	if line := firstAlias(root); line > 0 {
		return fail(line, "anchors and aliases (&name, *name) are not supported: write the value out")
	}
	return root, nil
}

// notText returns the line of the first byte that no YAML text holds, or 0.
func notText(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r':
			return line
		}
		data = data[size:]
	}
	return 0
}

func firstAlias(n *node) int {
	if n.Kind == aliasNode || n.Anchor != "" {
		return n.Line
	}
	for _, child := range n.Content {
		if line := firstAlias(child); line > 0 {
			return line
		}
	}
	return 0
}

var (
	libraryError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	tabIndent    = regexp.MustCompile(`(?m)^ *\t`)
)

// syntaxProblem puts the library's error into our form. A tab in an indentation gives it several confusing texts, far from the tab.
func syntaxProblem(data []byte, err error) (line int, message string) {
	if at := tabIndent.FindIndex(data); at != nil {
		return 1 + bytes.Count(data[:at[0]], []byte("\n")), "a tab in the indentation: YAML wants spaces"
	}
	m := libraryError.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, "not YAML: " + err.Error()
	}
	what := m[2]
	if strings.HasPrefix(what, "unknown anchor") {
		return 0, "not YAML: " + what // the library doesn't say where
	}
	line, _ = strconv.Atoi(m[1]) // it counts from 0 and leaves out a 0, but its scanner's errors count from 1
	if line == 0 || strings.HasPrefix(what, "did not find expected") {
		line++
	}
	return line, "not YAML here or just above: " + what
}
