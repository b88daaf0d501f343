package yaml

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Decode reads data, which came from file, into out, a pointer to a struct. A value that the file does not give, or leaves
// empty, keeps what out holds; a list in the file replaces the list in out.
//
// The error is Problems: all that is wrong, in the order of the file. Positions is nil only if data is no YAML document at all; otherwise
// everything that could be decoded was, and a value of a wrong type is its type's zero value.
func Decode(file string, data []byte, out any) (*Positions, error) {
	root, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	d := decoder{Positions: Positions{file: file, root: root, failed: map[string]bool{}}}
	if root != nil {
		d.value(root, reflect.ValueOf(out).Elem(), nil)
	}
	if len(d.problems) > 0 {
		return &d.Positions, d.problems.Sorted()
	}
	return &d.Positions, nil
}

type decoder struct {
	Positions
	problems Problems
}

func (d *decoder) problem(n *node, path []any, format string, args ...any) {
	d.failed[Path(path...)] = true
	d.problems = append(d.problems, Problem{File: d.file, Line: n.Line, Message: fmt.Sprintf(format, args...)})
}

// wrong reports a value of another type than want, for example "a list".
func (d *decoder) wrong(n *node, out reflect.Value, path []any, want string) {
	out.SetZero()
	name := Path(path...)
	if name == "" {
		name = "the file"
	}
	is := describe(n)
	if _, secret := out.Addr().Interface().(Secret); secret {
		is = "what is there"
	}
	d.problem(n, path, "%s must be %s, not %s", name, want, is)
}

// Shorthand is a struct that a file may also give as one text.
type Shorthand interface{ SetText(string) }

// Secret is a struct whose place in a file may hold a secret, so that messages don't quote what is there.
type Secret interface{ HoldsSecret() }

func (d *decoder) value(n *node, out reflect.Value, path []any) {
	if n.Style&taggedStyle != 0 {
		d.problem(n, path, "tags such as %q are not supported: write the plain value", shorten(n.Tag))
		return
	}
	if isNull(n) {
		return
	}
	if text, ok := out.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, out, text, path)
		return
	}
	if short, ok := out.Addr().Interface().(Shorthand); ok && n.Kind == scalarNode && n.ShortTag() == "!!str" {
		short.SetText(n.Value)
		return
	}
	switch out.Kind() {
	case reflect.Struct:
		d.fields(n, out, path)
	case reflect.Map:
		d.entries(n, out, path)
	case reflect.Slice:
		d.list(n, out, path)
	case reflect.String:
		d.scalar(n, out, path, "text", "!!str", "!!int", "!!float", "!!bool", "!!timestamp")
	case reflect.Int:
		d.scalar(n, out, path, "a whole number", "!!int")
	case reflect.Bool:
		d.scalar(n, out, path, "true or false", "!!bool")
	default:
		panic("yaml: no field of type " + out.Type().String() + " is decoded: extend decoder.value")
	}
}

func (d *decoder) fields(n *node, out reflect.Value, path []any) {
	if n.Kind != mappingNode {
		d.wrong(n, out, path, "a group of fields (name: value)")
		return
	}
	known := fieldNames(out.Type())
	first := map[string]int{} // a field's name -> its line
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := append(slices.Clone(path), key.Value)
		index := slices.Index(known, key.Value)
		switch {
		case key.Kind != scalarNode:
			d.problem(key, path, "a field's name must be text, not %s", describe(key))
		case first[key.Value] > 0:
			d.problem(key, at, "duplicate field %q: it is already on line %d", shorten(Path(at...)), first[key.Value])
		case index < 0:
			first[key.Value] = key.Line
			d.problem(key, at, "unknown field %q: %s", shorten(Path(at...)), suggestion(key.Value, known))
		default:
			first[key.Value] = key.Line
			d.value(value, out.Field(index), at)
		}
	}
}

// entries reads a map whose keys are text that the file chooses.
func (d *decoder) entries(n *node, out reflect.Value, path []any) {
	if n.Kind != mappingNode {
		d.wrong(n, out, path, "a group of fields (name: value)")
		return
	}
	first := map[string]int{}
	m := reflect.MakeMap(out.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := append(slices.Clone(path), key.Value)
		switch {
		case key.Kind != scalarNode:
			d.problem(key, path, "a field's name must be text, not %s", describe(key))
		case first[key.Value] > 0:
			d.problem(key, at, "duplicate field %q: it is already on line %d", shorten(Path(at...)), first[key.Value])
		default:
			first[key.Value] = key.Line
			v := reflect.New(out.Type().Elem()).Elem()
			d.value(value, v, at)
			m.SetMapIndex(reflect.ValueOf(key.Value), v)
		}
	}
	if m.Len() == 0 {
		out.SetZero() // as if it were not given: Marshal may leave it out
		return
	}
	out.Set(m)
}

func (d *decoder) list(n *node, out reflect.Value, path []any) {
	if n.Kind != sequenceNode {
		d.wrong(n, out, path, "a list (- value)")
		return
	}
	list := reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, list.Index(i), append(slices.Clone(path), i))
	}
	out.Set(list)
}

// scalar leaves the conversion to the library, once the type in the file is one of tags: on its own, the library would cut 2.5
// down to the integer 2.
func (d *decoder) scalar(n *node, out reflect.Value, path []any, want string, tags ...string) {
	if n.Kind != scalarNode || !slices.Contains(tags, n.ShortTag()) {
		d.wrong(n, out, path, want)
		return
	}
	if err := n.Decode(out.Addr().Interface()); err != nil {
		d.wrong(n, out, path, want+" of ordinary size")
	}
}

func (d *decoder) text(n *node, out reflect.Value, into encoding.TextUnmarshaler, path []any) {
	want := "valid"
	switch out.Interface().(type) {
	case netip.Addr:
		want = "an IP address such as 192.168.56.10"
	case netip.Prefix:
		want = "a network with its prefix length, such as 192.168.56.0/24"
	}
	// netip's types take the empty text for their zero value.
	if n.Kind != scalarNode || n.Value == "" || into.UnmarshalText([]byte(n.Value)) != nil {
		d.wrong(n, out, path, want)
	}
}

func isNull(n *node) bool { return n.Kind == scalarNode && n.ShortTag() == "!!null" }

// describe says what is in the file, for a message.
func describe(n *node) string {
	switch {
	case n.Kind == mappingNode:
		return "a group of fields"
	case n.Kind == sequenceNode:
		return "a list"
	case n.ShortTag() == "!!str":
		return fmt.Sprintf("the text %q", shorten(n.Value))
	default:
		return shorten(n.Value)
	}
}

// shorten keeps a pasted certificate out of a one-line message.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// fieldNames returns the name in YAML of each of a struct's fields.
func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" {
			panic(fmt.Sprintf("yaml: field %s of %s has no yaml tag", t.Field(i).Name, t))
		}
		names[i] = name
	}
	return names
}
