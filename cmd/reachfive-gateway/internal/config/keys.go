package config

import (
	"reflect"
	"strings"
	"time"
)

// Key is a line in the table of keys.
type Key struct {
	Path    string // such as tenants.NAME.domain or policies.NAME.headers[].name
	Type    string
	Default string // "required" if the key must be there, "" if it is simply absent
	Help    string
}

// Keys returns every key of the format, in the order of the documentation.
func Keys() []Key { return keysOf(reflect.TypeFor[Config](), "") }

func keysOf(structure reflect.Type, path string) (keys []Key) {
	for field := range structure.Fields() {
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		key := Key{Path: join(path, name), Default: field.Tag.Get("default"), Help: field.Tag.Get("help")}
		if field.Tag.Get("required") != "" {
			key.Default = "required"
		}
		inner, suffix := field.Type, ""
		switch {
		case inner == reflect.TypeFor[time.Duration]():
			key.Type = "duration"
		case inner.Kind() == reflect.Pointer:
			inner, key.Type = inner.Elem(), "keys"
		case inner.Kind() == reflect.Struct:
			key.Type = "keys"
		case inner.Kind() == reflect.Map:
			inner, suffix, key.Type = inner.Elem(), ".NAME", "names"
		case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
			inner, suffix, key.Type = inner.Elem(), "[]", "list of keys"
		case inner.Kind() == reflect.Slice:
			key.Type = "list of text"
		default:
			key.Type = map[reflect.Kind]string{reflect.String: "text", reflect.Int: "number", reflect.Bool: "boolean"}[inner.Kind()]
		}
		keys = append(keys, key)
		if inner.Kind() == reflect.Struct {
			keys = append(keys, keysOf(inner, key.Path+suffix)...)
		}
	}
	return keys
}

// Table is the table of keys in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	for _, key := range Keys() {
		value := key.Default
		if value != "" && value != "required" {
			value = "`" + value + "`"
		}
		b.WriteString("| `" + key.Path + "` | " + key.Type + " | " + value + " | " + key.Help + " |\n")
	}
	return b.String()
}
