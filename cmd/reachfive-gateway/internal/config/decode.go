package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// decoder fills a Config from a YAML document and remembers where each key
// stands. It goes on after a mistake, to report them all.
type decoder struct{ problems *Problems }

// document decodes exactly one document. It reports whether there is one: what
// is wrong with its values says nothing otherwise.
func (d *decoder) document(text []byte, into any) bool {
	target := reflect.ValueOf(into).Elem()
	if !utf8.Valid(text) {
		d.problems.addAt(position{1, 1}, "", "the file is not valid UTF-8")
		return false
	}
	reader := yaml.NewDecoder(bytes.NewReader(text))
	var root, more yaml.Node
	switch err := reader.Decode(&root); {
	case errors.Is(err, io.EOF):
		d.problems.addAt(position{1, 1}, "", "the file is empty")
	case err != nil:
		d.problems.addAt(syntaxError(err))
	}
	if len(root.Content) != 1 {
		return false
	}
	if err := reader.Decode(&more); !errors.Is(err, io.EOF) {
		d.problems.addAt(position{max(more.Line, 1), max(more.Column, 1)}, "", "a second YAML document; remove it")
	}
	d.value(root.Content[0], "", target)
	return root.Content[0].Kind == yaml.MappingNode
}

// syntaxError finds the line in an error of the YAML package, which is where
// the parser gave up.
func syntaxError(err error) (at position, path, text string) {
	at, text = position{1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if strings.Contains(text, "cannot start any token") {
		text += "; is it a tab? Indent with spaces"
	}
	return at, "", "not valid YAML: " + text
}

func (d *decoder) add(n *yaml.Node, path, format string, args ...any) {
	d.problems.addAt(position{n.Line, n.Column}, path, fmt.Sprintf(format, args...))
}

// value decodes a node into target, whose type says what the node must be.
func (d *decoder) value(n *yaml.Node, path string, target reflect.Value) {
	if _, known := d.problems.positions[path]; !known {
		d.problems.positions[path] = position{n.Line, n.Column}
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(n, path, "anchors and aliases are not supported; write the value itself")
		return
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		d.add(n, path, "has no value; write one, or remove the key")
		if target.Kind() == reflect.Struct {
			setDefaults(target)
		}
		return
	}
	if target.Type() == reflect.TypeFor[time.Duration]() {
		d.duration(n, path, target)
		return
	}
	switch target.Kind() {
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.value(n, path, target.Elem())
	case reflect.Struct:
		d.structure(n, path, target)
	case reflect.Map:
		d.mapping(n, path, target)
	case reflect.Slice:
		d.sequence(n, path, target)
	case reflect.String:
		d.text(n, path, target)
	case reflect.Int:
		number, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
			d.add(n, path, "want a whole number such as 100, not %s", describe(n))
			return
		}
		target.SetInt(int64(number))
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
			d.add(n, path, "want true or false, not %s", describe(n))
			return
		}
		target.SetBool(n.Value == "true")
	default:
		panic("config: a field of type " + target.Type().String())
	}
}

func (d *decoder) structure(n *yaml.Node, path string, target reflect.Value) {
	setDefaults(target)
	fields := map[string]int{}
	var names []string
	for i := range target.NumField() {
		if name := target.Type().Field(i).Tag.Get("yaml"); name != "" {
			fields[name], names = i, append(names, name)
		}
	}
	d.pairs(n, path, func(key, value *yaml.Node) {
		i, known := fields[key.Value]
		if !known {
			d.add(key, join(path, shown(key.Value)), "unknown key; %s", instead(key.Value, names))
			return
		}
		d.value(value, join(path, key.Value), target.Field(i))
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, name := range names {
		field := target.Type().Field(fields[name])
		if _, given := d.problems.positions[join(path, name)]; !given && field.Tag.Get("required") != "" {
			d.add(n, path, "the key %s is missing: %s", name, field.Tag.Get("help"))
		}
	}
}

// mapping decodes the entries that the user has named.
func (d *decoder) mapping(n *yaml.Node, path string, target reflect.Value) {
	target.Set(reflect.MakeMap(target.Type()))
	d.pairs(n, path, func(key, value *yaml.Node) {
		at := join(path, shown(key.Value))
		if !validName(key.Value) {
			d.add(key, at, "a name has 1 to 64 of a-z, 0-9, - and _, and begins with a letter")
			return
		}
		entry := reflect.New(target.Type().Elem()).Elem()
		d.value(value, at, entry)
		target.SetMapIndex(reflect.ValueOf(key.Value), entry)
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		d.add(n, path, "is empty; at least one entry is needed")
	}
}

// pairs calls f for each key of a mapping, once.
func (d *decoder) pairs(n *yaml.Node, path string, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.add(n, path, "want keys with values (key: value), not %s", describe(n))
		return
	}
	var seen []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Tag == "!!merge":
			d.add(key, path, "a key must be plain text")
			continue
		case slices.Contains(seen, key.Value):
			d.add(key, join(path, shown(key.Value)), "the key stands twice; remove one")
			continue
		}
		seen = append(seen, key.Value)
		d.problems.positions[join(path, shown(key.Value))] = position{key.Line, key.Column}
		f(key, value)
	}
}

func (d *decoder) sequence(n *yaml.Node, path string, target reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.add(n, path, "want a list such as [%s], not %s", orElse(n.Value, "a, b"), describe(n))
		return
	}
	if len(n.Content) == 0 {
		d.add(n, path, "the list is empty; write an entry, or remove the key")
	}
	for i, item := range n.Content {
		entry := reflect.New(target.Type().Elem()).Elem()
		d.value(item, path+"["+strconv.Itoa(i)+"]", entry)
		target.Set(reflect.Append(target, entry))
	}
}

func (d *decoder) text(n *yaml.Node, path string, target reflect.Value) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.add(n, path, "want text, not %s", describe(n))
	case n.Tag != "!!str":
		d.add(n, path, "want text, not %s; write it in quotes: %q", describe(n), n.Value)
	case n.Value == "":
		d.add(n, path, "is empty; write a value, or remove the key")
	case strings.ContainsFunc(n.Value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		d.add(n, path, "has a line end or another control character")
	default:
		target.SetString(n.Value)
	}
}

func (d *decoder) duration(n *yaml.Node, path string, target reflect.Value) {
	duration, err := time.ParseDuration(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil || n.Tag != "!!str":
		d.add(n, path, "want a duration with its unit, such as 30s, 5m or 24h, not %s", describe(n))
	case duration < 0:
		d.add(n, path, "want a duration of 0s or more, not %s", describe(n))
	default:
		target.SetInt(int64(duration))
	}
}
